"""VGG16 in its GAP form: five blocks, no pool5, no fully connected layers."""

from typing import Any

import keras

from e2wsol.backbones.base import Architecture, BackboneOptions, EndPoints, scaled
from e2wsol.layers import BatchNormalization

_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def build(x: Any, options: BackboneOptions, end_points: EndPoints) -> None:
    """End points conv1_1 .. conv5_3 and pool1 .. pool4; 14x14 at 224 pixels with output stride 16."""
    for block, (channels, repeats) in enumerate(_BLOCKS, start=1):
        for unit in range(1, repeats + 1):
            x = _convolution(x, scaled(channels, options.backbone_width), f"conv{block}_{unit}", options)
            x = end_points.mark(f"conv{block}_{unit}", x)
        if block < 5:
            if 2**block <= options.output_stride:
                x = keras.layers.MaxPooling2D(2, name=f"pool{block}")(x)
            x = end_points.mark(f"pool{block}", x)


def _convolution(x, channels, name, options):
    normalised = options.backbone_batch_norm
    x = keras.layers.Conv2D(
        channels, 3, padding="same", use_bias=not normalised, kernel_initializer="he_normal", name=name
    )(x)
    if normalised:
        x = BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


VGG16 = Architecture(
    build=build,
    preprocessing="imagenet_bgr",
    conv_bias=True,
    head_channels=1024,
    classifier_initializer={"class_name": "RandomNormal", "config": {"stddev": 0.01}},
    attention_positions=("pool3", "pool4", "conv5_3"),
    trunk="conv4_3",
    levels=("pool3", "conv4_3", "conv5_3"),
    dual_gradient_layer="conv5_1",
    branch_levels=("conv4_2", "conv5_1", "conv5_3"),
    gradient_layer="conv5_2",
    applications="VGG16",
    application_layers={
        f"conv{block}_{unit}": f"block{block}_conv{unit}"
        for block, (_, repeats) in enumerate(_BLOCKS, start=1)
        for unit in range(1, repeats + 1)
    },
)
