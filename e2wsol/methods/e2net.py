import dataclasses
from typing import Any

import keras
from keras import ops

from e2wsol.backbones import Architecture
from e2wsol.config import option
from e2wsol.layers import (
    NORMALIZATIONS,
    ORIENTATIONS,
    BatchNormalization,
    MaxoutAttentionExcitation,
    orientation_conv,
)
from e2wsol.methods.base import Method, Tensors, class_activation_maps, classifier, head_features, register

FUSIONS = ("feature_max", "cam_max", "cam_max_shared")


@dataclasses.dataclass(frozen=True)
class E2NetOptions:
    """Both readings of E2Net: the release (defaults) and the paper."""

    mae_positions: tuple[str, ...] = option((), "end points behind which MAE stands; empty for the released ones")
    mae_threshold: float = option(0.5, "erase positions whose normalised attention reaches this")
    mae_normalization: str = option(
        "sum", "attention divided by its sum (released) or min-max normalised (paper)", choices=NORMALIZATIONS
    )
    ose_orientations: tuple[str, ...] = option(
        ("original", "horizontal", "vertical"), "heads of the orientation bank", choices=ORIENTATIONS
    )
    ose_batch_norm: bool = option(False, "batch normalization in the orientation convolutions (released ResNet: on)")
    ose_fusion: str = option(
        "feature_max",
        "how heads become one map: feature_max (released VGG), cam_max_shared (released ResNet), cam_max (paper)",
        choices=FUSIONS,
    )


@register("e2net")
class E2Net(Method):
    """E2Net (Chen et al., ACM MM 2021): maxout-attention excitation and orientation-sensitive expansion.

    MAE layers stand inside the backbone. On its final features stand one head for each orientation:
    an oriented convolution (none for "original"), a 3x3 convolution where the backbone's GAP form has
    one, global average pooling and a classifier. Training sums the heads' logits. At test the heads'
    maps become one by `ose_fusion`:
      feature_max: maximum over heads of the features, weighted by the mean of the heads' classifiers
        (the released VGG path);
      cam_max: maximum of the heads' class activation maps (the paper's figure);
      cam_max_shared: the same, but the first head's map uses the mean of all heads' classifiers (the
        released ResNet path).
    """

    Options = E2NetOptions
    protocol = "e2net"

    @classmethod
    def inserted_layers(cls, architecture: Architecture, options: Any) -> dict[str, Any]:
        return {
            position: MaxoutAttentionExcitation(
                options.mae_threshold, options.mae_normalization, name=f"mae_{position}"
            )
            for position in options.mae_positions or architecture.attention_positions
        }

    @classmethod
    def heads(
        cls, end_points: Tensors, architecture: Architecture, width: float, num_classes: int, options: Any
    ) -> Tensors:
        trunk = list(end_points.values())[-1]
        outputs: Tensors = {"logits": None}
        for orientation in options.ose_orientations:
            x = trunk if orientation == "original" else _expand(trunk, orientation, architecture, options)
            features = head_features(x, architecture, width, f"{orientation}_features")
            outputs[f"{orientation}_features"] = features
            outputs[f"{orientation}_logits"] = classifier(features, num_classes, architecture, f"{orientation}_linear")
        logits = [outputs[f"{orientation}_logits"] for orientation in options.ose_orientations]
        outputs["logits"] = keras.layers.Add(dtype=logits[0].dtype, name="logits")(logits) if logits[1:] else logits[0]
        return outputs

    def class_maps(self, outputs: Tensors, labels: Any) -> Any:
        bank = self.options.ose_orientations
        features = [outputs[f"{orientation}_features"] for orientation in bank]
        kernels = [ops.convert_to_tensor(self.get_layer(f"{orientation}_linear").kernel) for orientation in bank]
        mean_kernel = sum(kernels) / len(kernels)
        if self.options.ose_fusion == "feature_max":
            return class_activation_maps(_maximum(features), mean_kernel, labels)
        if self.options.ose_fusion == "cam_max_shared":
            kernels[0] = mean_kernel
        return _maximum([class_activation_maps(f, kernel, labels) for f, kernel in zip(features, kernels)])


def _expand(x, orientation, architecture, options):
    """Oriented convolution, batch normalization where asked for, ReLU; channels unchanged."""
    x = orientation_conv(
        orientation,
        x.shape[-1],
        use_bias=architecture.conv_bias and not options.ose_batch_norm,
        kernel_initializer="he_normal",
        name=f"{orientation}_conv",
    )(x)
    if options.ose_batch_norm:
        x = BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{orientation}_conv_bn")(x)
    return keras.layers.ReLU(name=f"{orientation}_relu")(x)


def _maximum(tensors):
    result = tensors[0]
    for tensor in tensors[1:]:
        result = ops.maximum(result, tensor)
    return result
