"""InceptionV3 without auxiliary classifier in two forms: PyTorch's port with BAS' strides, and slim's up to mixed_6e.

Their layers have the same names, so that start weights of one fit the other but for gamma.
"""

import dataclasses
import functools
from typing import Any

import keras

from e2wsol.backbones.base import Architecture, BackboneOptions, EndPoints, pad_window, scaled
from e2wsol.layers import BatchNormalization

# Pools, and convolutions as (name, channels, kernel size, stride, padding).
_STEM = (
    *(("conv2d_1a", 32, 3, 2), ("conv2d_2a", 32, 3, 1, "valid"), ("conv2d_2b", 64, 3)),
    "pool1",
    *(("conv2d_3b", 80, 1), ("conv2d_4a", 192, 3, 1, "valid")),
    "pool2",
)

# A branch is a chain of steps: (name, channels, kernel size), a pooling, or a list of convolutions side by side.
_AVERAGE, _MAXIMUM = "average", "maximum"


def _block_a(pool_channels):
    return (
        (("branch1x1", 64, 1),),
        (("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)),
        (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)),
        (_AVERAGE, ("branch_pool", pool_channels, 1)),
    )


def _block_c(channels):
    wide, high = (1, 7), (7, 1)
    double = (
        *(("branch7x7dbl_1", channels, 1), ("branch7x7dbl_2", channels, high), ("branch7x7dbl_3", channels, wide)),
        *(("branch7x7dbl_4", channels, high), ("branch7x7dbl_5", 192, wide)),
    )
    return (
        (("branch1x1", 192, 1),),
        (("branch7x7_1", channels, 1), ("branch7x7_2", channels, wide), ("branch7x7_3", 192, high)),
        double,
        (_AVERAGE, ("branch_pool", 192, 1)),
    )


_BLOCK_B = (
    (("branch3x3", 384, 3),),
    (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)),
    (_MAXIMUM,),
)
_BLOCK_D = (
    (("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3)),
    (
        *(("branch7x7x3_1", 192, 1), ("branch7x7x3_2", 192, (1, 7))),
        *(("branch7x7x3_3", 192, (7, 1)), ("branch7x7x3_4", 192, 3)),
    ),
    (_MAXIMUM,),
)
_BLOCK_E = (
    (("branch1x1", 320, 1),),
    (("branch3x3_1", 384, 1), [("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1))]),
    (
        *(("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3)),
        [("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1))],
    ),
    (_AVERAGE, ("branch_pool", 192, 1)),
)
_MIXED = {
    **{"mixed_5b": _block_a(32), "mixed_5c": _block_a(64), "mixed_5d": _block_a(64)},
    "mixed_6a": _BLOCK_B,
    **{"mixed_6b": _block_c(128), "mixed_6c": _block_c(160), "mixed_6d": _block_c(160), "mixed_6e": _block_c(192)},
    "mixed_7a": _BLOCK_D,
    **{"mixed_7b": _BLOCK_E, "mixed_7c": _BLOCK_E},
}


@dataclasses.dataclass(frozen=True)
class _InceptionVariant:
    """What the two differ in.

    Attributes:
      same_padding: TensorFlow's "same" everywhere, and averages over the pixels inside the picture;
        else two convolutions of the stem without padding, pools of the stem that round up, and
        averages that count the zeros around the picture.
      last: the last block.
      strided: the block that has stride 2 at output stride 16.
      gamma: whether batch normalization scales.
      momentum: of the moving statistics.
    """

    same_padding: bool
    last: str
    strided: str
    gamma: bool
    momentum: float


def build(x: Any, options: BackboneOptions, end_points: EndPoints, *, variant: _InceptionVariant) -> None:
    """End points conv2d_1a .. conv2d_4a, pool1, pool2, mixed_5b .. the last; 14x14 at 224 pixels, output stride 16."""
    convolution = functools.partial(_convolution, width=options.backbone_width, variant=variant)
    for step in _STEM:
        name = step if isinstance(step, str) else step[0]
        x = _pool(x, name, variant) if isinstance(step, str) else convolution(x, *step)
        x = end_points.mark(name, x)
    for name, branches in _MIXED.items():
        stride = 2 if name == variant.strided and options.output_stride == 16 else 1
        outputs = [feature for steps in branches for feature in _branch(x, name, steps, stride, convolution, variant)]
        x = keras.layers.Concatenate(name=f"{name}_concat")(outputs)
        x = end_points.mark(name, x)
        if name == variant.last:
            break


def _branch(x, block, steps, stride, convolution, variant):
    """Features at the end of one branch, in a list; the last step has the block's stride."""
    for number, step in enumerate(steps, start=1):
        last_stride = stride if number == len(steps) else 1
        if step == _AVERAGE:
            x = _average(x, variant)
        elif step == _MAXIMUM:
            x, padding = pad_window(x, 3, last_stride, _conventions(variant))
            x = keras.layers.MaxPooling2D(3, last_stride, padding=padding, name=f"{block}_branch_pool")(x)
        elif isinstance(step, list):
            return [convolution(x, f"{block}_{name}", *rest) for name, *rest in step]
        else:
            name, channels, size = step
            x = convolution(x, f"{block}_{name}", channels, size, last_stride)
    return [x]


def _convolution(x, name, channels, size, stride=1, padding=None, *, width, variant):
    if padding is None or variant.same_padding:
        x, padding = pad_window(x, size, stride, _conventions(variant))
    x = keras.layers.Conv2D(scaled(channels, width), size, stride, padding=padding, use_bias=False, name=name)(x)
    x = BatchNormalization(momentum=variant.momentum, epsilon=1e-3, scale=variant.gamma, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _conventions(variant):
    return "tensorflow" if variant.same_padding else "torch"


def _pool(x, name, variant):
    """Max pooling 3x3 with stride 2: "same", or padding 1 and the ceiling: side // 2 + 1 windows from -1 on.

    Zeros serve as padding because the features are not negative.
    """
    if variant.same_padding:
        return keras.layers.MaxPooling2D(3, 2, padding="same", name=name)(x)
    x = keras.layers.ZeroPadding2D(((1, 2), (1, 2)))(x)
    return keras.layers.MaxPooling2D(3, 2, name=name)(x)


def _average(x, variant):
    """Mean over 3x3 pixels; a padded Keras layer does not count those outside, as TensorFlow, PyTorch counts zeros."""
    if variant.same_padding:
        return keras.layers.AveragePooling2D(3, 1, padding="same")(x)
    x = keras.layers.ZeroPadding2D(1)(x)
    return keras.layers.AveragePooling2D(3, 1)(x)


def _names(branches):
    """Names of a block's convolutions in the order of the table."""
    for step in (step for steps in branches for step in steps if step not in (_AVERAGE, _MAXIMUM)):
        yield from (name for name, _, _ in (step if isinstance(step, list) else [step]))


_APPLICATIONS_ORDER = (
    *(step[0] for step in _STEM if not isinstance(step, str)),
    *(f"{block}_{name}" for block, branches in _MIXED.items() for name in _names(branches)),
)

INCEPTION_V3 = Architecture(
    build=functools.partial(
        build,
        variant=_InceptionVariant(same_padding=False, last="mixed_7c", strided="mixed_7a", gamma=True, momentum=0.9),
    ),
    preprocessing="imagenet",
    conv_bias=False,
    head_channels=0,
    classifier_initializer="he_normal",
    attention_positions=("mixed_6a", "mixed_7a", "mixed_7c"),
    trunk="mixed_6e",
    levels=("mixed_5d", "mixed_6e", "mixed_7c"),
    dual_gradient_layer="mixed_6e",
    branch_levels=("mixed_6e", "mixed_7a", "mixed_7c"),
    gradient_layer="mixed_7b",
    conventions=("torch",),
    applications="InceptionV3",
    applications_order=_APPLICATIONS_ORDER,
)

INCEPTION_V3_SLIM = Architecture(
    build=functools.partial(
        build,
        variant=_InceptionVariant(same_padding=True, last="mixed_6e", strided="mixed_6a", gamma=False, momentum=0.999),
    ),
    preprocessing="imagenet_bgr",
    conv_bias=False,
    head_channels=1024,
    head_convolutions=2,
    head_initializer="glorot_uniform",
    classifier_initializer="glorot_uniform",
    attention_positions=("mixed_5b", "mixed_6a", "mixed_6e"),
    trunk="mixed_5d",
    levels=("mixed_5d", "mixed_6a", "mixed_6e"),
    dual_gradient_layer="mixed_6e",
    branch_levels=("mixed_5d", "mixed_6a", "mixed_6e"),
    gradient_layer="mixed_6d",
    conventions=("tensorflow",),
    applications="InceptionV3",
    applications_order=_APPLICATIONS_ORDER,
)
