import keras
import numpy as np
import pytest

from e2wsol.layers import ORIENTATIONS, DiagonalConv2D, orientation_conv


def made(layer, x):
    keras.utils.set_random_seed(2)
    layer.build(x.shape)
    return layer


def dense_convolution(x, kernel, bias):
    """Zero-padded 3x3 convolution by explicit sums over the nine offsets."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    total = sum(
        padded[:, row : row + height, column : column + width] @ kernel[row, column]
        for row in range(3)
        for column in range(3)
    )
    return total + bias


@pytest.mark.parametrize("falling", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
def test_diagonal_is_a_dense_convolution_with_the_embedded_kernel(falling, use_bias):
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype(np.float32)
    layer = made(DiagonalConv2D(4, falling=falling, use_bias=use_bias), x)
    bias = np.zeros(4)
    if use_bias:
        bias = np.arange(4) / 10
        layer.bias.assign(bias)
    kernel = np.zeros((3, 3, 3, 4))
    for row in range(3):
        kernel[row, row if falling else 2 - row] = layer.kernel[row]
    np.testing.assert_allclose(layer(x), dense_convolution(x, kernel, bias), rtol=1e-4, atol=1e-5)
    assert len(layer.weights) == 1 + use_bias
    assert layer.compute_output_shape(x.shape) == (2, 5, 6, 4)


# Where a single bright pixel spreads to, as (row, column) steps.
SPREAD = {
    "horizontal": {(0, -1), (0, 0), (0, 1)},
    "vertical": {(-1, 0), (0, 0), (1, 0)},
    "left_oblique": {(-1, -1), (0, 0), (1, 1)},
    "right_oblique": {(-1, 1), (0, 0), (1, -1)},
}


@pytest.mark.parametrize("orientation", ORIENTATIONS[1:])
def test_orientations_see_along_their_line(orientation):
    x = np.zeros((1, 7, 7, 1), np.float32)
    x[0, 3, 3] = 1
    layer = orientation_conv(orientation, 1, use_bias=True, kernel_initializer="ones", name=orientation)
    rows, columns = np.nonzero(np.asarray(layer(x))[0, :, :, 0])
    assert set(zip((rows - 3).tolist(), (columns - 3).tolist())) == SPREAD[orientation]


@pytest.mark.parametrize("orientation", ORIENTATIONS[1:])
def test_bias_and_channels_as_asked(orientation):
    layer = orientation_conv(orientation, 5, use_bias=False, kernel_initializer="he_normal", name="head")
    assert layer(np.ones((1, 4, 4, 2), np.float32)).shape == (1, 4, 4, 5)
    assert [weight.path for weight in layer.weights] == ["head/kernel"]
    # All oriented heads have as many weights: three positions.
    assert np.prod(layer.kernel.shape) == 3 * 2 * 5


def test_initial_spread_is_that_of_three_positions():
    layer = made(DiagonalConv2D(256), np.zeros((1, 4, 4, 256), np.float32))
    assert np.std(layer.kernel) == pytest.approx(np.sqrt(2 / (3 * 256)), rel=0.02)


def test_half_precision():
    layer = DiagonalConv2D(3, dtype="mixed_float16")
    assert layer(np.ones((1, 4, 4, 2), np.float16)).dtype == "float16" and layer.kernel.dtype == "float32"


def test_config_round_trip():
    layer = DiagonalConv2D(5, falling=False, use_bias=False, kernel_initializer="ones", name="d")
    again = DiagonalConv2D.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    x = np.ones((1, 3, 3, 2), np.float32)
    np.testing.assert_array_equal(again(x), layer(x))
