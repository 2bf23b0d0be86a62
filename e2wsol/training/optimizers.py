import dataclasses
import itertools
import operator
import re

import keras
from keras import ops

from e2wsol.config import option
from e2wsol.errors import UserError


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
    """Nesterov momentum with step decay, weight decay and multipliers."""

    learning_rate: float = option(0.01, "base learning rate", minimum=0.0)
    learning_rate_steps: tuple[float, ...] = option((), "epochs after which the learning rate drops", minimum=0.0)
    learning_rate_factor: float = option(0.1, "factor of each drop", minimum=0.0)
    learning_rate_decay_epochs: int = option(
        0,
        "N: at the start of epoch e = 0, 1, 2, ... the rate is multiplied by 1 - e/N, on top of the times before, as "
        "SPOL's classifier trains; 0 for steps or a constant rate",
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
        self, learning_rate=0.01, momentum=0.9, l2=0.0, l2_pattern=".*kernel", multipliers=(), name="nesterov", **kwargs
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum
        self.l2 = l2
        self.l2_pattern = l2_pattern
        self.multipliers = [(pattern, float(factor)) for pattern, factor in multipliers]

    def build(self, variables):
        """Makes a velocity for each variable and looks its multiplier and decay up."""
        if self.built:
            return
        super().build(variables)
        self.velocities = [self.add_variable_from_reference(variable, name="velocity") for variable in variables]
        self._factors = [self.multiplier(variable.path) for variable in variables]
        self._decays = [self.decay(variable.path) for variable in variables]

    def multiplier(self, path):
        """Learning-rate multiplier of the variable at `path`."""
        return next((factor for pattern, factor in self.multipliers if re.fullmatch(pattern, path)), 1.0)

    def decay(self, path):
        """L2 coefficient of the variable at `path`."""
        return self.l2 if re.fullmatch(self.l2_pattern, path) else 0.0

    def update_step(self, gradient, variable, learning_rate):
        """One update of one variable."""
        velocity, new_velocity, change = self._changes(gradient, variable, learning_rate)
        self.assign(velocity, new_velocity)
        self.assign_sub(variable, change)

    def _changes(self, gradient, variable, learning_rate):
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

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "l2": self.l2,
            "l2_pattern": self.l2_pattern,
            "multipliers": self.multipliers,
        }


def create(options, steps_per_epoch, kind=NesterovMomentum):
    """The optimizer that OptimizerOptions describe, of the class `kind`; epochs become steps by `steps_per_epoch`."""
    return kind(
        learning_rate=schedule(options, steps_per_epoch),
        momentum=options.momentum,
        l2=options.weight_decay,
        l2_pattern=_pattern("weight_decay_variables", options.weight_decay_variables),
        multipliers=[parse_multiplier(text) for text in options.learning_rate_multipliers],
    )


def schedule(options, steps_per_epoch):
    """The learning rate: constant, or a Keras schedule of the step.

    Step decay: the base rate times factor ** (number of drops that lie at or before the step).
    With learning_rate_decay_epochs = N: in epoch e the base rate times the product of 1 - i/N, i = 0 .. e.
    """
    if options.learning_rate_decay_epochs:
        return _product_decay(options, steps_per_epoch)
    if not options.learning_rate_steps:
        return options.learning_rate
    if list(options.learning_rate_steps) != sorted(set(options.learning_rate_steps)):
        given = ",".join(f"{epoch:g}" for epoch in options.learning_rate_steps)
        raise UserError(f"--learning_rate_steps={given}: epochs must ascend, e.g. 30,60,90")
    # Keras keeps the old value up to and including the boundary; the drop belongs to the first step
    # after the epoch, whose index is epochs * steps_per_epoch.
    boundaries = [round(epoch * steps_per_epoch) - 1 for epoch in options.learning_rate_steps]
    values = [options.learning_rate * options.learning_rate_factor**drop for drop in range(len(boundaries) + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)


def _product_decay(options, steps_per_epoch):
    epochs = options.learning_rate_decay_epochs
    if options.learning_rate_steps:
        raise UserError(f"--learning_rate_decay_epochs={epochs}: give it or --learning_rate_steps, not both")
    shares = itertools.accumulate((1 - epoch / epochs for epoch in range(epochs + 1)), operator.mul)
    boundaries = [epoch * steps_per_epoch - 1 for epoch in range(1, epochs + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, [options.learning_rate * s for s in shares])


def parse_multiplier(text):
    """'PATTERN:FACTOR' -> (pattern, factor)."""
    pattern, _, factor = text.rpartition(":")
    try:
        factor = float(factor)
    except ValueError:
        factor = None
    if not pattern or factor is None:
        raise UserError(f"--learning_rate_multipliers={text}: expected PATTERN:FACTOR, e.g. conv.*:0.1")
    return _pattern("learning_rate_multipliers", pattern), factor


def _pattern(flag, text):
    try:
        re.compile(text)
    except re.error as error:
        raise UserError(f"--{flag}: '{text}' is no regular expression ({error}); e.g. conv.* is one") from None
    return text
