import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from e2wsol.backbones import Architecture
from e2wsol.backbones.base import pad_window
from e2wsol.config import option
from e2wsol.layers import BatchNormalization
from e2wsol.localization.resize_taps import resize_taps
from e2wsol.methods.base import (
    Method,
    Tensors,
    class_activation_maps,
    cross_entropy,
    head_features,
    logits_dtype,
    register,
)

_FAN_OUT = {"class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_out"}}


@dataclasses.dataclass(frozen=True)
class MNPOOptions:
    """MNPO and MNPOs, whose networks and training are the same."""

    positive_weight: float = option(
        2.0,
        "how many times a positive weight of a class map counts what a negative one does",
        minimum=0.0,
        flag="mnpo_positive_weight",
    )
    layer: str = option(
        "", "MNPOs: end point whose gradients make the map; empty for the backbone's own", flag="mnpos_layer"
    )


@register("mnpo")
class MNPO(Method):
    """A parallel branch on shallow and deep features, whose class maps are fused with the main ones.

    Main and parallel branch share one classifier, and each has its cross-entropy. In the maps of either
    the positive weights of a class count double; both are resized to the picture, where the larger wins.

    Outputs: "logits" and "branch_logits" (B, C), "features" and "branch_features" (B, h, w, c).
    """

    Options = MNPOOptions
    protocol = "mnpo"

    @classmethod
    def heads(
        cls, end_points: Tensors, architecture: Architecture, width: float, num_classes: int, options: Any
    ) -> Tensors:
        features = head_features(list(end_points.values())[-1], architecture, width, "features")
        levels = [end_points[name] for name in architecture.branch_levels]
        branch_features = parallel_branch(*levels, channels=features.shape[-1])
        linear = keras.layers.Dense(
            num_classes, kernel_initializer=architecture.classifier_initializer, dtype=logits_dtype(), name="linear"
        )
        return {
            "logits": linear(keras.layers.GlobalAveragePooling2D(name="linear_gap")(features)),
            "branch_logits": linear(keras.layers.GlobalAveragePooling2D(name="branch_gap")(branch_features)),
            "features": features,
            "branch_features": branch_features,
        }

    def loss_terms(self, labels: Any, outputs: Tensors, training: bool = True) -> Tensors:
        """Cross-entropy of either branch."""
        return {
            "classification": cross_entropy(labels, outputs["logits"]),
            "branch": cross_entropy(labels, outputs["branch_logits"]),
        }

    def class_maps(self, outputs: Tensors, labels: Any) -> Any:
        """Maps (B, k, S, S) at the picture's own size, for that is where the branches are fused."""
        main, branch = (resize_cubic(maps, self.image_size) for maps in self.branch_maps(outputs, labels))
        return ops.maximum(main, branch)

    def branch_maps(self, outputs: Tensors, labels: Any) -> list[Any]:
        """Class maps (B, k, h, w) of the main and of the parallel branch, by post-processed weights."""
        kernel = emphasized(ops.convert_to_tensor(self.get_layer("linear").kernel), self.options.positive_weight)
        return [class_activation_maps(outputs[name], kernel, labels) for name in ("features", "branch_features")]


def parallel_branch(shallow: Any, middle: Any, deep: Any, *, channels: int) -> Any:
    """The branch module: three levels of a backbone to features (B, h, w, channels) >= 0.

    Args:
      shallow: (B, H, W, _), of the side of the others or twice it.
      middle: (B, h, w, _).
      deep: (B, h, w, _).
      channels: the release's 1024; the widths inside follow.
    """
    side_channels = max(1, channels // 16)
    stride = 1 if shallow.shape[1] == middle.shape[1] else 2
    x = _bottleneck(shallow, channels - 2 * side_channels, stride, "branch_layer1")
    if surplus := x.shape[1] - middle.shape[1]:  # a 2x2 pooling dropped the odd side's last row, and so does this
        x = keras.layers.Cropping2D(((0, surplus), (0, surplus)), name="branch_crop")(x)
    side = _convolution(middle, side_channels, 1, 1, "branch_conv1")
    x = keras.layers.Concatenate(name="branch_concat1")([x, side])
    x = _bottleneck(x, channels - side_channels, 1, "branch_layer2")
    side = _convolution(deep, side_channels, 1, 1, "branch_conv2")
    return keras.layers.Concatenate(name="branch_concat2")([x, side])


def _bottleneck(x, channels, stride, name):
    """ResNet's bottleneck; the shortcut is the identity where shapes allow."""
    shortcut, inner = x, max(1, channels // 4)
    x = _convolution(x, inner, 1, 1, f"{name}_conv1")
    x = _convolution(x, inner, 3, stride, f"{name}_conv2")
    x = _convolution(x, channels, 1, 1, f"{name}_conv3", relu=False)
    if stride != 1 or shortcut.shape[-1] != channels:
        shortcut = _convolution(shortcut, channels, 1, stride, f"{name}_convshortcut", relu=False)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _convolution(x, channels, size, stride, name, *, relu=True):
    x, padding = pad_window(x, size, stride, "torch")
    x = keras.layers.Conv2D(
        channels, size, stride, padding=padding, use_bias=False, kernel_initializer=_FAN_OUT, name=name
    )(x)
    x = BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x


def emphasized(weights: Any, factor: float) -> Any:
    """`weights` with the positive ones times `factor`."""
    return ops.where(weights > 0, factor * weights, weights)


def resize_cubic(maps: Any, size: int) -> Any:
    """Resizes maps (..., h, w) to (..., size, size) with OpenCV's bicubic interpolation."""
    rows, columns = (ops.convert_to_tensor(_resize_matrix(side, size), maps.dtype) for side in maps.shape[-2:])
    return ops.matmul(ops.matmul(rows, maps), ops.transpose(columns))


def _resize_matrix(source, target):
    """(target, source) float32: what each target sample takes of each source sample."""
    matrix = np.zeros((target, source), np.float32)
    for index, weight in resize_taps(source, target, "cubic"):
        matrix[np.arange(target), index] += weight
    return matrix
