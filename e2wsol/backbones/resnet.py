"""ResNet-50 with squeeze-and-excitation, TF padding, last stage at stride 1: E2Net's second network."""

import keras

from e2wsol.backbones.base import Architecture, scaled
from e2wsol.layers import BatchNormalization

_GROUPS = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 1))
_FAN_OUT = {"class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_out"}}


def build(x, options, end_points):
    """End points conv0, pool0, groupG_blockB and groupG; 14x14 at 224 pixels with output stride 16."""
    width = options.backbone_width
    x = _conv_bn(x, scaled(64, width), 7, 2, "conv0")
    x = end_points.mark("conv0", x)
    x = keras.layers.MaxPooling2D(3, 2, padding="same", name="pool0")(x)
    x = end_points.mark("pool0", x)
    total_stride = 4
    for group, (channels, blocks, stride) in enumerate(_GROUPS):
        stride = stride if total_stride * stride <= options.output_stride else 1
        total_stride *= stride
        for block in range(blocks):
            name = f"group{group}_block{block}"
            x = _bottleneck(x, scaled(channels, width), stride if block == 0 else 1, name)
            x = end_points.mark(name, x)
        x = end_points.mark(f"group{group}", x)


def _conv_bn(x, channels, size, stride, name, *, activation="relu", gamma="ones"):
    x = keras.layers.Conv2D(
        channels, size, stride, padding="same", use_bias=False, kernel_initializer=_FAN_OUT, name=name
    )(x)
    x = BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma, name=f"{name}_bn")(x)
    return keras.layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


def _bottleneck(x, channels, stride, name):
    shortcut = x
    x = _conv_bn(x, channels, 1, 1, f"{name}_conv1")
    x = _conv_bn(x, channels, 3, stride, f"{name}_conv2")
    x = _conv_bn(x, 4 * channels, 1, 1, f"{name}_conv3", activation=None, gamma="zeros")
    x = _squeeze_excite(x, channels, name)
    if stride != 1 or shortcut.shape[-1] != 4 * channels:
        shortcut = _conv_bn(shortcut, 4 * channels, 1, stride, f"{name}_convshortcut", activation=None)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _squeeze_excite(x, channels, name):
    weights = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    weights = keras.layers.Dense(max(1, channels // 4), activation="relu", name=f"{name}_fc1")(weights)
    weights = keras.layers.Dense(4 * channels, activation="sigmoid", name=f"{name}_fc2")(weights)
    return keras.layers.Multiply(name=f"{name}_excite")([x, weights])


RESNET50_SE = Architecture(
    build=build,
    preprocessing="imagenet_bgr",
    conv_bias=False,
    head_channels=0,
    classifier_initializer="he_normal",
    gate_positions=("group2_block0", "group3_block0", "group3"),
)
