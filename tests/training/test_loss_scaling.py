import keras
import numpy as np
import pytest
import tensorflow as tf
from made_loops import made_strategy

from e2wsol.training import optimizers
from e2wsol.training.optimizers import LossScaledNesterovMomentum, NesterovMomentum, optimizer_class

VALUES = [np.array([[1.0, -2.0], [0.5, 3.0]], np.float32), np.array([0.25, -1.0], np.float32)]
SETTINGS = {"learning_rate": 0.1, "momentum": 0.9, "l2": 0.01, "l2_pattern": ".*"}


def made(kind=LossScaledNesterovMomentum):
    variables = [keras.Variable(value, name=f"v{index}") for index, value in enumerate(VALUES)]
    optimizer = kind(**SETTINGS)
    optimizer.build(variables)
    return optimizer, variables


def values(variables):
    return [np.asarray(variable.value) for variable in variables]


def gradients(seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=value.shape).astype(np.float32) for value in VALUES]


def scaled(optimizer, found):
    scale = float(optimizer.scale_loss(tf.constant(1.0)))
    return [tf.constant(gradient * scale) for gradient in found]


def test_finite_gradients_give_the_same_as_without_scaling():
    optimizer, variables = made()
    plain, expected = made(NesterovMomentum)
    for seed in range(4):
        optimizer.apply(scaled(optimizer, gradients(seed)), variables)
        plain.apply([tf.constant(gradient) for gradient in gradients(seed)], expected)
    for one, other in zip(values(variables), values(expected)):  # scales are powers of two: no rounding
        np.testing.assert_array_equal(one, other)
    assert float(optimizer.loss_scale.numpy()) == 2**15 and float(optimizer.finite_steps.numpy()) == 4


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_step_with_one_infinite_number_changes_nothing_but_the_scale(bad):
    optimizer, variables = made()
    optimizer.apply(scaled(optimizer, gradients(0)), variables)
    state = values(variables), values(optimizer.velocities)
    spoilt = gradients(1)
    spoilt[1][0] = bad
    optimizer.apply(scaled(optimizer, spoilt), variables)
    for one, other in zip([*state[0], *state[1]], values(variables) + values(optimizer.velocities)):
        np.testing.assert_array_equal(one, other)
    assert float(optimizer.loss_scale.numpy()) == 2**14 and float(optimizer.finite_steps.numpy()) == 0
    assert int(optimizer.iterations.numpy()) == 2  # the schedule goes on


def test_scale_doubles_after_enough_finite_steps_and_stays_at_least_1(monkeypatch):
    monkeypatch.setattr(optimizers, "GROWTH_STEPS", 2)
    optimizer, variables = made()
    scales = []
    for seed in range(5):
        optimizer.apply(scaled(optimizer, gradients(seed)), variables)
        scales.append(float(optimizer.loss_scale.numpy()) / 2**15)
    assert scales == [1, 2, 2, 4, 4]
    for _ in range(20):
        optimizer.apply([tf.constant(np.full_like(value, np.inf)) for value in VALUES], variables)
    assert float(optimizer.loss_scale.numpy()) == 1


@pytest.mark.slow
def test_infinite_gradient_of_one_replica_stops_the_step_on_all():
    """Keras' LossScaleOptimizer asks the first replica alone: here the second has it."""
    strategy = made_strategy("mirrored", 2)
    with strategy.scope():
        optimizer, variables = made()

    @tf.function
    def step(spoil):
        def replica():
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            factor = tf.where(tf.logical_and(spoil, tf.equal(number, 1)), float("inf"), 2.0**14)
            optimizer.apply([tf.constant(gradient) * factor for gradient in gradients(0)], variables)

        strategy.run(replica)

    before = values(variables)
    step(tf.constant(True))
    for variable, expected in zip(variables, before):
        for copy in strategy.experimental_local_results(variable.value):
            np.testing.assert_array_equal(copy.numpy(), expected)
    assert float(optimizer.loss_scale.numpy()) == 2**14
    step(tf.constant(False))  # two halves at the new scale of 2**14: the sum is twice the gradient
    plain, expected = made(NesterovMomentum)
    plain.apply([tf.constant(2 * gradient) for gradient in gradients(0)], expected)
    for variable, other in zip(variables, values(expected)):
        for copy in strategy.experimental_local_results(variable.value):
            np.testing.assert_allclose(copy.numpy(), other, rtol=1e-6)


def test_scaling_is_for_float16_alone():
    classes = [optimizer_class(name) for name in ("float32", "mixed_bfloat16", "mixed_float16")]
    assert classes == [NesterovMomentum, NesterovMomentum, LossScaledNesterovMomentum]


def test_config_round_trip():
    optimizer, _ = made()
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, LossScaledNesterovMomentum) and again.get_config() == optimizer.get_config()
