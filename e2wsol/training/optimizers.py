"""The optimizer: Nesterov momentum with multipliers by variable, its schedule, and loss scaling for float16."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from e2wsol.config import option
from e2wsol.errors import ArgumentError

INITIAL_SCALE = 2.0**15  # of the loss in float16
GROWTH_STEPS = 2000


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
    """Nesterov momentum with step decay, weight decay and multipliers."""

    learning_rate: float = option(0.01, "base learning rate", minimum=0.0)
    learning_rate_steps: tuple[float, ...] = option((), "epochs after which the learning rate drops", minimum=0.0)
    learning_rate_factor: float = option(0.1, "factor of each drop", minimum=0.0)
    learning_rate_decay_epochs: int = option(
        0,
        "N: linear decay to 0, in epoch e = 0, 1, 2, ... the rate times 1 - e/N, as SPOL's classifier trains; "
        "0 for steps or a constant rate",
        minimum=0,
    )
    momentum: float = option(0.9, "Nesterov momentum", minimum=0.0)
    weight_decay: float = option(0.0, "L2: this times the variable is added to its gradient", minimum=0.0)
    weight_decay_variables: str = option(".*kernel", "pattern of the variable paths that decay")
    learning_rate_multipliers: tuple[str, ...] = option(
        (), "PATTERN:FACTOR pairs on whole variable paths; the first match multiplies the rate, decay included"
    )


@keras.saving.register_keras_serializable(package="e2wsol")
class NesterovMomentum(keras.optimizers.Optimizer):
    """Nesterov momentum as TF1 and PyTorch define it, with multipliers by variable path.

    With d = multiplier * (gradient + l2 * variable): velocity = momentum * velocity + d, and
    variable -= learning_rate * (d + momentum * velocity). The velocity holds no learning rate, so a
    drop of the schedule acts on the whole next update (Keras' SGD keeps the old rate in it).

    Args:
      learning_rate: float or a keras schedule of the step.
      momentum: in [0, 1).
      l2: coefficient of the weight decay, part of the gradient.
      l2_pattern: regular expression on the whole variable path; what matches decays.
      multipliers: sequence of (pattern, factor); the first that matches the whole path wins.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.01,
        momentum: float = 0.9,
        l2: float = 0.0,
        l2_pattern: str = ".*kernel",
        multipliers: Sequence[tuple[str, float]] = (),
        name: str = "nesterov",
        **kwargs: Any,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum
        self.l2 = l2
        self.l2_pattern = l2_pattern
        self.multipliers = [(pattern, float(factor)) for pattern, factor in multipliers]

    def build(self, variables: Sequence[Any]) -> None:
        """Makes a velocity for each variable and looks its multiplier and decay up."""
        if self.built:
            return
        super().build(variables)
        self.velocities = [self.add_variable_from_reference(variable, name="velocity") for variable in variables]
        self._factors = [self.multiplier(variable.path) for variable in variables]
        self._decays = [self.decay(variable.path) for variable in variables]

    def multiplier(self, path: str) -> float:
        """Learning-rate multiplier of the variable at `path`."""
        return next((factor for pattern, factor in self.multipliers if re.fullmatch(pattern, path)), 1.0)

    def decay(self, path: str) -> float:
        """L2 coefficient of the variable at `path`."""
        return self.l2 if re.fullmatch(self.l2_pattern, path) else 0.0

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One update of one variable."""
        velocity, new_velocity, change = self._changes(gradient, variable, learning_rate)
        self.assign(velocity, new_velocity)
        self.assign_sub(variable, change)

    def _changes(self, gradient: Any, variable: Any, learning_rate: Any) -> tuple[Any, Any, Any]:
        """(the velocity variable, its next value, what is taken from `variable`)."""
        index = self._get_variable_index(variable)
        velocity = self.velocities[index]
        direction = ops.cast(gradient, variable.dtype)
        if self._decays[index]:
            direction = direction + self._decays[index] * variable
        direction = self._factors[index] * direction
        new_velocity = self.momentum * velocity + direction
        rate = ops.cast(learning_rate, variable.dtype)
        return velocity, new_velocity, rate * (direction + self.momentum * new_velocity)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "l2": self.l2,
            "l2_pattern": self.l2_pattern,
            "multipliers": self.multipliers,
        }


@keras.saving.register_keras_serializable(package="e2wsol")
class LossScaledNesterovMomentum(NesterovMomentum):
    """NesterovMomentum on gradients of `scale_loss(loss)`.

    A step whose gradient is not finite on any replica changes no weight and halves the scale; 2000 finite ones in
    a row double it (Micikevicius et al., ICLR 2018). Skipped steps count for the learning rate's schedule. Keras' own
    LossScaleOptimizer looks at the first replica's gradients alone, and at each worker's on that worker, so that
    one infinite gradient ends up in all weights, or workers part ways.
    """

    def build(self, variables: Sequence[Any]) -> None:
        """Makes the scale and the count of finite steps, beside the velocities."""
        if self.built:
            return
        super().build(variables)
        settings = {"shape": (), "dtype": "float32", "aggregation": "mean"}
        self.loss_scale = self.add_variable(
            initializer=keras.initializers.Constant(INITIAL_SCALE), name="loss_scale", **settings
        )
        self.finite_steps = self.add_variable(initializer="zeros", name="finite_steps", **settings)

    def scale_loss(self, loss: Any) -> Any:
        """The loss whose gradients `apply` takes."""
        return loss * ops.cast(self.loss_scale, loss.dtype)

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Updates from gradients of the scaled loss; call it in replica context."""
        import tensorflow as tf  # here alone: NesterovMomentum serves Keras' other backends too

        infinite = 1.0 - tf.cast(tf.reduce_all([tf.reduce_all(tf.math.is_finite(one)) for one in grads]), tf.float32)
        infinite = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, infinite)
        scale = tf.convert_to_tensor(self.loss_scale)
        # NaN in every gradient is how `update_step` knows of a step to be skipped.
        factor = tf.where(infinite > 0, float("nan"), 1.0 / scale)
        super().apply([one * tf.cast(factor, one.dtype) for one in grads], trainable_variables)
        finite_steps = tf.where(infinite > 0, 0.0, tf.convert_to_tensor(self.finite_steps) + 1.0)
        grown = tf.where(finite_steps >= GROWTH_STEPS, 2.0 * scale, scale)
        self.loss_scale.assign(tf.where(infinite > 0, tf.maximum(scale / 2.0, 1.0), grown))
        self.finite_steps.assign(tf.where(finite_steps >= GROWTH_STEPS, 0.0, finite_steps))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One update of one variable, none where the gradient is not finite."""
        finite = ops.isfinite(gradient)
        velocity, new_velocity, change = self._changes(gradient, variable, learning_rate)
        self.assign(velocity, ops.where(finite, new_velocity, velocity))
        self.assign_sub(variable, ops.where(finite, change, ops.zeros_like(change)))


def optimizer_class(precision: str) -> type[NesterovMomentum]:
    """The optimizer's class for a ComputeOptions.precision: float16 alone runs out of small numbers."""
    return LossScaledNesterovMomentum if precision == "mixed_float16" else NesterovMomentum


