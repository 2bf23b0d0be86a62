import keras
import numpy as np
import pytest

from e2wsol.layers import ConvolutionalClassifier


def made(layer, shape):
    """The layer built, with biases of both signs."""
    keras.utils.set_random_seed(3)
    layer.build(shape)
    rng = np.random.default_rng(0)
    for convolution in layer.convolutions:
        convolution.bias.assign(rng.normal(0, 0.3, convolution.bias.shape))
    return layer


def weights(layer):
    return [
        tuple(np.asarray(weight, np.float64) for weight in convolution.weights) for convolution in layer.convolutions
    ]


def test_values_of_one_pixel():
    """Of a 1x1 picture a 3x3 kernel sees its centre only."""
    x = np.random.default_rng(1).normal(size=(5, 1, 1, 3)).astype(np.float32)
    layer = made(ConvolutionalClassifier(4, channels=6), x.shape)
    expected = x[:, 0, 0].astype(np.float64)
    for kernel, bias in weights(layer):
        middle = kernel.shape[0] // 2
        expected = np.maximum(0, expected @ kernel[middle, middle] + bias)
    assert 0 < np.mean(expected > 0) < 1
    np.testing.assert_allclose(np.asarray(layer(x))[:, 0, 0], expected, rtol=1e-5, atol=1e-6)


def test_sees_two_pixels_in_every_direction():
    x = np.zeros((1, 9, 9, 1), np.float32)
    x[0, 4, 4] = 1
    layer = ConvolutionalClassifier(2, channels=3, kernel_initializer="ones")
    reached = np.asarray(layer(x))[0].any(-1)
    assert reached[2:7, 2:7].all() and reached.sum() == 25


def test_weights_have_the_names_that_checkpoints_are_read_by():
    layer = made(ConvolutionalClassifier(4, channels=6, name="classifier_cls"), (None, 2, 2, 3))
    assert {weight.path: tuple(weight.shape) for weight in layer.trainable_weights} == {
        **{"classifier_cls/conv1/kernel": (3, 3, 3, 6), "classifier_cls/conv1/bias": (6,)},
        **{"classifier_cls/conv2/kernel": (3, 3, 6, 6), "classifier_cls/conv2/bias": (6,)},
        **{"classifier_cls/conv3/kernel": (1, 1, 6, 4), "classifier_cls/conv3/bias": (4,)},
    }


@pytest.mark.parametrize(
    ("initializer", "deviation"),
    [("glorot_uniform", (2 / (9 * 12)) ** 0.5), ({"class_name": "RandomNormal", "config": {"stddev": 0.5}}, 0.5)],
)
def test_each_convolution_draws_its_own_start_values(initializer, deviation):
    keras.utils.set_random_seed(3)
    layer = ConvolutionalClassifier(6, channels=6, kernel_initializer=initializer)
    layer.build((None, 4, 4, 6))
    first, second, _ = (convolution.kernel.numpy() for convolution in layer.convolutions)
    assert [first.std(), second.std()] == pytest.approx([deviation] * 2, rel=0.1)
    assert not np.any(first == second)


@pytest.mark.parametrize(("policy", "dtype"), [("mixed_bfloat16", "bfloat16"), ("float64", "float64")])
def test_precision_is_the_layers_policy(policy, dtype):
    layer = ConvolutionalClassifier(4, channels=6, dtype=policy)
    assert layer(np.ones((1, 2, 2, 3), np.float32)).dtype == dtype
    assert {weight.dtype for weight in layer.weights} == {"float64" if policy == "float64" else "float32"}


def test_config_round_trip(tmp_path):
    x = np.random.default_rng(2).normal(size=(2, 3, 3, 5)).astype(np.float32)
    initializer = {"class_name": "RandomNormal", "config": {"stddev": 0.02}}
    layer = made(ConvolutionalClassifier(4, 6, initializer, name="head"), x.shape)
    again = ConvolutionalClassifier.from_config(layer.get_config())
    assert again.get_config() == layer.get_config() and again.kernel_initializer.stddev == 0.02
    assert (again.num_classes, again.channels, again.name) == (4, 6, "head")
    assert again.compute_output_shape((None, 7, 8, 5)) == (None, 7, 8, 4)
    model = keras.Sequential([keras.Input((3, 3, 5)), layer])
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(x), model(x))
