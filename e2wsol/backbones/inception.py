"""InceptionV3 in PyTorch's port with BAS' strides: 28x28 up to mixed_6e, then 14x14, no auxiliary classifier."""

import keras

from e2wsol.backbones.base import Architecture, pad_window, scaled
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


def build(x, options, end_points):
    """End points conv2d_1a .. conv2d_4a, pool1, pool2, mixed_5b .. mixed_7c; 14x14 at 224 pixels, output stride 16."""
    for step in _STEM:
        name = step if isinstance(step, str) else step[0]
        x = _ceil_pool(x, name) if isinstance(step, str) else _convolution(x, *step, options=options)
        x = end_points.mark(name, x)
    for name, branches in _MIXED.items():
        stride = 2 if name == "mixed_7a" and options.output_stride == 16 else 1
        outputs = [feature for steps in branches for feature in _branch(x, name, steps, stride, options)]
        x = keras.layers.Concatenate(name=f"{name}_concat")(outputs)
        x = end_points.mark(name, x)


def _branch(x, block, steps, stride, options):
    """Features at the end of one branch, in a list; the last step has the block's stride."""
    for number, step in enumerate(steps, start=1):
        last_stride = stride if number == len(steps) else 1
        if step == _AVERAGE:
            # Counts the zeros around the picture, as PyTorch does and a padded Keras layer does not.
            x = keras.layers.ZeroPadding2D(1)(x)
            x = keras.layers.AveragePooling2D(3, 1)(x)
        elif step == _MAXIMUM:
            x, padding = pad_window(x, 3, last_stride, options.backbone_conventions)
            x = keras.layers.MaxPooling2D(3, last_stride, padding=padding, name=f"{block}_branch_pool")(x)
        elif isinstance(step, list):
            return [_convolution(x, f"{block}_{name}", *rest, options=options) for name, *rest in step]
        else:
            name, channels, size = step
            x = _convolution(x, f"{block}_{name}", channels, size, last_stride, options=options)
    return [x]


def _convolution(x, name, channels, size, stride=1, padding=None, *, options):
    if padding is None:
        x, padding = pad_window(x, size, stride, options.backbone_conventions)
    x = keras.layers.Conv2D(
        scaled(channels, options.backbone_width), size, stride, padding=padding, use_bias=False, name=name
    )(x)
    x = BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _ceil_pool(x, name):
    """Max pooling 3x3 with stride 2, padding 1 and the ceiling: side // 2 + 1 windows from -1 on.

    Zeros serve as padding because the features are not negative.
    """
    x = keras.layers.ZeroPadding2D(((1, 2), (1, 2)))(x)
    return keras.layers.MaxPooling2D(3, 2, name=name)(x)


def _names(branches):
    """Names of a block's convolutions in the order of the table."""
    for step in (step for steps in branches for step in steps if step not in (_AVERAGE, _MAXIMUM)):
        yield from (name for name, _, _ in (step if isinstance(step, list) else [step]))


INCEPTION_V3 = Architecture(
    build=build,
    preprocessing="imagenet",
    conv_bias=False,
    head_channels=0,
    classifier_initializer="he_normal",
    gate_positions=("mixed_6a", "mixed_7a", "mixed_7c"),
    trunk="mixed_6e",
    levels=("mixed_5d", "mixed_6e", "mixed_7c"),
    conventions=("torch",),
    applications="InceptionV3",
    applications_order=(
        *(step[0] for step in _STEM if not isinstance(step, str)),
        *(f"{block}_{name}" for block, branches in _MIXED.items() for name in _names(branches)),
    ),
)
