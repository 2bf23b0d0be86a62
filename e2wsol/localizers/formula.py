"""What a localizer by gradients is: whose gradients it takes, and how they become a map."""

import dataclasses
from collections.abc import Callable

import keras
from keras import ops


@dataclasses.dataclass(frozen=True)
class Formula:
    """A localizer on the features of one layer and gradients with respect to them.

    Attributes:
      maps: maps(features, *gradients), all (B, h, w, c), -> (B, h, w), not normalised.
      cotangents: for each of these gradients f(logits (B, C), chosen (B, C) one-hot) -> (B, C): the
        gradient is that of the sum of the logits with these weights, themselves held fixed.
      layer: field of backbones.Architecture that names its usual end point; "" for the last features.
      last_only: whether it means the last features and no other layer.
    """

    maps: Callable
    cotangents: tuple[Callable, ...]
    layer: str = ""
    last_only: bool = False


def class_logit(logits, chosen):
    """Weights (B, C) of the class's logit: `chosen` itself."""
    return chosen


def as_float(*tensors):
    """The tensors in float32, float64 where that is the precision: sums over features do not fit into 16 bits."""
    dtype = "float64" if keras.config.dtype_policy().name == "float64" else "float32"
    return [ops.cast(tensor, dtype) for tensor in tensors]
