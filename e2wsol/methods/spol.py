"""The network that both localizing stages of SPOL (Wei et al., CVPR 2021) share: three levels of features, fused."""

from typing import Any

import keras

from e2wsol.backbones import Architecture, scaled
from e2wsol.layers import BatchNormalization, CornerResize
from e2wsol.methods.base import Tensors

# Kaiming's initialisation as PyTorch has it, with the gain of a ReLU.
KAIMING = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_in", "distribution": "untruncated_normal"},
}
CHANNELS = 128


def fused_levels(end_points: Tensors, architecture: Architecture, width: float) -> tuple[Any, Any]:
    """Gates the three levels by one shared vector, brings them to one size and multiplies them.

    Args:
      end_points: the backbone's features by name.
      architecture: Architecture, says which are the levels.
      width: BackboneOptions.backbone_width; the fused features have 128 times as many channels.

    Returns:
      (product, deepest): the product of all levels and the deepest level alone, both (B, H, W, c) >= 0 of
      the shallowest level's size.
    """
    channels = scaled(CHANNELS, width)
    levels = {number: end_points[name] for number, name in enumerate(architecture.levels, start=3)}
    shared = keras.layers.Multiply(name="spol_shared")([_squeezed(x, channels, n) for n, x in levels.items()])
    size = levels[3].shape[1:3]
    reduced = []
    for number, x in levels.items():
        gate = _convolution(shared, x.shape[-1], f"spol_gate{number}", activation="sigmoid")
        x = keras.layers.Multiply(name=f"spol_gated{number}")([x, gate])
        x = _conv_bn_relu(x, channels, f"spol_level{number}")
        reduced.append(x if x.shape[1:3] == size else CornerResize(size, name=f"spol_resized{number}")(x))
    return keras.layers.Multiply(name="spol_fused")(reduced), reduced[-1]


def head(channels: int, **settings: Any) -> keras.layers.Layer:
    """The 1x1 convolution on the fused features."""
    return keras.layers.Conv2D(channels, 1, kernel_initializer=KAIMING, name="spol_head", **settings)


def _squeezed(x, channels, number):
    """(B, 1, 1, channels): what a level says about the whole picture."""
    x = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"spol_gap{number}")(x)
    return _conv_bn_relu(x, channels, f"spol_squeeze{number}")


def _conv_bn_relu(x, channels, name):
    x = _convolution(x, channels, name)
    x = BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _convolution(x, channels, name, **settings):
    return keras.layers.Conv2D(channels, 1, kernel_initializer=KAIMING, name=name, **settings)(x)
