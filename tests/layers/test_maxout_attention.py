import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from e2wsol.layers import MaxoutAttentionExcitation

FEATURES = arrays.arrays(np.float32, (2, 3, 4, 5), elements=st.floats(0, 8, width=16))


def made(shape, **options):
    keras.utils.set_random_seed(1)
    layer = MaxoutAttentionExcitation(**options)
    layer.build(shape)
    layer.transform.bias.assign(np.linspace(-0.2, 0.3, shape[-1]))
    return layer


def attention_of(x, normalization):
    """Per picture, with plain loops over the batch."""
    maps = []
    for picture in x.astype(np.float64):
        mean = picture.mean(axis=-1)
        if normalization == "minmax":
            mean = mean - mean.min()
            total = mean.max()
        else:
            total = mean.sum()
        maps.append(mean / total if total else np.zeros_like(mean))
    return np.stack(maps)[..., None]


def reference(layer, x, kept):
    kernel, bias = (np.asarray(v, np.float64) for v in (layer.transform.kernel[0, 0], layer.transform.bias))
    return np.maximum(x, np.maximum(0, (x * kept) @ kernel + bias))


@pytest.mark.parametrize("normalization", ["sum", "minmax"])
@pytest.mark.parametrize("threshold", [0.02, 0.1, 0.5, 2.0])
def test_agrees_with_numpy(normalization, threshold):
    x = np.random.default_rng(0).gamma(1.0, size=(3, 4, 5, 6)).astype(np.float32)
    layer = made(x.shape, threshold=threshold, normalization=normalization)
    attention = attention_of(x, normalization)
    np.testing.assert_allclose(layer.attention(x), attention, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(layer(x), reference(layer, x, attention < threshold), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(FEATURES)
def test_attention_of_any_features_is_finite_and_normalised(x):
    for normalization in ("sum", "minmax"):
        layer = made(x.shape, threshold=0.5, normalization=normalization)
        attention = layer.attention(x).numpy()
        assert np.isfinite(attention).all() and np.isfinite(layer(x)).all()
        assert attention.min() >= 0 and attention.max() <= 1 + 1e-5
        # The output never falls below the feature: what is erased stands in the maxout's other branch.
        assert (layer(x).numpy() >= x).all()


def test_sum_to_one_and_peak_of_one():
    x = np.random.default_rng(0).gamma(1.0, size=(2, 6, 6, 3)).astype(np.float32)
    sums = made(x.shape, normalization="sum").attention(x).numpy().sum(axis=(1, 2, 3))
    minmax = made(x.shape, normalization="minmax").attention(x).numpy()
    np.testing.assert_allclose(sums, 1, rtol=1e-5)
    np.testing.assert_array_equal(minmax.max(axis=(1, 2, 3)), 1)
    np.testing.assert_array_equal(minmax.min(axis=(1, 2, 3)), 0)


def test_released_threshold_erases_nothing_and_the_papers_reading_does():
    x = np.random.default_rng(0).gamma(1.0, size=(2, 14, 14, 8)).astype(np.float32)
    assert (made(x.shape, normalization="sum").attention(x).numpy() < 0.5).all()
    assert (made(x.shape, normalization="minmax").attention(x).numpy() >= 0.5).any()


@pytest.mark.parametrize("normalization", ["sum", "minmax"])
def test_zero_map_and_flat_map_give_no_nan(normalization):
    x = np.zeros((2, 3, 3, 4), np.float32)
    x[1] = 2.5
    layer = made(x.shape, threshold=0.01, normalization=normalization)
    assert np.isfinite(layer.attention(x)).all()
    np.testing.assert_allclose(
        layer(x), reference(layer, x, attention_of(x, normalization) < 0.01), rtol=1e-6, atol=1e-7
    )


def gradient(layer, x, upstream):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x) * upstream)
    return tape.gradient(loss, x).numpy()


def test_no_gradient_through_the_mask():
    """The gradient is that of the formula with the mask held constant."""
    rng = np.random.default_rng(3)
    x = rng.gamma(1.0, size=(2, 4, 4, 3)).astype(np.float32)
    upstream = rng.normal(size=x.shape).astype(np.float32)
    layer = made(x.shape, threshold=0.5, normalization="minmax")
    kept = attention_of(x, "minmax") < 0.5
    assert 0 < kept.mean() < 1
    kernel, bias = layer.transform.kernel.numpy()[0, 0], layer.transform.bias.numpy()
    transformed = np.maximum(0, (x * kept) @ kernel + bias)
    own = x >= transformed
    expected = upstream * own + ((upstream * ~own * (transformed > 0)) @ kernel.T) * kept
    np.testing.assert_allclose(gradient(layer, x, upstream), expected, rtol=1e-5, atol=1e-6)


def test_ties_go_to_the_feature():
    x = np.full((1, 2, 2, 3), 1.5, np.float32)
    layer = made(x.shape, threshold=0.9)
    layer.transform.kernel.assign(np.eye(3)[None, None])
    layer.transform.bias.assign(np.zeros(3))
    # Both branches are equal: all of the gradient goes to x, none through the convolution.
    np.testing.assert_array_equal(gradient(layer, x, np.ones_like(x)), np.ones_like(x))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x))
    np.testing.assert_array_equal(tape.gradient(loss, layer.transform.kernel.value), np.zeros((1, 1, 3, 3)))


def test_training_and_inference_are_alike():
    x = np.random.default_rng(0).gamma(1.0, size=(2, 4, 4, 3)).astype(np.float32)
    layer = made(x.shape, threshold=0.3, normalization="minmax")
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    np.testing.assert_array_equal(model(x, training=True), model(x, training=False))


def test_config_round_trip_and_wrong_normalization():
    layer = MaxoutAttentionExcitation(0.3, "minmax", name="mae")
    again = MaxoutAttentionExcitation.from_config(layer.get_config())
    assert (again.threshold, again.normalization, again.name) == (0.3, "minmax", "mae")
    with pytest.raises(ValueError, match=r"^normalization=.*: unknown; choose one of minmax, sum"):
        MaxoutAttentionExcitation(normalization="max")
