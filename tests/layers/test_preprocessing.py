import numpy as np
import pytest

from e2wsol.layers import PREPROCESSINGS, Preprocessing

# One red-ish pixel; expected values by hand from the schemes' definitions.
PIXEL = (200, 100, 50)
EXPECTED = {
    "imagenet": ((200 / 255 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224, (50 / 255 - 0.406) / 0.225),
    "imagenet_bgr": ((50 / 255 - 0.406) / 0.225, (100 / 255 - 0.456) / 0.224, (200 / 255 - 0.485) / 0.229),
    "caffe": (50 - 103.939, 100 - 116.779, 200 - 123.68),
    "symmetric": (200 / 127.5 - 1, 100 / 127.5 - 1, 50 / 127.5 - 1),
}


def test_every_scheme_is_checked():
    assert set(EXPECTED) == set(PREPROCESSINGS)


@pytest.mark.parametrize("scheme", EXPECTED)
def test_numbers(scheme):
    images = np.full((2, 3, 4, 3), PIXEL, np.uint8)
    outputs = np.asarray(Preprocessing(scheme)(images))
    assert outputs.shape == images.shape and outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, np.broadcast_to(EXPECTED[scheme], images.shape), rtol=1e-5, atol=1e-6)


def test_agrees_with_keras_applications():
    from keras.applications import imagenet_utils

    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    for scheme, mode in (("imagenet", "torch"), ("caffe", "caffe"), ("symmetric", "tf")):
        expected = imagenet_utils.preprocess_input(images.astype(np.float32), mode=mode)
        np.testing.assert_allclose(Preprocessing(scheme)(images), expected, rtol=1e-5, atol=2e-5)


def test_config_round_trip():
    layer = Preprocessing("caffe", name="p")
    assert Preprocessing.from_config(layer.get_config()).get_config() == layer.get_config()
