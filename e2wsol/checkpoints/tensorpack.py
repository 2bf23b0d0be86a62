"""Names of tensorpack's TF1 variables for the networks of E2Net, and ours."""

import re

from e2wsol.errors import UserError

# E2Net's numbers of gating positions that are not simply digits of a layer's name.
_VGG_POOLS = {"1": "pool1", "2": "pool2", "3": "pool3", "4": "pool4"}
_RESNET_POSITIONS = {"0": "conv0", "1": "pool0", "2": "group0", "3": "group1", "4": "group2", "5": "group3"}
_VARIABLES = {
    "W": "kernel",
    "b": "bias",
    "bn/gamma": "gamma",
    "bn/beta": "beta",
    "bn/mean/EMA": "moving_mean",
    "bn/variance/EMA": "moving_variance",
}
# E2Net's heads: their layer name -> ours.
_HEADS = {
    **{"new": "original_features", "linear": "original_linear"},
    **{"conv1x3": "horizontal_conv", "new1x3": "horizontal_features", "1x3_linear": "horizontal_linear"},
    **{"conv3x1": "vertical_conv", "new3x1": "vertical_features", "3x1_linear": "vertical_linear"},
    **{"linearnew": "original_linear", "linearnew_1x3": "horizontal_linear", "linearnew_3x1": "vertical_linear"},
}


def gating_position(number, backbone):
    """E2Net's gating position (3, 53, 31, ...) as the name of our end point.

    Args:
      number: int or str, as in the scripts' --gating_position.
      backbone: "vgg16" or "resnet50_se".
    """
    number = str(number)
    if backbone == "vgg16":
        return _VGG_POOLS.get(number) or f"conv{number[0]}_{number[1]}"
    return _RESNET_POSITIONS.get(number) or f"group{int(number[0]) - 1}_block{int(number[1]) - 1}"


def variable_path(name, backbone, heads=_HEADS):
    """Our variable path for a variable name of tensorpack's checkpoints (without ":0").

    Args:
      name: e.g. "conv1_1/W".
      backbone: "vgg16", "resnet50" or "resnet50_se".
      heads: {their layer name: ours} of what stands on the backbone; by default E2Net's.

    Raises:
      UserError: no variable of these networks is called so.

    >>> variable_path("group2/block0/aware_31/W", "resnet50_se")
    'mae_group2_block0/transform/kernel'
    """
    match = re.fullmatch(rf"(.+?)/({'|'.join(_VARIABLES)})", name)
    if match is None:
        raise UserError(f"{name}: not a name of tensorpack's {backbone}; is the checkpoint of another network?")
    layer, variable = match.groups()
    leaf = layer.rpartition("/")[2]
    if leaf.startswith("aware_"):
        layer = f"mae_{gating_position(leaf.removeprefix('aware_'), backbone)}/transform"
    else:
        layer = heads.get(layer) or layer.replace("/", "_")
    if variable.startswith("bn/"):
        layer += "_bn"
    return f"{layer}/{_VARIABLES[variable]}"
