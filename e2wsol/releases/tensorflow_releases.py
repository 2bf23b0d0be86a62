"""The TF1 checkpoints of the authors of E2Net and DGL: tensorpack's networks, and slim's InceptionV3."""

import dataclasses
import re
from collections.abc import Iterator

from e2wsol.releases import tensorflow_names
from e2wsol.releases.naming import Release, Shapes, TensorNaming

# Our end points -> the numbers of their flag gating_position.
_E2NET_GATES = {
    "vgg16": {
        **{layer: layer.removeprefix("conv").replace("_", "") for layer in tensorflow_names.VGG16},
        **{f"pool{block}": str(block) for block in (1, 2, 3, 4)},
    },
    "resnet50_se": {
        **{"conv0": "0", "pool0": "1", **{f"group{group}": str(group + 2) for group in range(4)}},
        **{
            f"group{group}_block{block}": f"{group + 1}{block + 1}"
            for group, blocks in enumerate((3, 4, 6, 3))
            for block in range(blocks)
        },
    },
}
_E2NET_HEADS = {
    "vgg16": {
        **{"original_features": "new", "original_linear": "linear"},
        **{"horizontal_conv": "conv1x3", "horizontal_features": "new1x3", "horizontal_linear": "1x3_linear"},
        **{"vertical_conv": "conv3x1", "vertical_features": "new3x1", "vertical_linear": "3x1_linear"},
    },
    "resnet50_se": {
        "original_linear": "linearnew",
        **{"horizontal_conv": "conv1x3", "horizontal_linear": "linearnew_1x3"},
        **{"vertical_conv": "conv3x1", "vertical_linear": "linearnew_3x1"},
    },
}
_DGL_CLASSIFIER = "linear/kernel"
# What the demo calls the classifier of CUB; the training scripts call every one "linear".
_DGL_DEMO = {"vgg16": "linear_cub", "resnet50": "linearcub", "resnet50_se": "linearcub"}
_DGL_FEATURES = {"features": "add"}
_DGL_SLIM_FEATURES = {"features_1": "add2", "features": "add1"}  # add2 comes before add1
_DGL_END_POINTS = {theirs: ours for ours, theirs in (*_DGL_FEATURES.items(), *_DGL_SLIM_FEATURES.items())}


def _e2net_namings(backbone: str, variables: Shapes) -> Iterator[TensorNaming]:
    """The one of the release, wherever the gates stand."""
    gates = {
        f"mae_{point}/transform": _e2net_scope(point) + f"aware_{number}"
        for point, number in _E2NET_GATES[backbone].items()
    }
    layers = {**tensorflow_names.TRUNKS[backbone], **gates, **_E2NET_HEADS[backbone]}
    yield tensorflow_names.naming(f"E2Net's release ({backbone})", layers, variables)


def e2net_gating_position(number: int | str, backbone: str) -> str:
    """E2Net's gating position (3, 53, 31, ...; int or str) as the name of our end point.

    >>> e2net_gating_position(53, "vgg16"), e2net_gating_position(31, "resnet50_se")
    ('conv5_3', 'group2_block0')
    """
    return next(point for point, theirs in _E2NET_GATES[backbone].items() if theirs == str(number))


def _e2net_scope(point: str) -> str:
    """Gates behind a block lie inside it."""
    return point.replace("_", "/") + "/" if "_block" in point else ""


def _dgl_namings(backbone: str, variables: Shapes) -> list[TensorNaming]:
    """Of the training's files and of the demo's."""
    if backbone == "inception_v3_slim":
        return [_dgl_slim(variables)]
    trunk = {**tensorflow_names.TRUNKS[backbone], **_DGL_FEATURES}
    return [
        tensorflow_names.naming(f"DGL's {file} ({backbone})", {**trunk, "linear": classifier}, variables)
        for file, classifier in (("release", "linear"), ("demo for CUB", _DGL_DEMO[backbone]))
    ]


def dgl_end_point(layer: str) -> str:
    """Our name for a layer that the authors' demo localizes in.

    >>> dgl_end_point("group3/block0_shortcut"), dgl_end_point("MaxPool_3a_3x3"), dgl_end_point("add2")
    ('group3_block0', 'pool1', 'features_1')
    """
    pool = re.match(r"MaxPool_([35])a", layer)
    if pool:
        return {"3": "pool1", "5": "pool2"}[pool[1]]
    layer = layer.rpartition("/")[2] if layer.startswith("Logits/") else layer
    if layer in _DGL_END_POINTS:
        return _DGL_END_POINTS[layer]
    stem = re.match(r"Conv2d_\d[ab]", layer)
    # The end point called "shortcut" is the block's output.
    return (stem[0] if stem else layer.removesuffix("_shortcut").replace("/", "_")).lower()


def _dgl_slim(variables: Shapes) -> TensorNaming:
    """Slim's classifier is a 1x1 convolution with the number of classes in its name."""
    *_, classes = variables[_DGL_CLASSIFIER]
    heads = {**_DGL_SLIM_FEATURES, "linear": f"Conv2d_1c_1x1_{classes}"}
    layers = {**tensorflow_names.SLIM_INCEPTION_V3, **{ours: f"Logits/{theirs}" for ours, theirs in heads.items()}}
    naming = tensorflow_names.slim_naming("DGL's release (inception_v3_slim)", layers, variables)
    entries = tuple(
        dataclasses.replace(pair, shape=(1, 1, *pair.shape), unit_axes=2) if pair.ours == _DGL_CLASSIFIER else pair
        for pair in naming.pairs
    )
    return dataclasses.replace(naming, entries=entries)


E2NET = Release(tuple(_E2NET_GATES), _e2net_namings, "imagenet_bgr", "auto", "opencv")
DGL = Release((*_DGL_DEMO, "inception_v3_slim"), _dgl_namings, "imagenet_bgr", "tensorflow", "opencv")
