import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from e2wsol.backend_calls import fused_normalization
from e2wsol.layers import BatchNormalization


def data(shape, seed=0):
    return np.random.default_rng(seed).normal(3.0, 2.0, shape).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.sampled_from([0.9, 0.99, 0.5]))
def test_moving_variance_is_unbiased(batch, height, width, momentum):
    x = data((batch, height, width, 2))
    layer = BatchNormalization(momentum=momentum, epsilon=1e-5)
    layer(x, training=True)
    count = batch * height * width
    variance = x.var(axis=(0, 1, 2), ddof=1) if count > 1 else np.zeros(2)
    np.testing.assert_allclose(layer.moving_mean, (1 - momentum) * x.mean(axis=(0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, momentum + (1 - momentum) * variance, rtol=1e-4)


def test_training_normalises_by_the_biased_variance():
    x = data((4, 2, 3, 2))
    layer = BatchNormalization(momentum=0.9, epsilon=1e-3)
    layer.build(x.shape)
    layer.gamma.assign([1.5, 0.5])
    layer.beta.assign([0.1, -0.2])
    mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    expected = (x - mean) / np.sqrt(variance + 1e-3) * [1.5, 0.5] + [0.1, -0.2]
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-4, atol=1e-5)


def test_inference_uses_and_keeps_the_moving_statistics():
    x = data((4, 2, 3, 2))
    layer = BatchNormalization(momentum=0.9, epsilon=1e-3)
    layer.build(x.shape)
    layer.moving_mean.assign([2.0, 3.0])
    layer.moving_variance.assign([4.0, 0.25])
    np.testing.assert_allclose(
        layer(x, training=False), (x - [2, 3]) / np.sqrt(np.array([4, 0.25]) + 1e-3), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(layer.moving_variance, [4.0, 0.25])


def test_frozen_layer_does_not_track():
    layer = BatchNormalization(trainable=False)
    layer(data((4, 2, 2, 2)), training=True)
    np.testing.assert_array_equal(layer.moving_variance, [1, 1])


def test_differs_from_keras_in_the_moving_variance_only():
    x = data((2, 2, 1, 3))
    ours, theirs = BatchNormalization(momentum=0.0), keras.layers.BatchNormalization(momentum=0.0)
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, rtol=1e-5)
    np.testing.assert_allclose(ours.moving_variance, np.asarray(theirs.moving_variance) * 4 / 3, rtol=1e-4)


@pytest.mark.parametrize("policy", ["float64", "mixed_float16"])
def test_other_precisions(policy):
    x = data((8, 4, 4, 2))
    layer = BatchNormalization(momentum=0.0, dtype=policy)
    outputs = layer(x, training=True)
    assert outputs.dtype == {"float64": "float64", "mixed_float16": "float16"}[policy]
    tolerance = 1e-6 if policy == "float64" else 2e-3
    np.testing.assert_allclose(layer.moving_variance, x.var(axis=(0, 1, 2), ddof=1), rtol=tolerance)


def test_config_round_trip():
    layer = BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer="zeros", name="bn")
    again = BatchNormalization.from_config(layer.get_config())
    assert (again.momentum, again.epsilon, again.name) == (0.9, 1e-5, "bn")
    assert isinstance(again.gamma_initializer, keras.initializers.Zeros)


@pytest.mark.parametrize("kernel", ["tensorflow", "torch"])
def test_the_backends_own_kernels_give_the_same_and_its_gradients(kernel):
    x, weights = data((3, 4, 5, 2)), data((3, 4, 5, 2), seed=1)
    scale, offset, epsilon = np.float32([1.5, 0.5]), np.float32([0.1, -0.2]), 1e-3
    found = {"tensorflow": _by_tensorflow, "torch": _by_torch}[kernel](x, scale, offset, epsilon, weights)
    # The textbook's formulas, in float64.
    x, weights = x.astype(np.float64), weights.astype(np.float64)
    axes = (0, 1, 2)
    inverse = 1 / np.sqrt(x.var(axis=axes) + epsilon)
    normal = (x - x.mean(axis=axes)) * inverse
    along = weights - weights.mean(axis=axes) - normal * (weights * normal).mean(axis=axes)
    gradients = scale * inverse * along, (weights * normal).sum(axis=axes), weights.sum(axis=axes)
    expected = normal * scale + offset, x.mean(axis=axes), x.var(axis=axes, ddof=1), *gradients
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def _by_tensorflow(x, scale, offset, epsilon, weights):
    inputs = [tf.constant(each) for each in (x, scale, offset)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        results = fused_normalization._tensorflow(*inputs, epsilon)
    return *results, *tape.gradient(results[0], inputs, weights)


def _by_torch(x, scale, offset, epsilon, weights):
    torch = pytest.importorskip("torch")
    inputs = [torch.from_numpy(each).requires_grad_() for each in (x, scale, offset)]
    results = fused_normalization._torch(*inputs, epsilon)
    gradients = torch.autograd.grad(results[0], inputs, torch.from_numpy(weights))
    return *(each.detach().numpy() for each in results), *gradients
