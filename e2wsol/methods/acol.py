import dataclasses
from typing import Any, ClassVar

import keras
from keras import ops

from e2wsol.backbones import Architecture, scaled
from e2wsol.config import option
from e2wsol.layers import ConvolutionalClassifier
from e2wsol.localizers.maps import min_max
from e2wsol.methods.base import Method, Tensors, cross_entropy, label_map, logits_dtype, register


@dataclasses.dataclass(frozen=True)
class ACoLOptions:
    """Adversarial complementary learning."""

    flag_prefix: ClassVar[str] = "acol_"

    threshold: float = option(
        0.7,
        "the second classifier does not see where the first one's map, from 0 to 1, is above",
        minimum=0.0,
        maximum=1.0,
    )
    head_channels: int = option(1024, "channels of both classifiers, times --backbone_width", minimum=1)


@register("acol")
class ACoL(Method):
    """Adversarial complementary learning (Zhang et al., CVPR 2018): a second classifier finds what the first one left.

    Two convolutional classifiers stand on the backbone's features. The first one's map of the label says where the
    features are erased for the second; both learn the label. The map is the larger of both, each from 0 to 1.

    Outputs: "logits" (B, C) of the first classifier, "class_maps" (B, h, w, C) its maps, "features" (B, h, w, c).
    """

    Options = ACoLOptions

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self.second = _classifier(self.num_classes, self.backbone_options.backbone_width, self.options, "second")
        self.second.build(self.end_points[list(self.end_points)[-1]].shape)

    @classmethod
    def heads(
        cls, end_points: Tensors, architecture: Architecture, width: float, num_classes: int, options: Any
    ) -> Tensors:
        features = list(end_points.values())[-1]
        class_maps = _classifier(num_classes, width, options, "first")(features)
        logits = keras.layers.GlobalAveragePooling2D(dtype=logits_dtype(), name="logits")(class_maps)
        return {"logits": logits, "class_maps": class_maps, "features": features}

    def loss_terms(self, labels: Any, outputs: Tensors, training: bool = True) -> Tensors:
        """The cross-entropy of both classifiers."""
        second_maps = self.second_maps(outputs, label_map(outputs["class_maps"], labels))
        second_logits = ops.mean(ops.cast(second_maps, logits_dtype()), axis=(1, 2))
        return {
            "classification": cross_entropy(labels, outputs["logits"]),
            "complement": cross_entropy(labels, second_logits),
        }

    def second_maps(self, outputs: Tensors, first_map: Any) -> Any:
        """Maps (B, h, w, C) of the second classifier, on features erased where `first_map` (B, h, w) is high."""
        features = outputs["features"]
        kept = ops.stop_gradient(min_max(first_map) <= self.options.threshold)
        return self.second(features * ops.cast(kept, features.dtype)[..., None])

    def class_maps(self, outputs: Tensors, labels: Any) -> Any:
        def both(label):
            first = label_map(outputs["class_maps"], label)
            second = label_map(self.second_maps(outputs, first), label)
            return ops.maximum(min_max(first), min_max(second))

        return ops.stack([both(labels[:, index]) for index in range(labels.shape[1])], axis=1)


def _classifier(num_classes, width, options, name):
    return ConvolutionalClassifier(
        num_classes, scaled(options.head_channels, width), "he_normal", rectified=False, name=name
    )
