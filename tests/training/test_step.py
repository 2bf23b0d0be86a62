"""Steps in other forms than one after the other in float32 without a compiler: the same training."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from made_loops import computing, made_loop, weights

from e2wsol.backbones import BackboneOptions
from e2wsol.errors import UserError
from e2wsol.methods.bas import BASOptions

PLAIN = BackboneOptions(backbone_width=0.02)  # VGG16 without batch normalization, so that batches can be cut
METHODS = ("cam", "e2net", "bas")


class Noted:
    """TrainSteps of a loop that keep what they gave, row by row."""

    def __init__(self, loop):
        self.rows, self.steps = [], loop._train_steps
        loop._train_steps = self

    def __call__(self, *arguments):
        values = self.steps(*arguments)
        self.rows.extend(values.numpy())
        return values

    @property
    def names(self):
        return self.steps.names


def trained(records, folder, method, **settings):
    """(loop, losses and their companions step by step, weights) after seven steps.

    In float64: in float32 one rounding that turns a ReLU or BAS's comparison over ends in other weights.
    """
    options = [BASOptions(initializer="normal")] if method == "bas" else []
    rate = 0.005 if method == "bas" else 0.05  # at more BAS' map shuts, and its comparison hangs on the last bit
    settings = {
        "backbone": PLAIN,
        "rate": rate,
        "precision": "float64",
        "steps_per_epoch": 7,
        "validate_every": 9,
        "log_every": 4,
        **settings,
    }
    loop = made_loop(records, folder, method=method, method_options=options, **settings)
    noted = Noted(loop)
    with computing(settings["precision"]):
        loop.run()
    assert noted.names[:2] == ("loss", "accuracy")
    return loop, np.array(noted.rows), weights(loop)


def assert_equal(one, other, tolerance):
    np.testing.assert_allclose(one[1], other[1], rtol=0, atol=tolerance)
    for (path, value), (_, expected) in zip(one[2], other[2], strict=True):
        np.testing.assert_allclose(value, expected, rtol=0, atol=tolerance, err_msg=path)


@pytest.fixture(scope="module", params=METHODS)
def usual(request, tiny_records, tmp_path_factory):
    return request.param, trained(tiny_records, tmp_path_factory.mktemp("usual"), request.param)


@pytest.mark.slow
@pytest.mark.parametrize("other", [{"micro_batches": 4}, {"jit": True}], ids=lambda other: next(iter(other)))
def test_the_same_training(usual, tiny_records, tmp_path, other):
    method, expected = usual
    assert_equal(trained(tiny_records, tmp_path, method, **other), expected, 1e-6)


@pytest.mark.slow
def test_several_steps_a_call_are_the_same_steps_to_the_bit(usual, tiny_records, tmp_path):
    """Stretches of 4 and 3 steps, in calls of 3, 1, 3."""
    method, expected = usual
    found = trained(tiny_records, tmp_path, method, steps_per_execution=3)
    assert_equal(found, expected, 0 if method == "cam" else 1e-6)  # sums of more than two gradients have no order


@pytest.mark.slow
def test_one_graph_for_a_whole_run(tiny_records, tmp_path):
    """Calls of 2 and 1 steps, a new epoch, and the iterator of a run that goes on."""
    loop, _, _ = trained(tiny_records, tmp_path, "cam", steps_per_epoch=3, epochs=2, steps_per_execution=2)
    loop.options = dataclasses.replace(loop.options, epochs=3)
    loop.run()
    assert loop.step == 9 and loop._train_steps.steps.traces == 1


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_variables_that_the_loss_does_not_depend_on_only_decay(tiny_records, tmp_path, micro_batches):
    loop = made_loop(tiny_records, tmp_path, method="cam", backbone=PLAIN, micro_batches=micro_batches)
    loop.model.loss_terms = lambda labels, outputs, training: {"": tf.reduce_mean(outputs["features"], (1, 2, 3))}
    linear, connected = loop.model.get_layer("linear"), loop.model.get_layer("features").kernel
    linear.bias.assign(np.arange(1, linear.bias.shape[0] + 1))
    kernel, bias, before = (variable.numpy() for variable in (linear.kernel, linear.bias, connected))
    loop.run()
    velocity = np.zeros_like(kernel)
    for _ in range(loop.step):
        direction = 1e-4 * kernel
        velocity = 0.9 * velocity + direction
        kernel = kernel - 0.05 * (direction + 0.9 * velocity)
    np.testing.assert_allclose(linear.kernel.numpy(), kernel, rtol=1e-6)
    np.testing.assert_array_equal(linear.bias.numpy(), bias)
    assert not np.array_equal(connected.numpy(), before)


def test_batch_must_fit_the_micro_batches(tiny_records, tmp_path):
    with pytest.raises(UserError, match=r"^micro_batches=3: must divide the 8 pictures of batch_size=8 that each"):
        made_loop(tiny_records, tmp_path, micro_batches=3)


def test_xla_for_several_cpus_is_refused(tiny_records, tmp_path):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("for machines without GPU")
    with pytest.raises(UserError, match=r"^jit: XLA compiles no step for several CPU devices"):
        made_loop(tiny_records, tmp_path, jit=True, strategy="mirrored", replicas=2)


def last_loss(records, folder, seed, precision):
    """The mean loss of the last 50 of 200 steps."""
    settings = {"backbone": BackboneOptions(backbone_width=0.05), "rate": 0.01, "seed": seed, "precision": precision}
    settings |= {"steps_per_epoch": 200, "log_every": 200, "validate_every": 9}
    loop = made_loop(records, folder / f"{seed}-{precision}", method="cam", **settings)
    noted = Noted(loop)
    loop.run()
    assert loop.model.backbone.output["conv5_3"].dtype == precision.removeprefix("mixed_")
    return np.mean([row[0] for row in noted.rows[-50:]])


@pytest.mark.slow
def test_200_steps_in_bfloat16_end_within_the_noise_of_float32(tiny_records, tmp_path):
    """The noise is what other orders of the data make of it; all methods: benchmarks/precision.py."""
    full, half = (
        [last_loss(tiny_records, tmp_path, seed, precision) for seed in range(3)]
        for precision in ("float32", "mixed_bfloat16")
    )
    assert max(full) < 1.0  # log(3) at the start: it learned
    assert abs(np.mean(half) - np.mean(full)) < np.ptp(full)
