"""Names of the SPOL authors' PyTorch state_dicts, stages cam and seg, and ours. Layouts: see checkpoints.bas."""

import re

from e2wsol.checkpoints import bas
from e2wsol.errors import UserError

_CONVOLUTION = {"weight": "kernel", "bias": "bias"}
_NORMALIZATION = {
    **{"weight": "gamma", "bias": "beta"},
    **{"running_mean": "moving_mean", "running_var": "moving_variance"},
}
_LAYERS = {
    r"fc([345])1": r"spol_squeeze\1",
    r"bn([345])1": r"spol_squeeze\1_bn",
    r"fc([345])2": r"spol_gate\1",
    r"linear([345])": r"spol_level\1",
    r"bn([345])": r"spol_level\1_bn",
    r"linear": "spol_head",
}


def variable_path(name):
    """Our variable path for a name of the authors' state_dict, or None for num_batches_tracked.

    Args:
      name: state_dict key, with or without DataParallel's "module.".

    Raises:
      UserError: the network has no such name.

    >>> variable_path("bkbone.layer4.0.bn3.running_var")
    'group3_block0_conv3_bn/moving_variance'
    >>> variable_path("bn51.weight")
    'spol_squeeze5_bn/gamma'
    """
    own = name.removeprefix("module.")
    if own.startswith("bkbone."):
        return bas.variable_path(own.removeprefix("bkbone."), "resnet50")
    module, _, leaf = own.rpartition(".")
    for pattern, replacement in _LAYERS.items():
        match = re.fullmatch(pattern, module)
        leaves = _NORMALIZATION if module.startswith("bn") else _CONVOLUTION
        if match and leaf in leaves:
            return f"{match.expand(replacement)}/{leaves[leaf]}"
        if match and leaf == "num_batches_tracked" and leaves is _NORMALIZATION:
            return None
    raise UserError(f"{name}: not a name of SPOL's network; is the checkpoint of another one?")
