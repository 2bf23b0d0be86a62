"""MobileNetV1 with the stride of one block removed, so that 28x28 features exist at 224 pixels.

As TensorFlow has it (keras.applications, whose weights fit) or as PyTorch's ports and BAS have it.
"""

from typing import Any

import keras

from e2wsol.backbones.base import Architecture, BackboneOptions, EndPoints, pad_window, scaled
from e2wsol.layers import BatchNormalization

# Channels and stride of blocks 1 .. 13. Block 6 has stride 2 in the classification network.
_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 1)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
# Epsilon of batch normalization and ceiling of the ReLU.
_EPSILON = {"tensorflow": 1e-3, "torch": 1e-5}
_CEILING = {"tensorflow": 6.0, "torch": None}


def build(x: Any, options: BackboneOptions, end_points: EndPoints) -> None:
    """End points conv1 and block1 .. block13; 14x14 at 224 pixels with output stride 16."""
    conventions = options.backbone_conventions
    x, padding = pad_window(x, 3, 2, conventions)
    x = keras.layers.Conv2D(
        scaled(32, options.backbone_width),
        3,
        2,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name="conv1",
    )(x)
    x = end_points.mark("conv1", _bn_relu(x, "conv1", conventions))
    total_stride = 2
    for block, (channels, stride) in enumerate(_BLOCKS, start=1):
        stride = stride if total_stride * stride <= options.output_stride else 1
        total_stride *= stride
        x, padding = pad_window(x, 3, stride, conventions)
        x = keras.layers.DepthwiseConv2D(
            3, stride, padding=padding, use_bias=False, depthwise_initializer="he_normal", name=f"conv_dw_{block}"
        )(x)
        x = _bn_relu(x, f"conv_dw_{block}", conventions)
        x = keras.layers.Conv2D(
            scaled(channels, options.backbone_width),
            1,
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"conv_pw_{block}",
        )(x)
        x = end_points.mark(f"block{block}", _bn_relu(x, f"conv_pw_{block}", conventions))


def _bn_relu(x, name, conventions):
    x = BatchNormalization(momentum=0.9, epsilon=_EPSILON[conventions], name=f"{name}_bn")(x)
    return keras.layers.ReLU(_CEILING[conventions], name=f"{name}_relu")(x)


MOBILENET_V1 = Architecture(
    build=build,
    preprocessing="symmetric",
    conv_bias=False,
    head_channels=0,
    classifier_initializer="he_normal",
    attention_positions=("block6", "block12", "block13"),
    trunk="block11",
    levels=("block5", "block11", "block13"),
    dual_gradient_layer="block10",
    branch_levels=("block11", "block12", "block13"),
    gradient_layer="block10",
    conventions=("tensorflow", "torch"),
    applications="MobileNet",
)
