"""Names of slim's InceptionV3 up to Mixed_6e. Layouts are ours, and its batch normalization has no gamma."""

from e2wsol.releases import tensorpack

_ENDINGS = {
    **{"/kernel": "/weights", "/bias": "/biases", "_bn/beta": "/BatchNorm/beta"},
    **{"_bn/moving_mean": "/BatchNorm/moving_mean", "_bn/moving_variance": "/BatchNorm/moving_variance"},
}
_STEM = {
    **{"conv2d_1a": "Conv2d_1a_3x3", "conv2d_2a": "Conv2d_2a_3x3", "conv2d_2b": "Conv2d_2b_3x3"},
    **{"conv2d_3b": "Conv2d_3b_1x1", "conv2d_4a": "Conv2d_4a_3x3"},
}
_BLOCK_A = {
    "branch1x1": "Branch_0/Conv2d_0a_1x1",
    **{"branch5x5_1": "Branch_1/Conv2d_0a_1x1", "branch5x5_2": "Branch_1/Conv2d_0b_5x5"},
    **{"branch3x3dbl_1": "Branch_2/Conv2d_0a_1x1", "branch3x3dbl_2": "Branch_2/Conv2d_0b_3x3"},
    "branch3x3dbl_3": "Branch_2/Conv2d_0c_3x3",
    "branch_pool": "Branch_3/Conv2d_0b_1x1",
}
_BLOCK_B = {
    "branch3x3": "Branch_0/Conv2d_1a_1x1",  # though it is 3x3, as the last one
    **{"branch3x3dbl_1": "Branch_1/Conv2d_0a_1x1", "branch3x3dbl_2": "Branch_1/Conv2d_0b_3x3"},
    "branch3x3dbl_3": "Branch_1/Conv2d_1a_1x1",
}
_BLOCK_C = {
    "branch1x1": "Branch_0/Conv2d_0a_1x1",
    **{"branch7x7_1": "Branch_1/Conv2d_0a_1x1", "branch7x7_2": "Branch_1/Conv2d_0b_1x7"},
    "branch7x7_3": "Branch_1/Conv2d_0c_7x1",
    **{"branch7x7dbl_1": "Branch_2/Conv2d_0a_1x1", "branch7x7dbl_2": "Branch_2/Conv2d_0b_7x1"},
    **{"branch7x7dbl_3": "Branch_2/Conv2d_0c_1x7", "branch7x7dbl_4": "Branch_2/Conv2d_0d_7x1"},
    "branch7x7dbl_5": "Branch_2/Conv2d_0e_1x7",
    "branch_pool": "Branch_3/Conv2d_0b_1x1",
}
_BLOCKS = {
    "5b": _BLOCK_A,
    # Slim's own slip of the pen.
    "5c": {**_BLOCK_A, "branch5x5_1": "Branch_1/Conv2d_0b_1x1", "branch5x5_2": "Branch_1/Conv_1_0c_5x5"},
    "5d": _BLOCK_A,
    "6a": _BLOCK_B,
    **dict.fromkeys(("6b", "6c", "6d", "6e"), _BLOCK_C),
}
# {our layer: theirs}.
TRUNK = {
    **_STEM,
    **{
        f"mixed_{block}_{ours}": f"Mixed_{block}/{theirs}"
        for block, branches in _BLOCKS.items()
        for ours, theirs in branches.items()
    },
}


def naming(title, layers, variables, ignored=()):
    """The Naming of a network under the scope InceptionV3; arguments as in tensorpack.naming."""
    scoped = {ours: f"InceptionV3/{theirs}" for ours, theirs in layers.items()}
    return tensorpack.naming(title, scoped, variables, endings=_ENDINGS, ignored=ignored)