def create(options: OptimizerOptions, steps_per_epoch: int, precision: str = "float32") -> NesterovMomentum:
    """The optimizer that the options describe.

    Args:
      options: what the flags say.
      steps_per_epoch: steps that count as an epoch, in which the schedule of the learning rate is given.
      precision: that of ComputeOptions; "mixed_float16" scales the loss.

    Raises:
      ArgumentError: epochs that do not ascend, or a pattern that is no regular expression.
    """
    return optimizer_class(precision)(
        learning_rate=schedule(options, steps_per_epoch),
        momentum=options.momentum,
        l2=options.weight_decay,
        l2_pattern=_pattern("weight_decay_variables", options.weight_decay_variables),
        multipliers=[parse_multiplier(text) for text in options.learning_rate_multipliers],
    )


def schedule(
    options: OptimizerOptions, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate: constant, or a Keras schedule of the step.

    Step decay: the base rate times factor ** (number of drops that lie at or before the step).
    With learning_rate_decay_epochs = N: in epoch e = 0, 1, 2, ... the base rate times 1 - e/N.
    """
    if options.learning_rate_decay_epochs:
        return _linear_decay(options, steps_per_epoch)
    if not options.learning_rate_steps:
        return options.learning_rate
    if list(options.learning_rate_steps) != sorted(set(options.learning_rate_steps)):
        given = ",".join(f"{epoch:g}" for epoch in options.learning_rate_steps)
        raise ArgumentError("learning_rate_steps", given, "epochs must ascend, e.g. 30,60,90", owner=OptimizerOptions)
    # Keras keeps the old value up to and including the boundary; the drop belongs to the first step
    # after the epoch, whose index is epochs * steps_per_epoch.
    boundaries = [round(epoch * steps_per_epoch) - 1 for epoch in options.learning_rate_steps]
    values = [options.learning_rate * options.learning_rate_factor**drop for drop in range(len(boundaries) + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)


def _linear_decay(options: OptimizerOptions, steps_per_epoch: int) -> keras.optimizers.schedules.LearningRateSchedule:
    epochs = options.learning_rate_decay_epochs
    if options.learning_rate_steps:
        problem = "give it or learning_rate_steps, not both"
        raise ArgumentError("learning_rate_decay_epochs", epochs, problem, owner=OptimizerOptions)
    boundaries = [epoch * steps_per_epoch - 1 for epoch in range(1, epochs + 1)]
    values = [options.learning_rate * (1 - epoch / epochs) for epoch in range(epochs + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)


def parse_multiplier(text: str) -> tuple[str, float]:
    """'PATTERN:FACTOR' -> (pattern, factor)."""
    argument = "learning_rate_multipliers"
    pattern, _, factor = text.rpartition(":")
    try:
        number = float(factor) if pattern else None
    except ValueError:
        number = None
    if number is None:
        raise ArgumentError(argument, text, "expected PATTERN:FACTOR, e.g. conv.*:0.1", owner=OptimizerOptions)
    return _pattern(argument, pattern), number


def _pattern(argument: str, text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        problem = f"'{text}' is no regular expression ({error}); e.g. conv.* is one"
        raise ArgumentError(argument, None, problem, owner=OptimizerOptions) from None
    return text
