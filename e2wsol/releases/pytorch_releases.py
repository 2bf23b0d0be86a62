"""The PyTorch state_dicts of the authors of BAS, MNPO and SPOL.

BAS' networks for ILSVRC hold the erased branch as copies of layers. Every forward overwrites the copies'
weights, biases, gammas and betas by the main layers', so these have no variable here; their running
statistics stay their own, and ours, where the model has them, are the variables under erased_statistics/.
"""

import dataclasses
from collections.abc import Iterator

from e2wsol.releases import pytorch_names
from e2wsol.releases.naming import Release, Shapes, TensorNaming, TensorPair, UnpairedTensor

_BAS_TRUNKS = {
    "vgg16": {layer: layer for layer in pytorch_names.VGG16},
    "mobilenet_v1": pytorch_names.MOBILENET_V1,
    "resnet50": pytorch_names.RESNET50,
    "inception_v3": pytorch_names.INCEPTION_V3,
}
# How names of what the erased branch repeats begin -> how the copies' do, in the order of registration.
_BAS_COPIES = {
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


def _bas_namings(backbone: str, variables: Shapes) -> Iterator[TensorNaming]:
    """CUB's release and ILSVRC's (trained on four GPUs)."""
    head = "classifier" if backbone == "inception_v3" else "classifier_cls"
    yield pytorch_names.naming(f"BAS's release for CUB ({backbone})", _bas_layers(backbone, head), variables)
    title = f"BAS's release for ImageNet ({backbone})"
    main = pytorch_names.naming(title, _bas_layers(backbone, "classifier_cls"), variables, prefix="module.")
    copies = tuple(
        _bas_copy(entry, copy + entry.theirs.removeprefix(original), variables)
        for original, copy in _BAS_COPIES[backbone].items()
        for entry in main.entries
        if entry.theirs.startswith(original)
    )
    yield dataclasses.replace(main, entries=main.entries + copies)


def _bas_layers(backbone: str, head: str) -> dict[str, str]:
    heads = {f"classifier_cls/conv{number}": f"{head}.{2 * number - 2}" for number in (1, 2, 3)}
    return {**_BAS_TRUNKS[backbone], **heads, "classifier_loc": "classifier_loc.0"}


def _bas_copy(entry: TensorPair | UnpairedTensor, name: str, variables: Shapes) -> TensorPair | UnpairedTensor:
    """The entry of the erased branch that repeats `entry`: its own statistic, or nothing of ours."""
    if isinstance(entry, UnpairedTensor):
        return dataclasses.replace(entry, theirs=name)
    own = f"erased_statistics/{entry.ours}"
    return TensorPair(name, own, entry.shape) if own in variables else UnpairedTensor(name, entry.shape, entry.theirs)


def _mnpo_namings(backbone: str, variables: Shapes) -> Iterator[TensorNaming]:
    """Of MNPO and MNPOs, whose networks are the same; the state_dict lies beside the optimizer's in the files."""
    yield pytorch_names.naming(f"MNPO's release ({backbone})", dict(_mnpo_layers()), variables, wrapper="state_dict")


def _mnpo_layers() -> Iterator[tuple[str, str]]:
    for number, layer in enumerate(pytorch_names.VGG16, start=1):
        # conv6 is the convolution in front of the classifier.
        yield layer, "conv6_.0" if number == 6 else f"conv{number}.0"
    yield from (("features", "conv6"), ("linear", "fc"))
    for number in (1, 2):
        module = f"branch1_layer.conv{number}"
        yield from ((f"branch_conv{number}", f"{module}.0"), (f"branch_conv{number}_bn", f"{module}.1"))
    for number in (1, 2):
        yield from pytorch_names.bottleneck(f"branch_layer{number}", f"branch1_layer.layer{number}.0")


def _spol_namings(backbone: str, variables: Shapes) -> Iterator[TensorNaming]:
    """Of stages cam and seg: one network, whose last layer differs in size."""
    yield pytorch_names.naming(f"SPOL's release ({backbone})", dict(_spol_layers()), variables)


def _spol_layers() -> Iterator[tuple[str, str]]:
    yield from ((layer, f"bkbone.{module}") for layer, module in pytorch_names.RESNET50.items())
    for level in (5, 4, 3):
        yield from ((f"spol_squeeze{level}", f"fc{level}1"), (f"spol_squeeze{level}_bn", f"bn{level}1"))
        yield f"spol_gate{level}", f"fc{level}2"
    for level in (5, 4, 3):
        yield from ((f"spol_level{level}", f"linear{level}"), (f"spol_level{level}_bn", f"bn{level}"))
    yield "spol_head", "linear"


BAS = Release(tuple(_BAS_TRUNKS), _bas_namings, "imagenet", "torch", "pillow")
MNPO = Release(("vgg16",), _mnpo_namings, "imagenet", "auto", "pillow")
SPOL = Release(("resnet50",), _spol_namings, "imagenet", "torch", "opencv")
