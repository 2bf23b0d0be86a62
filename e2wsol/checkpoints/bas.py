"""Names and layouts of the BAS authors' PyTorch state_dicts, CUB and ILSVRC, and ours.

ILSVRC's networks hold the erased branch as copies of layers. Every forward overwrites the copies'
weights, biases, gammas and betas from the main layers, so these have no counterpart here; their
running statistics stay their own, and ours are the variables under ERASED.
"""

import re

import numpy as np

from e2wsol.errors import UserError

ERASED = "erased_statistics/"

_RUNNING = {"running_mean": "moving_mean", "running_var": "moving_variance"}
_CONVOLUTION = {"weight": "kernel", "bias": "bias"}
_NORMALIZATION = {"weight": "gamma", "bias": "beta", **_RUNNING}
# CUB's InceptionV3 calls the first one "classifier".
_HEADS = {"0": "conv1", "2": "conv2", "4": "conv3"}
# Of the files that the networks start from: the classification head, which BAS leaves out.
_DEPTHWISE = re.compile(r"conv_dw_\d+/")
_LEFT_OUT = re.compile(r"(fc|AuxLogits)\.")


def variable_path(name, backbone):
    """Our variable path for a name of the authors' state_dict, or None where ours has no counterpart.

    None is for num_batches_tracked, for the copies' trainable values (see above), and for the
    classification head of the start files (fc, AuxLogits).

    Args:
      name: state_dict key, with or without DataParallel's "module.".
      backbone: "vgg16", "mobilenet_v1", "resnet50" or "inception_v3".

    Raises:
      UserError: the network has no such name.

    >>> variable_path("module.layer4_copy.0.bn3.running_var", "resnet50")
    'erased_statistics/group3_block0_conv3_bn/moving_variance'
    """
    own = name.removeprefix("module.")
    module, _, leaf = own.rpartition(".")
    module, copied = _main_module(module)
    if leaf == "num_batches_tracked" or _LEFT_OUT.match(own) or (copied and leaf not in _RUNNING):
        return None
    layer = _head(module) or _LAYERS[backbone](module)
    leaves = _NORMALIZATION if layer and layer.endswith("_bn") else _CONVOLUTION
    if layer is None or leaf not in leaves:
        raise UserError(f"{name}: not a name of BAS's {backbone}; is the checkpoint of another network?")
    return f"{ERASED if copied else ''}{layer}/{leaves[leaf]}"


def to_keras_layout(value, path):
    """The authors' array (out, in, h, w; depthwise c, 1, h, w) as the variable at `path` has it: HWIO, HWC1."""
    value = np.asarray(value)
    if value.ndim != 4:
        return value
    return value.transpose(2, 3, 0, 1) if _DEPTHWISE.match(path) else value.transpose(2, 3, 1, 0)


def to_torch_layout(value, path):
    """The inverse of to_keras_layout."""
    value = np.asarray(value)
    if value.ndim != 4:
        return value
    return value.transpose(2, 3, 0, 1) if _DEPTHWISE.match(path) else value.transpose(3, 2, 0, 1)


def _main_module(module):
    """The layer's own module and whether `module` is its copy in the erased branch."""
    for pattern, main in (
        (r"conv_copy_(5_\d)$", r"conv\1"),
        (r"(classifier(?:_cls)?|layer4|Mixed_7[abc])_copy(?=\.)", r"\1"),
        (r"erase_branch\.(?=1[23]\.)", "model."),
    ):
        found, count = re.subn(rf"^{pattern}", main, module)
        if count:
            return found, True
    return module, False


def _head(module):
    if module == "classifier_loc.0":
        return "classifier_loc"
    match = re.fullmatch(r"classifier(?:_cls)?\.([024])", module)
    return f"classifier_cls/{_HEADS[match[1]]}" if match else None


def _vgg16(module):
    return module if re.fullmatch(r"conv\d_\d", module) else None


def _mobilenet_v1(module):
    """model.0 is the first convolution, model.N a depthwise (0, 1) and a pointwise pair (3, 4)."""
    match = re.fullmatch(r"model\.(\d+)\.([0134])", module)
    if not match:
        return None
    block, part = int(match[1]), int(match[2])
    layer = f"conv_{'dw' if part < 3 else 'pw'}_{block}" if block else "conv1"
    return f"{layer}_bn" if part in (1, 4) else layer


def _resnet50(module):
    if module in ("conv1", "bn1"):
        return {"conv1": "conv0", "bn1": "conv0_bn"}[module]
    match = re.fullmatch(r"layer([1-4])\.(\d)\.(?:(conv|bn)([123])|downsample\.([01]))", module)
    if not match:
        return None
    group, block, kind, number, shortcut = match.groups()
    layer = f"group{int(group) - 1}_block{block}_conv{number or 'shortcut'}"
    return f"{layer}_bn" if kind == "bn" or shortcut == "1" else layer


def _inception_v3(module):
    match = re.fullmatch(r"(?:(Conv2d_\d[ab])_\dx\d|(Mixed_\d[a-e])\.(branch\w+))\.(conv|bn)", module)
    if not match:
        return None
    stem, block, branch, kind = match.groups()
    layer = stem.lower() if stem else f"{block.lower()}_{branch}"
    return f"{layer}_bn" if kind == "bn" else layer


_LAYERS = {"vgg16": _vgg16, "mobilenet_v1": _mobilenet_v1, "resnet50": _resnet50, "inception_v3": _inception_v3}
