"""Loading trained models, and the box protocol that goes with one."""

import dataclasses

import keras

from e2wsol.errors import UserError
from e2wsol.localization import protocols
from e2wsol.methods import Method

# The one class of a method that predicts none.
OBJECT = ("object",)


def load_model(path):
    """The method saved at `path` (.keras).

    Raises:
      UserError: no such file, or not a method of this library.
    """
    try:
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, TypeError) as error:
        raise UserError(f"{path}: cannot be loaded as a .keras model ({error})") from None
    if not isinstance(model, Method):
        raise UserError(f"{path}: a {type(model).__name__}, not a localization method of e2wsol")
    return model


def class_names(model, names):
    """The names of what the model tells apart: `names`, or one for all where it predicts no class."""
    return tuple(names) if model.classifies else OBJECT


def box_protocol(box, flags, model):
    """The BoxProtocol to use, with its threshold.

    Args:
      box: BoxOptions of the command; what it leaves open comes from the run.
      flags: mapping of the run's flags, may be empty.
      model: the method, whose own protocol comes last.
    """
    protocol = protocols.get(box.protocol or flags.get("protocol") or model.protocol)
    threshold = box.threshold
    if threshold < 0 and not box.protocol:  # the run's threshold belongs to the run's protocol
        threshold = flags.get("threshold", -1.0)
    protocol = protocols.of_logits(protocol) if model.maps_are_logits else protocol
    return protocol if threshold < 0 else dataclasses.replace(protocol, default_threshold=threshold)
