"""The BAS authors' PyTorch state_dicts, CUB's and ILSVRC's.

ILSVRC's networks hold the erased branch as copies of layers. Every forward overwrites the copies'
weights, biases, gammas and betas by the main layers', so these have no variable here; their running
statistics stay their own, and ours, where the model has them, are the variables under erased_statistics/.
"""

import dataclasses

from e2wsol.releases import pytorch
from e2wsol.releases.naming import Beside, Pair

_TRUNKS = {
    "vgg16": {layer: layer for layer in pytorch.VGG16},
    "mobilenet_v1": pytorch.MOBILENET_V1,
    "resnet50": pytorch.RESNET50,
    "inception_v3": pytorch.INCEPTION_V3,
}
BACKBONES = tuple(_TRUNKS)
# How names of what the erased branch repeats begin -> how the copies' do, in the order of registration.
_COPIES = {
    "vgg16": {
        **{f"conv5_{unit}.": f"conv_copy_5_{unit}." for unit in (1, 2, 3)},
        "classifier_cls.": "classifier_cls_copy.",
    },
    "mobilenet_v1": {
        "classifier_cls.": "classifier_cls_copy.",
        **{f"model.{block}.": f"erase_branch.{block}." for block in (12, 13)},
    },
    "resnet50": {"classifier_cls.": "classifier_cls_copy.", "layer4.": "layer4_copy."},
    "inception_v3": {
        "classifier_cls.": "classifier_cls_copy.",
        **{f"Mixed_7{block}.": f"Mixed_7{block}_copy." for block in "abc"},
    },
}


def namings(backbone, variables):
    """The Namings of CUB's release and of ILSVRC's (trained on four GPUs) for a backbone of BACKBONES."""
    head = "classifier" if backbone == "inception_v3" else "classifier_cls"
    yield pytorch.naming(f"BAS's release for CUB ({backbone})", _layers(backbone, head), variables)
    title = f"BAS's release for ImageNet ({backbone})"
    main = pytorch.naming(title, _layers(backbone, "classifier_cls"), variables, prefix="module.")
    copies = tuple(
        _copy(entry, copy + entry.theirs.removeprefix(original), variables)
        for original, copy in _COPIES[backbone].items()
        for entry in main.entries
        if entry.theirs.startswith(original)
    )
    yield dataclasses.replace(main, entries=main.entries + copies)


def _layers(backbone, head):
    heads = {f"classifier_cls/conv{number}": f"{head}.{2 * number - 2}" for number in (1, 2, 3)}
    return {**_TRUNKS[backbone], **heads, "classifier_loc": "classifier_loc.0"}


def _copy(entry, name, variables):
    """The entry of the erased branch that repeats `entry`: its own statistic, or nothing of ours."""
    if isinstance(entry, Beside):
        return dataclasses.replace(entry, theirs=name)
    own = f"erased_statistics/{entry.ours}"
    return Pair(name, own, entry.shape) if own in variables else Beside(name, entry.shape, entry.theirs)
