"""The DGL authors' TF1 checkpoints: tensorpack's VGG16 and ResNet-50, and slim's InceptionV3."""

import dataclasses
import re

from e2wsol.releases import slim, tensorpack

_CLASSIFIER = "linear/kernel"
# What the demo calls the classifier of CUB; the training scripts call every one "linear".
_DEMO = {"vgg16": "linear_cub", "resnet50": "linearcub", "resnet50_se": "linearcub"}
BACKBONES = (*_DEMO, "inception_v3_slim")
_FEATURES = {"features": "add"}
_SLIM_FEATURES = {"features_1": "add2", "features": "add1"}  # add2 comes before add1
_END_POINTS = {theirs: ours for ours, theirs in (*_FEATURES.items(), *_SLIM_FEATURES.items())}


def namings(backbone, variables):
    """The Namings of the release for a backbone of BACKBONES."""
    if backbone == "inception_v3_slim":
        return [_slim(variables)]
    trunk = {**tensorpack.TRUNKS[backbone], **_FEATURES}
    return [
        tensorpack.naming(f"DGL's {file} ({backbone})", {**trunk, "linear": classifier}, variables)
        for file, classifier in (("release", "linear"), ("demo for CUB", _DEMO[backbone]))
    ]


def end_point(layer):
    """Our name for a layer that the authors' demo localizes in.

    >>> end_point("group3/block0_shortcut"), end_point("MaxPool_3a_3x3"), end_point("add2")
    ('group3_block0', 'pool1', 'features_1')
    """
    pool = re.match(r"MaxPool_([35])a", layer)
    if pool:
        return {"3": "pool1", "5": "pool2"}[pool[1]]
    layer = layer.rpartition("/")[2] if layer.startswith("Logits/") else layer
    if layer in _END_POINTS:
        return _END_POINTS[layer]
    stem = re.match(r"Conv2d_\d[ab]", layer)
    # The end point called "shortcut" is the block's output.
    return (stem[0] if stem else layer.removesuffix("_shortcut").replace("/", "_")).lower()


def _slim(variables):
    """Slim's classifier is a 1x1 convolution with the number of classes in its name."""
    *_, classes = variables[_CLASSIFIER]
    heads = {**_SLIM_FEATURES, "linear": f"Conv2d_1c_1x1_{classes}"}
    layers = {**slim.TRUNK, **{ours: f"Logits/{theirs}" for ours, theirs in heads.items()}}
    naming = slim.naming("DGL's release (inception_v3_slim)", layers, variables)
    entries = tuple(
        dataclasses.replace(pair, shape=(1, 1, *pair.shape), unit_axes=2) if pair.ours == _CLASSIFIER else pair
        for pair in naming.entries
    )
    return dataclasses.replace(naming, entries=entries)
