"""ResNet-50 in two forms: with BAS' strides, and with squeeze-and-excitation as E2Net has it.

With output stride 8 and TensorFlow's conventions they are the networks of DGL, in tensorpack's layout.
"""

import dataclasses
import functools
from typing import Any

import keras

from e2wsol.backbones.base import Architecture, BackboneOptions, EndPoints, pad_window, scaled
from e2wsol.layers import BatchNormalization

# Channels inside the bottlenecks and number of blocks.
_GROUPS = ((64, 3), (128, 4), (256, 6), (512, 3))
# Strides of the groups at output stride 32: the classification network's.
_FULL_STRIDES = (1, 2, 2, 2)
# Start of the gamma of each block's last normalization; with zeros the block starts as identity.
_LAST_GAMMA = {"torch": "ones", "tensorflow": "zeros"}
_FAN_OUT = {"class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_out"}}


@dataclasses.dataclass(frozen=True)
class _ResNetVariant:
    """What the two differ in.

    Attributes:
      strides: of the four groups up to output stride 16; the 3x3 convolution of the first block has it.
      pool: max pooling 2x2 between the trunk, group2, and group3.
      squeeze_excitation: whether blocks end in it.
    """

    strides: tuple[int, ...]
    pool: bool
    squeeze_excitation: bool


def build(x: Any, options: BackboneOptions, end_points: EndPoints, *, variant: _ResNetVariant) -> None:
    """End points conv0, pool0, groupG_blockB, groupG and, with variant.pool, pool1 behind group2.

    14x14 at 224 pixels with output stride 16. With 32 it is the classification network, without pool1.
    """
    width, conventions = options.backbone_width, options.backbone_conventions
    x = _conv_bn(x, scaled(64, width), 7, 2, "conv0", conventions)
    x = end_points.mark("conv0", x)
    x, padding = pad_window(x, 3, 2, conventions)
    x = keras.layers.MaxPooling2D(3, 2, padding=padding, name="pool0")(x)
    x = end_points.mark("pool0", x)
    total_stride = 4
    full = options.output_stride == 32
    for group, ((channels, blocks), stride) in enumerate(zip(_GROUPS, _FULL_STRIDES if full else variant.strides)):
        stride = stride if total_stride * stride <= options.output_stride else 1
        total_stride *= stride
        for block in range(blocks):
            name = f"group{group}_block{block}"
            x = _bottleneck(x, scaled(channels, width), stride if block == 0 else 1, name, variant, conventions)
            x = end_points.mark(name, x)
        x = end_points.mark(f"group{group}", x)
        if variant.pool and not full and group == 2:
            if 2 * total_stride <= options.output_stride:
                x = keras.layers.MaxPooling2D(2, name="pool1")(x)
            x = end_points.mark("pool1", x)


def _conv_bn(x, channels, size, stride, name, conventions, *, activation="relu", gamma="ones"):
    x, padding = pad_window(x, size, stride, conventions)
    x = keras.layers.Conv2D(
        channels, size, stride, padding=padding, use_bias=False, kernel_initializer=_FAN_OUT, name=name
    )(x)
    x = BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma, name=f"{name}_bn")(x)
    return keras.layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


def _bottleneck(x, channels, stride, name, variant, conventions):
    shortcut = x
    x = _conv_bn(x, channels, 1, 1, f"{name}_conv1", conventions)
    x = _conv_bn(x, channels, 3, stride, f"{name}_conv2", conventions)
    x = _conv_bn(x, 4 * channels, 1, 1, f"{name}_conv3", conventions, activation=None, gamma=_LAST_GAMMA[conventions])
    if variant.squeeze_excitation:
        x = _squeeze_excite(x, channels, name)
    if stride != 1 or shortcut.shape[-1] != 4 * channels:
        shortcut = _conv_bn(shortcut, 4 * channels, 1, stride, f"{name}_convshortcut", conventions, activation=None)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _squeeze_excite(x, channels, name):
    weights = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    weights = keras.layers.Dense(max(1, channels // 4), activation="relu", name=f"{name}_fc1")(weights)
    weights = keras.layers.Dense(4 * channels, activation="sigmoid", name=f"{name}_fc2")(weights)
    return keras.layers.Multiply(name=f"{name}_excite")([x, weights])


RESNET50 = Architecture(
    build=functools.partial(build, variant=_ResNetVariant(strides=(1, 2, 1, 1), pool=True, squeeze_excitation=False)),
    preprocessing="imagenet",
    conv_bias=False,
    head_channels=0,
    classifier_initializer="he_normal",
    attention_positions=("group2_block0", "group3_block0", "group3"),
    trunk="group2",
    levels=("group1", "group2", "group3"),
    output_strides=(8, 16, 32),
    dual_gradient_layer="group3_block0",
    branch_levels=("group2", "group3_block0", "group3"),
    gradient_layer="group3_block1",
    applications_misfit=(
        "keras.applications.ResNet50 is another network (stride on the first 1x1 convolution of a group, biases in "
        "the convolutions, epsilon 1.001e-5)"
    ),
)

RESNET50_SE = Architecture(
    build=functools.partial(build, variant=_ResNetVariant(strides=(1, 2, 2, 1), pool=False, squeeze_excitation=True)),
    preprocessing="imagenet_bgr",
    conv_bias=False,
    head_channels=0,
    classifier_initializer="he_normal",
    attention_positions=("group2_block0", "group3_block0", "group3"),
    trunk="group2",
    levels=("group1", "group2", "group3"),
    output_strides=(8, 16, 32),
    dual_gradient_layer="group3_block0",
    branch_levels=("group1", "group3_block0", "group3"),
    gradient_layer="group3_block1",
    conventions=("tensorflow",),
)
