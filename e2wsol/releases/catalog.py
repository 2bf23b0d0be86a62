"""All releases and start files that are known, and how each calls the tensors of a network."""

import pathlib
from typing import Any

import keras

from e2wsol import flagfiles
from e2wsol.errors import ArgumentError, UserError
from e2wsol.releases import pytorch_names, tensorflow_names
from e2wsol.releases.naming import Shapes, TensorNaming
from e2wsol.releases.pytorch_releases import BAS, MNPO, SPOL
from e2wsol.releases.tensorflow_releases import DGL, E2NET

# Method -> its release.
RELEASES = {
    **{"bas": BAS, "dgl": DGL, "e2net": E2NET},
    **{"mnpo": MNPO, "mnpos": MNPO, "spol_cam": SPOL, "spol_seg": SPOL},
}
# Data set of a release -> its number of classes.
DATASET_CLASSES = {"cub": 200, "ilsvrc": 1000}
# Flagfiles that are not called METHOD_BACKBONE.
_FLAGFILES = {
    ("e2net", "vgg16"): "e2net_vgg",
    ("dgl", "inception_v3_slim"): "dgl_inception_v3",
    ("spol_cam", "resnet50"): "spol_cam",
    ("spol_seg", "resnet50"): "spol_seg",
}

# Of torchvision's features: convolutions, ReLUs and pools are counted.
_FEATURES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_VGG16 = {layer: f"features.{number}" for layer, number in zip(pytorch_names.VGG16, _FEATURES, strict=True)}
# Backbone -> (title, {our layer: theirs}, what else is in the file) of each start file.
_PYTORCH_START = {
    "vgg16": ("torchvision's vgg16", _VGG16, r"classifier\..+"),
    "resnet50": ("torchvision's resnet50", pytorch_names.RESNET50, r"fc\..+"),
    "inception_v3": ("torchvision's inception_v3", pytorch_names.INCEPTION_V3, r"(fc|AuxLogits)\..+"),
    "mobilenet_v1": ("BAS's start file of mobilenet_v1", pytorch_names.MOBILENET_V1, r"(fc|classifier)\..+"),
}
_TENSORPACK_START = {
    "vgg16": ("tensorpack's vgg16.npz", r"fc[678]/.+"),
    "resnet50": ("tensorpack's ImageNet-ResNet50.npz", r"linear/.+"),
    "resnet50_se": ("tensorpack's ImageNet-ResNet50-SE.npz", r"linear/.+"),
}
_SLIM_START = "inception_v3_slim"
_HEAD = "classification head of the start file"


def namings(method: str, backbone: str, variables: Shapes) -> tuple[TensorNaming, ...]:
    """All released ways to name the tensors of a method's network: one for each variant that holds all of them.

    Args:
      method: a key of methods.METHODS.
      backbone: a key of backbones.ARCHITECTURES.
      variables: {path: shape} of what the file must hold, see `variables`.

    Raises:
      UserError: nothing was released for the method on that backbone, or not for this form of it.
    """
    release = RELEASES.get(method)
    if release is None or backbone not in release.backbones:
        known = "; ".join(f"{name} on {', '.join(each.backbones)}" for name, each in RELEASES.items())
        raise UserError(f"{method} on {backbone}: its authors released no such network; known are {known}")
    found = tuple(release.namings(backbone, variables))
    lacking = [set(variables) - {pair.ours for pair in naming.pairs} for naming in found]
    if all(lacking):
        fewest = min(lacking, key=len)
        first, *more = sorted(fewest)
        others = f" and {len(more)} more" if more else ""
        raise UserError(f"{method} on {backbone}: the released network has no counterpart of {first}{others}")
    return tuple(naming for naming, left in zip(found, lacking) if not left)


def namings_of(model: Any) -> tuple[TensorNaming, ...]:
    """`namings` of a Method's network."""
    return namings(model.key, model.backbone_options.backbone, shapes(model))


def start_namings(backbone: str, variables: Shapes) -> tuple[TensorNaming, ...]:
    """The usual start weights of a backbone alone; variables of the mapping that none of them has are left out.

    Raises:
      UserError: none are known for the backbone.
    """
    found = []
    if backbone in _PYTORCH_START:
        title, layers, head = _PYTORCH_START[backbone]
        found.append(pytorch_names.naming(title, layers, variables, ignored=((head, _HEAD),)))
    if backbone in _TENSORPACK_START:
        title, head = _TENSORPACK_START[backbone]
        layers = tensorflow_names.TRUNKS[backbone]
        found.append(tensorflow_names.naming(title, layers, variables, ignored=((head, _HEAD),)))
    if backbone == _SLIM_START:
        behind = (r"InceptionV3/(Mixed_7[abc]|AuxLogits|Logits)/.+", "behind Mixed_6e, where DGL's network ends")
        layers = tensorflow_names.SLIM_INCEPTION_V3
        found.append(tensorflow_names.slim_naming("slim's inception_v3.ckpt", layers, variables, ignored=(behind,)))
    if not found:
        known = ", ".join(dict.fromkeys((*_PYTORCH_START, *_TENSORPACK_START, _SLIM_START)))
        raise UserError(f"{backbone}: no start files are known; there are some of {known}")
    return tuple(found)


def variables(model: keras.Model) -> dict[str, Any]:
    """{path: variable} of what a file must hold: all but random seeds and schedules' scalars.

    Args:
      model: a Method, or a backbone.
    """
    return {variable.path: variable for variable in model.weights if len(variable.shape)}


def shapes(model: keras.Model) -> dict[str, tuple[int, ...]]:
    """{path: shape} of `variables`."""
    return {path: tuple(variable.shape) for path, variable in variables(model).items()}


def released_flagfile(method: str, backbone: str, dataset: str) -> pathlib.Path:
    """The flagfile of a release.

    Args:
      method: a key of methods.METHODS.
      backbone: a key of backbones.ARCHITECTURES.
      dataset: a key of DATASET_CLASSES.

    Raises:
      ArgumentError: there is none.
    """
    name = _FLAGFILES.get((method, backbone), f"{method}_{backbone}")
    file = flagfiles.folder() / f"{name}{'' if dataset == 'cub' else f'_{dataset}'}.cfg"
    if not file.is_file():
        problem = f"{method} on {backbone} has no released settings here ({file} is missing); "
        raise ArgumentError("dataset", dataset, problem + "give a flagfile and num_classes")
    return file
