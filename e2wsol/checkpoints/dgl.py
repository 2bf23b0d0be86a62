"""Names and layouts of the TF1 variables in DGL's checkpoints, tensorpack's and slim's, and ours."""

import re

import numpy as np

from e2wsol.checkpoints import tensorpack
from e2wsol.errors import UserError

# Layers of tensorpack's networks that stand on the backbone; the demo renames the classifiers of CUB.
_HEADS = {"add": "features", **dict.fromkeys(("linear", "linear_cub", "linearcub"), "linear")}

_CONVOLUTION = {"weights": "kernel", "biases": "bias"}
_NORMALIZATION = {name: name for name in ("beta", "moving_mean", "moving_variance")}
# add2 comes before add1.
_SLIM_HEADS = {"add2": "features_1", "add1": "features"}
# Our convolutions in each branch of slim's blocks 5b to 5d, 6a, and 6b to 6e, in the order of slim's letters.
_SLIM_BRANCHES = {
    "5": (
        ("branch1x1",),
        ("branch5x5_1", "branch5x5_2"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
        ("branch_pool",),
    ),
    "6a": (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")),
    "6": (
        ("branch1x1",),
        ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
        tuple(f"branch7x7dbl_{number}" for number in range(1, 6)),
        ("branch_pool",),
    ),
}
_SLIM_LETTERS = {"0a": 0, "0b": 1, "0c": 2, "0d": 3, "0e": 4, "1a": 2}
# Of the file that the network starts from: what lies behind Mixed_6e.
_LEFT_OUT = re.compile(r"InceptionV3/(Mixed_7|AuxLogits|Logits/Conv2d_1c_1x1/)|global_step$")


def variable_path(name, backbone):
    """Our variable path for a variable name of DGL's checkpoints (without ":0"), or None.

    None is for what DGL's InceptionV3 leaves out of slim's.

    Args:
      name: e.g. "conv1_1/W", "group2/block0/conv1/bn/gamma", "InceptionV3/Conv2d_1a_3x3/weights".
      backbone: "vgg16", "resnet50", "resnet50_se" or "inception_v3_slim".

    Raises:
      UserError: the network has no such name.

    >>> variable_path("InceptionV3/Mixed_5c/Branch_1/Conv_1_0c_5x5/BatchNorm/beta", "inception_v3_slim")
    'mixed_5c_branch5x5_2_bn/beta'
    """
    if backbone != "inception_v3_slim":
        return tensorpack.variable_path(name, backbone, _HEADS)
    if _LEFT_OUT.match(name):
        return None
    match = re.fullmatch(r"InceptionV3/(.+?)/(BatchNorm/)?(\w+)", name)
    module, normalization, leaf = match.groups() if match else ("", "", "")
    layer = _slim_layer(module)
    leaves = _NORMALIZATION if normalization else _CONVOLUTION
    if layer is None or leaf not in leaves:
        raise UserError(f"{name}: not a name of DGL's {backbone}; is the checkpoint of another network?")
    return f"{layer}{'_bn' if normalization else ''}/{leaves[leaf]}"


def to_keras_layout(value, path):
    """The authors' array as the variable at `path` has it; slim's classifier is a 1x1 convolution."""
    value = np.asarray(value)
    return value[0, 0] if path == "linear/kernel" and value.ndim == 4 else value


def end_point(layer):
    """Our name for a layer that the authors' demo localizes in.

    >>> end_point("group3/block0_shortcut"), end_point("MaxPool_3a_3x3"), end_point("add2")
    ('group3_block0', 'pool1', 'features_1')
    """
    pool = re.match(r"MaxPool_([35])a", layer)
    if pool:
        return {"3": "pool1", "5": "pool2"}[pool[1]]
    layer = layer.rpartition("/")[2] if layer.startswith("Logits/") else layer
    if layer in _SLIM_HEADS or layer in _HEADS:
        return _SLIM_HEADS.get(layer) or _HEADS[layer]
    stem = re.match(r"Conv2d_\d[ab]", layer)
    # The end point called "shortcut" is the block's output.
    return (stem[0] if stem else layer.removesuffix("_shortcut").replace("/", "_")).lower()


def _slim_layer(module):
    if match := re.fullmatch(r"Conv2d_(\d[ab])_\dx\d", module):
        return f"conv2d_{match[1]}"
    if match := re.fullmatch(r"Logits/(?:(add[12])|Conv2d_1c_1x1_\d+)", module):
        return _SLIM_HEADS.get(match[1], "linear")
    match = re.fullmatch(r"(Mixed_([56])([a-e]))/Branch_(\d)/Conv(?:2d)?(?:_1)?_(\d[a-e])_\dx\d", module)
    if match is None:
        return None
    block, stage, letter, branch, position = match.groups()
    branches = _SLIM_BRANCHES["6a" if stage + letter == "6a" else stage]
    steps = branches[int(branch)] if int(branch) < len(branches) else ()
    # Slim begins this branch with the letter b, and the pooled ones too.
    index = _SLIM_LETTERS.get(position, len(steps)) - ((block, branch) == ("Mixed_5c", "1"))
    index = 0 if len(steps) == 1 else index
    return f"{block.lower()}_{steps[index]}" if 0 <= index < len(steps) else None
