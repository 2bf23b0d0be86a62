"""EfficientNet (Tan and Le, ICML 2019), B0 and B7: the layers, names and padding of keras.applications."""

import functools
import math
from typing import Any

import keras

from e2wsol.backbones.base import Architecture, BackboneOptions, EndPoints, scaled
from e2wsol.layers import BatchNormalization

# Kernel, channels, blocks, stride of the first block and expansion of the seven stages of B0 (table 1).
_STAGES = (
    *((3, 16, 1, 1, 1), (3, 24, 2, 2, 6), (5, 40, 2, 2, 6), (3, 80, 3, 2, 6)),
    *((5, 112, 3, 1, 6), (5, 192, 4, 2, 6), (3, 320, 1, 1, 6)),
)
_STEM, _TOP = 32, 1280
_SQUEEZE = 0.25
# A block is left out of a picture with this probability times its share of the depth.
_DROP_CONNECT = 0.2
_FAN_OUT = {"class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_out"}}


def build(x: Any, options: BackboneOptions, end_points: EndPoints, *, width: float, depth: float) -> None:
    """End points stem, blockSL (stage S from 1, block L from a), stageS and top, the last features.

    With output stride 32 the network as published; below, the last strides become 1.

    Args:
      x: normalised images (B, S, S, 3).
      options: width, output stride and conventions.
      end_points: where the features go.
      width: multiplies the channels of B0, which are rounded to multiples of 8.
      depth: multiplies the blocks of a stage, rounded up.
    """

    def channels(count):
        return scaled(_round_to_8(count * width), options.backbone_width)

    x = end_points.mark("stem", _conv_bn_swish(x, channels(_STEM), 3, "stem_", stride=2))
    repeats = [math.ceil(depth * stage[2]) for stage in _STAGES]
    total_stride, number = 2, 0
    for stage, (kernel, count, _, stride, expansion) in enumerate(_STAGES, start=1):
        stride = stride if total_stride * stride <= options.output_stride else 1
        total_stride *= stride
        for block in range(repeats[stage - 1]):
            name = f"block{stage}{chr(ord('a') + block)}"
            made = _block(x, channels(count), kernel, 1 if block else stride, expansion, f"{name}_")
            if block:
                drop = keras.layers.Dropout(
                    _DROP_CONNECT * number / sum(repeats), noise_shape=(None, 1, 1, 1), name=f"{name}_drop"
                )
                made = keras.layers.Add(name=f"{name}_add")([drop(made), x])
            x = end_points.mark(name, made)
            number += 1
        x = end_points.mark(f"stage{stage}", x)
    end_points.mark("top", _conv_bn_swish(x, channels(_TOP), 1, "top_"))


def _round_to_8(channels):
    """The multiple of 8 nearest to `channels`, at least 8 and never more than a tenth below."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _block(x, channels, kernel, stride, expansion, name):
    """Inverted bottleneck with squeeze and excitation, without its shortcut."""
    entered = x.shape[-1]
    if expansion != 1:
        x = _conv_bn_swish(x, expansion * entered, 1, f"{name}expand_")
    x = keras.layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, depthwise_initializer=_FAN_OUT, name=f"{name}dwconv"
    )(x)
    x = _bn_swish(x, name)
    x = _squeeze_excite(x, max(1, int(_SQUEEZE * entered)), f"{name}se_")
    x = _conv(x, channels, 1, f"{name}project_conv")
    return _batch_norm(x, f"{name}project_bn")


def _squeeze_excite(x, channels, name):
    weights = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}squeeze")(x)
    weights = _conv(weights, channels, 1, f"{name}reduce", use_bias=True, activation="swish")
    weights = _conv(weights, x.shape[-1], 1, f"{name}expand", use_bias=True, activation="sigmoid")
    return keras.layers.Multiply(name=f"{name}excite")([x, weights])


def _conv_bn_swish(x, channels, kernel, name, stride=1):
    return _bn_swish(_conv(x, channels, kernel, f"{name}conv", strides=stride), name)


def _bn_swish(x, name):
    return keras.layers.Activation("swish", name=f"{name}activation")(_batch_norm(x, f"{name}bn"))


def _batch_norm(x, name):
    return BatchNormalization(momentum=0.99, epsilon=1e-3, name=name)(x)


def _conv(x, channels, kernel, name, *, use_bias=False, **settings):
    layer = keras.layers.Conv2D(
        channels, kernel, padding="same", use_bias=use_bias, kernel_initializer=_FAN_OUT, name=name, **settings
    )
    return layer(x)


def _architecture(name, width, depth):
    return Architecture(
        build=functools.partial(build, width=width, depth=depth),
        # What the file's own rescaling and normalization layers amount to.
        preprocessing="imagenet",
        conv_bias=False,
        head_channels=0,
        # Both ends of PyTorch's uniform distribution for a linear layer.
        classifier_initializer={
            "class_name": "VarianceScaling",
            "config": {"scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"},
        },
        attention_positions=("stage3", "stage5", "top"),
        trunk="stage3",
        levels=("stage3", "stage5", "top"),
        dual_gradient_layer="stage6",
        branch_levels=("stage3", "stage6", "top"),
        gradient_layer="stage7",
        output_strides=(8, 16, 32),
        conventions=("tensorflow",),
        applications=name,
    )


EFFICIENTNET_B0 = _architecture("EfficientNetB0", 1.0, 1.0)
EFFICIENTNET_B7 = _architecture("EfficientNetB7", 2.0, 3.1)
