"""In which number type a network computes, and whether XLA compiles it."""

import dataclasses

import keras

from e2wsol.config import option


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
