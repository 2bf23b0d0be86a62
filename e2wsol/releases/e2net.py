"""The E2Net authors' TF1 checkpoints, on tensorpack's networks."""

from e2wsol.releases import tensorpack

# Our end points -> the numbers of their --gating_position.
_GATES = {
    "vgg16": {
        **{layer: layer.removeprefix("conv").replace("_", "") for layer in tensorpack.VGG16},
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
_HEADS = {
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
BACKBONES = tuple(_GATES)


def namings(backbone, variables):
    """The one Naming of the release for a backbone of BACKBONES, wherever the gates stand."""
    gates = {f"mae_{point}/transform": _scope(point) + f"aware_{number}" for point, number in _GATES[backbone].items()}
    layers = {**tensorpack.TRUNKS[backbone], **gates, **_HEADS[backbone]}
    yield tensorpack.naming(f"E2Net's release ({backbone})", layers, variables)


def gating_position(number, backbone):
    """E2Net's gating position (3, 53, 31, ...; int or str) as the name of our end point.

    >>> gating_position(53, "vgg16"), gating_position(31, "resnet50_se")
    ('conv5_3', 'group2_block0')
    """
    return next(point for point, theirs in _GATES[backbone].items() if theirs == str(number))


def _scope(point):
    """Gates behind a block lie inside it."""
    return point.replace("_", "/") + "/" if "_block" in point else ""
