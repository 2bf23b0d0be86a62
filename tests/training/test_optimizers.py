import dataclasses
import re

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2wsol.errors import UserError
from e2wsol.training import optimizers
from e2wsol.training.optimizers import NesterovMomentum, OptimizerOptions

SHAPES = {"conv/kernel": (3, 2), "conv/bias": (2,), "head/kernel": (2, 4)}


def variables(seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for path, shape in SHAPES.items():
        layer, name = path.split("/")
        with keras.name_scope(layer):
            made.append(keras.Variable(rng.normal(size=shape), dtype="float32", name=name))
    assert [variable.path for variable in made] == list(SHAPES)
    return made


def gradients(steps, seed=1):
    rng = np.random.default_rng(seed)
    return [[rng.normal(size=shape).astype(np.float32) for shape in SHAPES.values()] for _ in range(steps)]


def train(optimizer, steps):
    found = variables()
    for gradient in gradients(steps):
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradient], found)
    return [np.asarray(variable.value) for variable in found]


def reference(steps, rates, *, momentum, l2=0.0, factors=(1, 1, 1), decays=(True, False, True)):
    """torch.optim.SGD(nesterov=True): buf = m buf + g; p -= lr (g + m buf), g with weight decay, in float64."""
    found = [np.asarray(variable.value, np.float64) for variable in variables()]
    buffers = [np.zeros_like(value) for value in found]
    for rate, gradient in zip(rates, gradients(steps)):
        for i, (factor, decayed) in enumerate(zip(factors, decays)):
            g = factor * (gradient[i] + (l2 * found[i] if decayed else 0))
            buffers[i] = momentum * buffers[i] + g
            found[i] = found[i] - rate * (g + momentum * buffers[i])
    return found


def assert_close(found, expected):
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.001, 0.5), st.floats(0, 0.99), st.floats(0, 0.1))
def test_rule(rate, momentum, l2):
    assert_close(train(NesterovMomentum(rate, momentum, l2=l2), 4), reference(4, [rate] * 4, momentum=momentum, l2=l2))


def test_equals_keras_sgd_at_a_constant_rate():
    ours = train(NesterovMomentum(0.1, 0.9), 5)
    assert_close(ours, train(keras.optimizers.SGD(0.1, 0.9, nesterov=True), 5))


def test_drop_acts_at_once_on_the_whole_update():
    drop = keras.optimizers.schedules.PiecewiseConstantDecay([2], [0.1, 0.001])
    rates = [0.1] * 3 + [0.001] * 3
    ours = train(NesterovMomentum(drop, 0.9), 6)
    assert_close(ours, reference(6, rates, momentum=0.9))
    theirs = train(keras.optimizers.SGD(drop, 0.9, nesterov=True), 6)
    assert max(np.abs(one - other).max() for one, other in zip(ours, theirs)) > 0.01


def test_multipliers_act_on_gradient_and_decay():
    optimizer = NesterovMomentum(0.1, 0.9, l2=0.05, multipliers=[("conv/.*", 0.1), ("conv/bias", 7.0)])
    expected = reference(4, [0.1] * 4, momentum=0.9, l2=0.05, factors=(0.1, 0.1, 1))
    assert_close(train(optimizer, 4), expected)


def test_multiplier_0_stops_everything():
    before = [np.asarray(variable.value) for variable in variables()]
    after = train(NesterovMomentum(0.1, 0.9, l2=0.5, l2_pattern=".*", multipliers=[(".*", 0.0)]), 3)
    for one, other in zip(before, after):
        np.testing.assert_array_equal(one, other)


def test_patterns_are_of_the_whole_path_and_the_first_match_wins():
    optimizer = NesterovMomentum(multipliers=[("conv", 5.0), ("conv1.*", 0.1), (".*kernel", 3.0)])
    assert optimizer.multiplier("conv1/kernel") == 0.1 and optimizer.multiplier("conv2/kernel") == 3.0
    assert optimizer.multiplier("conv2/bias") == 1.0
    decaying = NesterovMomentum(l2=0.1, l2_pattern="conv.*kernel")
    assert decaying.decay("conv1/kernel") == 0.1 and decaying.decay("head/kernel") == decaying.decay("conv1/bias") == 0


def test_first_step_as_e2net():
    """p1 - p0 = -lr * 1.9 * multiplier * (g + wd * p0)."""
    before, gradient = [np.asarray(variable.value) for variable in variables()], gradients(1)[0]
    after = train(NesterovMomentum(0.01, 0.9, l2=5e-4, multipliers=[("conv.*", 0.1)]), 1)
    np.testing.assert_allclose(after[0] - before[0], -0.01 * 1.9 * 0.1 * (gradient[0] + 5e-4 * before[0]), rtol=1e-3)


