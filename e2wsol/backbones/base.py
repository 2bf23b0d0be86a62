"""What all backbones share: options, end points, the layers that methods insert."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras

from e2wsol.config import option
from e2wsol.errors import UserError
from e2wsol.layers import PREPROCESSINGS

# PyTorch pads strided windows symmetrically; TensorFlow pads as little as "same" needs, at the end first.
CONVENTIONS = ("torch", "tensorflow")


@dataclasses.dataclass(frozen=True)
class BackboneOptions:
    """Which network, how wide, how coarse."""

    backbone: str = option("vgg16", "network under the method: see e2wsol.backbones.ARCHITECTURES")
    backbone_width: float = option(1.0, "multiplies every channel count; below 1 for small machines", minimum=0.01)
    backbone_batch_norm: bool = option(False, "VGG only: batch normalization after each convolution")
    output_stride: int = option(16, "input size over map size", choices=(8, 16, 32))
    backbone_conventions: str = option(
        "auto",
        "whose padding, epsilons and activations, where frameworks differ; auto is the backbone's own",
        choices=("auto", *CONVENTIONS),
    )
    preprocessing: str = option(
        "auto",
        "how pictures are normalised inside the network; auto is the backbone's own",
        choices=("auto", *PREPROCESSINGS),
    )


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One network family.

    Attributes:
      build: f(x, options, end_points) -> None; adds layers on the normalised pictures x (B, S, S, 3)
        and marks end points on the way, the last of them being the final features.
      preprocessing: the scheme of its usual start weights.
      conv_bias: whether its convolutions carry a bias; heads on it follow.
      head_channels: channels of the 3x3 convolutions in front of each classifier, 0 for none.
      head_convolutions: how many there are.
      head_initializer: keras initializer of their kernels.
      classifier_initializer: keras initializer (name or config) of the classifiers' kernels.
      attention_positions: end points after which the methods' attention layers stand as released.
      trunk: end point where BAS and its like cut the network into a trunk and a tail.
      levels: the three end points that SPOL fuses, shallow to deep: at strides 8, 16 and 32 where the output
        stride is 32, else as near to that as it allows.
      output_strides: those of BackboneOptions.output_stride that it can have.
      dual_gradient_layer: end point in whose gradients DGL looks for the object.
      branch_levels: end points that MNPO's parallel branch reads: one of twice the last side at output
        stride 16, two of the last.
      gradient_layer: end point in whose gradients MNPOs looks for the object.
      conventions: those of CONVENTIONS that it can follow, its own first.
      applications: name in keras.applications whose ImageNet weights fit, or None.
      application_layers: our layer name -> that model's layer name, where they differ.
      applications_order: our convolutions in the order in which that model makes its own, where
        it numbers its layers instead of naming them.
      applications_misfit: why a model of that name in keras.applications does not fit.
    """

    build: Callable[[Any, BackboneOptions, "EndPoints"], None]
    preprocessing: str
    conv_bias: bool
    head_channels: int
    classifier_initializer: str | dict
    attention_positions: tuple[str, ...]
    trunk: str
    levels: tuple[str, str, str]
    dual_gradient_layer: str
    branch_levels: tuple[str, str, str]
    gradient_layer: str
    output_strides: tuple[int, ...] = (8, 16)
    head_convolutions: int = 1
    head_initializer: str = "he_normal"
    conventions: tuple[str, ...] = CONVENTIONS
    applications: str | None = None
    application_layers: dict[str, str] = dataclasses.field(default_factory=dict)
    applications_order: tuple[str, ...] = ()
    applications_misfit: str = ""


class EndPoints(dict):
    """Named features of a backbone in the making; `inserted` maps a name to the layer put behind it."""

    def __init__(self, inserted: Mapping[str, keras.layers.Layer] | None = None):
        super().__init__()
        self.inserted = dict(inserted or {})
        self.used: set[str] = set()

    def mark(self, name: str, x: Any) -> Any:
        """Stores x under `name`, with the layer that was asked for behind it, and returns it."""
        if name in self.inserted:
            x = self.inserted[name](x)
            self.used.add(name)
        self[name] = x
        return x

    def check(self) -> None:
        """Raises a UserError where an inserted layer's position does not exist."""
        for name in self.inserted:
            if name not in self.used:
                raise UserError(f"position {name}: no such end point; choose among {', '.join(self)}")


def pad_window(x: Any, size: int, stride: int, conventions: str) -> tuple[Any, str]:
    """Prepares x for a window of `size` with `stride` whose output has ceil(side / stride) positions.

    Returns:
      (x, the layer's `padding`): zeros were put around x where the layer's own padding is not the
      conventions'. Max pooling may use it on features that are not negative.
    """
    if conventions == "torch" and stride > 1 and size > 1:
        return keras.layers.ZeroPadding2D((size - 1) // 2)(x), "valid"
    return x, "same"


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, at least 4."""
    return max(4, round(channels * width))
