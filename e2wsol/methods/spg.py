import dataclasses
from typing import Any, ClassVar

import keras
from keras import ops

from e2wsol.backbones import Architecture, scaled
from e2wsol.config import option
from e2wsol.errors import ArgumentError
from e2wsol.layers import ConvolutionalClassifier
from e2wsol.localizers.maps import min_max
from e2wsol.methods.base import Method, Tensors, cross_entropy, label_map, label_maps, logits_dtype, register


def _seed_option(default, what, side):
    return option(default, f"{what}: values {side} teach", minimum=0.0, maximum=1.0)


@dataclasses.dataclass(frozen=True)
class SPGOptions:
    """Self-produced guidance; the thresholds are the reference benchmark's."""

    flag_prefix: ClassVar[str] = "spg_"

    attention_high: float = _seed_option(0.7, "attention -> deep mask", "above this, object,")
    attention_low: float = _seed_option(0.01, "attention -> deep mask", "below this, background,")
    deep_high: float = _seed_option(0.5, "deep mask -> middle mask", "above this, object,")
    deep_low: float = _seed_option(0.05, "deep mask -> middle mask", "below this, background,")
    fused_high: float = _seed_option(0.7, "mean of both masks -> shallow mask", "above this, object,")
    fused_low: float = _seed_option(0.1, "mean of both masks -> shallow mask", "below this, background,")
    head_channels: int = option(1024, "channels of the classifier, times --backbone_width", minimum=1)
    mask_channels: int = option(512, "channels in front of the masks, times --backbone_width", minimum=1)

    def __post_init__(self):
        for name in ("attention", "deep", "fused"):
            low, high = getattr(self, f"{name}_low"), getattr(self, f"{name}_high")
            if low > high:
                raise ArgumentError(f"{name}_low", low, f"must be at most {name}_high={high}", owner=SPGOptions)


@register("spg")
class SPG(Method):
    """Self-produced guidance (Zhang et al., ECCV 2018): the map teaches masks on shallower features what is object.

    A convolutional classifier gives class maps; the label's one, from 0 to 1, is the attention. Its high and low pixels
    teach a mask on the deep features, whose high and low ones teach a mask on the middle features, and those of the
    mean of both teach a mask on the shallow features; pixels between teach nothing. So the backbone learns, besides
    the classes, where an object ends. The masks serve training alone; the localization map is the class map.

    Outputs: "logits" (B, C), "class_maps" (B, h, w, C), and logits of the masks (B, h, w): "deep", "middle", "shallow".
    """

    Options = SPGOptions

    @classmethod
    def heads(
        cls, end_points: Tensors, architecture: Architecture, width: float, num_classes: int, options: Any
    ) -> Tensors:
        """The classifier's maps and their means, and a mask on each of three levels."""
        deep = list(end_points.values())[-1]
        shallow, middle = (end_points[name] for name in architecture.levels[:2])
        channels = scaled(options.head_channels, width)
        class_maps = ConvolutionalClassifier(num_classes, channels, "he_normal", rectified=False, name="classifier")(
            deep
        )
        outputs = {
            "logits": keras.layers.GlobalAveragePooling2D(dtype=logits_dtype(), name="logits")(class_maps),
            "class_maps": class_maps,
        }
        channels = scaled(options.mask_channels, width)
        # Deep and middle mask share all but their first convolution (section 3.1 of the paper).
        shared = _mask_layers(channels, "spg_b")
        for name, x, layers in (
            ("deep", deep, shared),
            ("middle", middle, shared),
            ("shallow", shallow, _mask_layers(channels, "spg_c")),
        ):
            x = _convolution(channels, 3, f"spg_{name}_features")(x)
            for layer in layers:
                x = layer(x)
            outputs[name] = keras.layers.Reshape(x.shape[1:3], dtype=logits_dtype(), name=f"spg_{name}")(x)
        return outputs

    def loss_terms(self, labels: Any, outputs: Tensors, training: bool = True) -> Tensors:
        """Cross-entropy of the classes, and of each mask with the pixels that its teacher is sure of."""
        options = self.options
        attention = min_max(label_map(outputs["class_maps"], labels))
        deep, middle = (ops.sigmoid(outputs[name]) for name in ("deep", "middle"))
        fused = (_resized(deep, middle.shape[1:]) + middle) / 2
        return {
            "classification": cross_entropy(labels, outputs["logits"]),
            "deep": taught(outputs["deep"], attention, options.attention_low, options.attention_high),
            "middle": taught(outputs["middle"], deep, options.deep_low, options.deep_high),
            "shallow": taught(outputs["shallow"], fused, options.fused_low, options.fused_high),
        }

    def class_maps(self, outputs: Tensors, labels: Any) -> Any:
        return label_maps(outputs["class_maps"], labels)


def taught(logits: Any, teacher: Any, low: float, high: float) -> Any:
    """Binary cross-entropy (B,) of a mask's logits (B, H, W) where its teacher is sure.

    Args:
      logits: (B, H, W).
      teacher: (B, h, w) in [0, 1], resized to the mask; it learns nothing from it.
      low: below it the teacher says background.
      high: above it the teacher says object, and between nothing.

    Returns:
      Mean over the sure pixels of a picture; 0 where there are none.
    """
    teacher = ops.stop_gradient(_resized(teacher, logits.shape[1:]))
    target = ops.cast(teacher > high, logits.dtype)
    sure = ops.cast(ops.logical_or(teacher > high, teacher < low), logits.dtype)
    losses = sure * ops.binary_crossentropy(target, logits, from_logits=True)
    return ops.sum(losses, axis=(1, 2)) / ops.maximum(ops.sum(sure, axis=(1, 2)), 1.0)


def _resized(maps, size):
    """Maps (B, h, w) bilinearly at another size (H, W)."""
    if tuple(maps.shape[1:]) == tuple(size):
        return maps
    return ops.image.resize(maps[..., None], size, interpolation="bilinear", data_format="channels_last")[..., 0]


def _mask_layers(channels, name):
    return _convolution(channels, 3, f"{name}_1"), _convolution(
        1, 1, f"{name}_2", activation=None, dtype=logits_dtype()
    )


def _convolution(channels, size, name, activation="relu", **settings):
    return keras.layers.Conv2D(
        channels, size, padding="same", activation=activation, kernel_initializer="he_normal", name=name, **settings
    )
