import numpy as np
import pytest
from keras import ops

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


def every_value():
    """(1, 16, 16, 3): all of 0..255, in another order in each channel."""
    values = np.arange(256, dtype=np.uint8)
    return np.stack([values, values[::-1], np.roll(values, 77)], axis=-1).reshape(1, 16, 16, 3)


def test_imagenet_arithmetic_is_torchs_bit_for_bit():
    """Division by 255, subtraction and division, each rounded to float32, as torchvision's ToTensor and Normalize."""
    scaled = every_value().astype(np.float32) / np.float32(255)
    expected = (scaled - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    assert expected.dtype == np.float32
    outputs = Preprocessing("imagenet")(every_value())
    np.testing.assert_array_equal(outputs, expected)
    np.testing.assert_array_equal(Preprocessing("imagenet_bgr")(every_value()), expected[..., ::-1])


@pytest.mark.parametrize("scheme", PREPROCESSINGS)
@pytest.mark.parametrize(("policy", "dtype"), [("float64", "float64"), ("mixed_bfloat16", "bfloat16")])
def test_other_precisions_are_the_float32_numbers_cast(scheme, policy, dtype):
    outputs = Preprocessing(scheme, dtype=policy)(every_value())
    assert outputs.dtype == dtype
    single = Preprocessing(scheme, dtype="float32")(every_value())
    np.testing.assert_array_equal(ops.cast(outputs, "float64"), ops.cast(ops.cast(single, dtype), "float64"))


def test_config_round_trip():
    layer = Preprocessing("caffe", name="p")
    assert Preprocessing.from_config(layer.get_config()).get_config() == layer.get_config()