def test_config_round_trip():
    optimizer = NesterovMomentum(0.1, 0.8, 0.01, ".*bias", [("conv.*", 0.1)])
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, NesterovMomentum) and again.get_config() == optimizer.get_config()
    assert again.multiplier("conv1/kernel") == 0.1


def rate_at(options, steps_per_epoch, step):
    rate = optimizers.schedule(options, steps_per_epoch)
    return float(rate(step)) if callable(rate) else rate


@pytest.mark.parametrize("steps_per_epoch", [1, 7, 1000])
def test_schedule_drops_in_the_first_step_after_the_epoch(steps_per_epoch):
    options = OptimizerOptions(learning_rate=0.2, learning_rate_steps=(2.0, 5.0))
    for epoch, before, after in ((2, 0.2, 0.02), (5, 0.02, 0.002)):
        boundary = epoch * steps_per_epoch
        assert rate_at(options, steps_per_epoch, boundary - 1) == pytest.approx(before)
        assert rate_at(options, steps_per_epoch, boundary) == pytest.approx(after)
    assert rate_at(options, steps_per_epoch, 0) == pytest.approx(0.2)
    assert rate_at(options, steps_per_epoch, 10**6) == pytest.approx(0.002)


def test_optimizer_sees_the_drop_in_the_right_step():
    options = OptimizerOptions(learning_rate=0.1, learning_rate_steps=(1.0,), momentum=0.0)
    optimizer = optimizers.create(options, steps_per_epoch=3)
    variable = keras.Variable(0.0)
    seen = [0.0]
    for _ in range(5):
        optimizer.apply([keras.ops.convert_to_tensor(1.0)], [variable])
        seen.append(float(variable.value))
    np.testing.assert_allclose(-np.diff(seen), [0.1, 0.1, 0.1, 0.01, 0.01], rtol=1e-4)


def test_fractions_of_epochs_and_another_factor():
    options = OptimizerOptions(learning_rate=1.0, learning_rate_steps=(0.5,), learning_rate_factor=0.3)
    assert rate_at(options, 10, 4) == 1.0 and rate_at(options, 10, 5) == pytest.approx(0.3)
    assert rate_at(OptimizerOptions(learning_rate=0.3), 10, 10**6) == 0.3


# SPOL's classifier, by hand: 0.05 times 20/20, 19/20, ... 1/20, set anew at the start of each epoch.
SPOL_RATES = (
    *(0.05, 0.0475, 0.045, 0.0425, 0.04, 0.0375, 0.035, 0.0325, 0.03, 0.0275),
    *(0.025, 0.0225, 0.02, 0.0175, 0.015, 0.0125, 0.01, 0.0075, 0.005, 0.0025),
)


def test_linear_decay_of_the_spol_classifier():
    options = OptimizerOptions(learning_rate=0.05, learning_rate_decay_epochs=20)
    for epoch, rate in enumerate(SPOL_RATES):
        assert [rate_at(options, 7, step) for step in (7 * epoch, 7 * epoch + 6)] == pytest.approx([rate] * 2)
    assert rate_at(options, 7, 140) == rate_at(options, 7, 1000) == 0
    with pytest.raises(UserError, match=r"^learning_rate_decay_epochs=20: give it or learning_rate_steps"):
        optimizers.schedule(dataclasses.replace(options, learning_rate_steps=(2.0,)), 7)


def test_steps_out_of_order_are_an_error():
    with pytest.raises(UserError, match=r"^learning_rate_steps=5,2: epochs must ascend"):
        optimizers.schedule(OptimizerOptions(learning_rate_steps=(5.0, 2.0)), 10)


def test_multiplier_flag():
    assert optimizers.parse_multiplier("group[0-2].*:0.1") == ("group[0-2].*", 0.1)
    assert optimizers.parse_multiplier("a:b.*:2") == ("a:b.*", 2.0)
    for text in ("conv.*", "conv.*:x", ":0.5"):
        with pytest.raises(UserError, match=re.escape(f"={text}: expected PATTERN:FACTOR")):
            optimizers.parse_multiplier(text)


def test_wrong_patterns_are_named():
    with pytest.raises(UserError, match=r"^learning_rate_multipliers: '\(' is no regular expression"):
        optimizers.parse_multiplier("(:0.1")
    with pytest.raises(UserError, match=r"^weight_decay_variables: '\*' is no regular expression"):
        optimizers.create(OptimizerOptions(weight_decay_variables="*"), 1)
