"""ResNet50 and InceptionV3 against torchvision's networks with BAS' strides and paddings put in."""

import zlib

import numpy as np
import pytest

from e2wsol import backbones
from e2wsol.backbones import BackboneOptions

SIDE = 104  # 13x13 at the trunk: an odd side meets the other half of the padding rules

# Channel means of torchvision 0.29's features (trunk, then final) on `picture()` with the weights of
# `made_up`: top left, top right, bottom left, bottom right, and over all positions.
RESNET_TRUNK = (0.270887, 0.304839, 0.287534, 0.315609, 0.407429)
INCEPTION_TRUNK = (0.156449, 0.16023, 0.133225, 0.162845, 0.315326)
EXPECTED = {
    ("resnet50", 16): (RESNET_TRUNK, (0.206362, 0.219315, 0.212514, 0.220937, 0.241385)),
    ("resnet50", 8): (RESNET_TRUNK, (0.166735, 0.178449, 0.17011, 0.178301, 0.224494)),
    ("inception_v3", 16): (INCEPTION_TRUNK, (0.16215, 0.1609, 0.146749, 0.151016, 0.257522)),
    ("inception_v3", 8): (INCEPTION_TRUNK, (0.148684, 0.150398, 0.135925, 0.14317, 0.28263)),
}


def picture():
    return np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)


def made_up(path, shape):
    """Start value of the variable at `path`, which keeps features near unit size."""
    rng = np.random.Generator(np.random.Philox(key=zlib.crc32(path.encode())))
    kind = path.rpartition("/")[2]
    if kind == "kernel":
        return np.sqrt(1.5 / np.prod(shape[:-1])) * rng.standard_normal(shape)
    if kind in ("gamma", "moving_variance"):
        ends_residual = path.startswith("group") and ("conv3_bn" in path or "shortcut_bn" in path)
        return rng.uniform(0.5, 1.5, shape) * (8 if ends_residual and kind == "moving_variance" else 1)
    return 0.1 * rng.standard_normal(shape)


def summary(features):
    """Channel means at the corners and over all positions of (1, h, w, c)."""
    means = np.asarray(features, np.float64)[0].mean(-1)
    return (means[0, 0], means[0, -1], means[-1, 0], means[-1, -1], means.mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "output_stride"),
    list(EXPECTED),
)
def test_features_are_torchs(backbone, output_stride):
    network = backbones.build(BackboneOptions(backbone=backbone, output_stride=output_stride), SIDE)
    for variable in network.weights:
        variable.assign(made_up(variable.path, tuple(variable.shape)))
    features = network(picture(), training=False)
    trunk, final = EXPECTED[backbone, output_stride]
    np.testing.assert_allclose(summary(features[backbones.architecture(backbone).trunk]), trunk, rtol=1e-4)
    np.testing.assert_allclose(summary(list(features.values())[-1]), final, rtol=1e-4)
