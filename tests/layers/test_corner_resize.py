import keras
import numpy as np
import pytest

from e2wsol.layers import CornerResize, corner_resize


def plain(x, size):
    """Bilinear in float64, corners on corners, pixel by pixel."""
    height, width = x.shape[1:3]
    result = np.zeros((len(x), *size, x.shape[-1]))
    for row in range(size[0]):
        for column in range(size[1]):
            y, z = row * (height - 1) / max(size[0] - 1, 1), column * (width - 1) / max(size[1] - 1, 1)
            top, left = int(y), int(z)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            upper = x[:, top, left] * (left + 1 - z) + x[:, top, right] * (z - left)
            lower = x[:, bottom, left] * (left + 1 - z) + x[:, bottom, right] * (z - left)
            result[:, row, column] = upper * (top + 1 - y) + lower * (y - top)
    return result


@pytest.mark.parametrize(
    ("source", "target"), [((7, 7), (28, 28)), ((3, 5), (12, 4)), ((1, 1), (4, 6)), ((6, 2), (1, 1))]
)
def test_is_the_plain_one(source, target):
    x = np.random.default_rng(0).normal(size=(2, *source, 3)).astype(np.float32)
    found = np.asarray(CornerResize(target)(x))
    np.testing.assert_allclose(found, plain(x, target), atol=1e-5)
    np.testing.assert_array_equal(found[:, 0, 0], x[:, 0, 0])
    if 1 not in target:
        np.testing.assert_allclose(found[:, -1, -1], x[:, -1, -1], atol=1e-6)


def test_same_size_is_the_identity_and_half_precision_stays():
    x = np.random.default_rng(0).normal(size=(1, 5, 4, 2)).astype(np.float16)
    found = np.asarray(corner_resize(keras.ops.convert_to_tensor(x), (5, 4)))
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, x)


def test_config_and_shape():
    layer = CornerResize((8, 6), name="resized")
    again = CornerResize.from_config(layer.get_config())
    assert again.size == (8, 6) and again.name == "resized"
    assert layer.compute_output_shape((None, 2, 3, 5)) == (None, 8, 6, 5)
    assert CornerResize((8, 6))(keras.Input((2, 3, 5))).shape == (None, 8, 6, 5)
