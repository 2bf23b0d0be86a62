"""Names and layouts of the MNPO authors' PyTorch state_dicts (VGG16; MNPO's and MNPOs' are the same), and ours."""

import re

import numpy as np

from e2wsol.errors import UserError

_VGG_LAYERS = [
    f"conv{block}_{unit}" for block, units in enumerate((2, 2, 3, 3, 3), start=1) for unit in range(1, units + 1)
]
_WEIGHTS = {"weight": "kernel", "bias": "bias"}
_NORMALIZATION = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def variable_path(name):
    """Our variable path for a name of the authors' state_dict, or None for num_batches_tracked.

    Args:
      name: state_dict key, with or without DataParallel's "module.".

    Raises:
      UserError: the network has no such name.

    >>> variable_path("module.branch1_layer.layer1.0.downsample.1.running_var")
    'branch_layer1_convshortcut_bn/moving_variance'
    """
    module, _, leaf = name.removeprefix("module.").rpartition(".")
    if leaf == "num_batches_tracked":
        return None
    layer = _trunk_or_head(module) or _branch(module)
    leaves = _NORMALIZATION if layer and layer.endswith("_bn") else _WEIGHTS
    if layer is None or leaf not in leaves:
        raise UserError(f"{name}: not a name of MNPO's network; is the checkpoint of another one?")
    return f"{layer}/{leaves[leaf]}"


def to_keras_layout(value):
    """The authors' array, convolution (out, in, h, w) or classifier (out, in), as Keras has it: HWIO, in x out."""
    return np.transpose(value, {4: (2, 3, 1, 0), 2: (1, 0)}.get(np.ndim(value)))


def to_torch_layout(value):
    """The inverse of to_keras_layout."""
    return np.transpose(value, {4: (3, 2, 0, 1), 2: (1, 0)}.get(np.ndim(value)))


def _trunk_or_head(module):
    """conv1.0 .. conv13.0 are VGG's convolutions; conv6 without index the one in front of the classifier."""
    if module in ("conv6", "fc"):
        return {"conv6": "features", "fc": "linear"}[module]
    match = re.fullmatch(r"conv(6_|[1-57-9]|1[0-3])\.0", module)
    return _VGG_LAYERS[int(match[1].rstrip("_")) - 1] if match else None


def _branch(module):
    match = re.fullmatch(
        r"branch1_layer\.(?:(conv[12])\.([01])|(layer[12])\.0\.(?:(conv|bn)([123])|downsample\.([01])))", module
    )
    if not match:
        return None
    side, side_part, block, kind, number, shortcut_part = match.groups()
    layer = f"branch_{side}" if side else f"branch_{block}_conv{number or 'shortcut'}"
    return f"{layer}_bn" if kind == "bn" or "1" in (side_part, shortcut_part) else layer
