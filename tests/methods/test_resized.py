import keras
import numpy as np
import pytest

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.errors import UserError
from e2wsol.methods.base import Method

BACKBONE = BackboneOptions(backbone="vgg16", backbone_width=0.05)


@pytest.fixture(scope="module")
def cam():
    return methods.create("cam", backbone=BACKBONE, image_size=64, num_classes=3)


def test_same_size_is_the_method_itself(cam):
    assert cam.resized(64) is cam


def test_weights_go_along(cam):
    large = cam.resized(96)
    assert type(large) is type(cam) and large.image_size == 96 and cam.image_size == 64
    for one, other in zip(cam.get_weights(), large.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_maps_agree_far_from_the_border(cam):
    """The middle of a large picture, seen by both networks."""
    picture = np.random.default_rng(0).integers(0, 256, (1, 512, 512, 3), dtype=np.uint8)
    large, small = cam.resized(512), cam.resized(480)
    maps = large.localize(picture, np.array([1]))[1], small.localize(picture[:, 16:-16, 16:-16], np.array([1]))[1]
    whole, middle = (np.asarray(one)[0] for one in maps)
    stride = 512 // len(whole)
    whole = whole[16 // stride : len(whole) - 16 // stride, 16 // stride : len(whole) - 16 // stride]
    assert whole.shape == middle.shape
    centre = slice(len(middle) // 2 - 1, len(middle) // 2 + 1)
    # CAM's maps are divided by the number of their places.
    ratio = (512 / 480) ** 2
    np.testing.assert_allclose(whole[centre, centre] * ratio, middle[centre, centre], rtol=1e-3)


class Rigid(Method):
    """A method whose classifier has a weight for every place."""

    @classmethod
    def heads(cls, end_points, architecture, width, num_classes, options):
        features = keras.layers.Flatten()(list(end_points.values())[-1])
        return {"logits": keras.layers.Dense(num_classes)(features)}


def test_a_network_that_cannot_change_its_size():
    model = Rigid(backbone=BACKBONE, image_size=64, num_classes=3)
    with pytest.raises(UserError, match="a network trained at 64 pixels cannot take 96"):
        model.resized(96)
