"""In which number type a network computes, and whether XLA compiles it."""

import e2wsol.installed_keras  # noqa: F401  # isort: skip


import dataclasses
from typing import Any

import keras

from e2wsol.config import option
from e2wsol.errors import UserError


@dataclasses.dataclass(frozen=True)
class ComputeOptions:
    """Number type and compilation."""

    precision: str = option(
        "float32",
        "float32; mixed_bfloat16 or mixed_float16: the network computes in 16 bits, while weights, losses, logits, "
        "maps and boxes stay float32",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    jit: bool = option(False, "compile with XLA: slower to start, on GPUs mostly faster after that")


def use(options: ComputeOptions) -> None:
    """Makes every network that is built or loaded from now on compute as ComputeOptions say."""
    keras.config.set_dtype_policy(options.precision)


# What every command computes with, whatever ~/.keras/keras.json or a variable of the environment says.
_WEIGHTS = ("float32", "float64")  # number types that a program may choose for them
_SETTINGS: dict[str, Any] = {"floatx": "float32", "image_data_format": "channels_last", "epsilon": 1e-7}


def settle() -> list[str]:
    """Makes Keras compute in float32, channels last and with its usual epsilon.

    Returns:
      A line that says what was found and set, where that is another.
    """
    found = {name: getattr(keras.config, name)() for name in _SETTINGS}
    for name, value in _SETTINGS.items():
        getattr(keras.config, f"set_{name}")(value)
    keras.config.set_dtype_policy(_SETTINGS["floatx"])
    other = [name for name, value in found.items() if value != _SETTINGS[name]]
    before, now = (", ".join(f"{name}={of[name]}" for name in other) for of in (found, _SETTINGS))
    return [f"Keras was set to {before}; this command sets {now}"] if other else []


def check_settings() -> None:
    """Checks what a program that uses the library has set Keras to.

    Raises:
      UserError: pictures with their channels first, or weights of less than 32 bits (mixed precision has 32).
    """
    for name, values in (("floatx", _WEIGHTS), ("image_data_format", (_SETTINGS["image_data_format"],))):
        found, value = getattr(keras.config, name)(), values[0]
        if found not in values:
            raise UserError(
                f"Keras is set to {name}={found}, and networks of e2wsol need {value}: "
                f'keras.config.set_{name}("{value}")'
            )
    policy = keras.config.dtype_policy()
    if policy.variable_dtype not in _WEIGHTS:
        raise UserError(
            f"Keras is set to dtype policy {policy.name}, and networks of e2wsol keep their weights in float32: "
            'keras.config.set_dtype_policy("float32"), or a mixed one'
        )
