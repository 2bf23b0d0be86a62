"""What rounding alone is worth in the training numbers of a BAS case, with other seeds for its weights.

python tests/parity/rounding.py ../shared/parity/public/bas_inception_v3_cub --seeds=1,2,3

A case's float64 numbers were made from an input that had been rounded to float32. So each seed is trained twice, as
`check.py` trains a case: with its weights, and with the first layer's moved at random by one part in 2**24. Printed is
the largest difference of a digest, relative to its norm, for gradients and for the changes after 1 and 3 steps. A
decision of a ReLU, of a pooling or of BAS's rule for equality that flips shows as a jump of some orders of magnitude.
"""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses

import bas_cases
import kit
import numpy as np
from precision import float64

from e2wsol import cli
from e2wsol.config import option
from e2wsol.errors import UserError

STEPS = 3


@dataclasses.dataclass(frozen=True)
class Options:
    """Which seeds, and how far."""

    seeds: tuple[int, ...] = option((1, 2, 3, 4), "seeds of the weights, comma-separated", minimum=0)
    bits: int = option(24, "the first layer moves by one part in 2 to this power", minimum=1)


def main(options, positional):
    """Prints a line for each seed."""
    if len(positional) != 1:
        raise UserError("give the folder of one BAS case")
    case, arrays = kit.load(positional[0])
    for seed in options.seeds:
        with float64():
            plain = trained(case | {"seed": seed}, arrays)
            moved = trained(case | {"seed": seed}, arrays, np.random.default_rng(seed), 2.0**-options.bits)
        found = {stage: largest_difference(plain[stage], moved[stage]) for stage in plain}
        print(f"seed {seed}: " + ", ".join(f"{stage} {value:.1e}" for stage, value in found.items()), flush=True)


def trained(case, arrays, draw=None, share=0.0):
    """{stage: {parameter: its array}} of a training in float64, its first layer moved at random by at most a share."""
    model, variables = bas_cases.build(case)
    if draw:
        first = model.trainable_variables[0]
        first.assign(first.numpy() * (1 + share * draw.uniform(-1, 1, first.shape)))
    optimizer = bas_cases._optimizer(case, variables)
    optimizer.build(model.trainable_variables)
    start = {name: variable.numpy() for name, variable in variables.items()}
    names = {id(variable): name for name, variable in variables.items()}
    stages = {}
    for step in range(1, STEPS + 1):
        _, gradients = bas_cases._gradients(model, arrays["images_uint8"], arrays["labels"])
        if step == 1:
            trainable = [names[id(variable)] for variable in model.trainable_variables]
            stages["gradient"] = dict(zip(trainable, map(np.asarray, gradients)))
        optimizer.apply(gradients, model.trainable_variables)
        if step in (1, STEPS):
            stages[f"step {step}"] = {name: value.numpy() - start[name] for name, value in variables.items()}
    return stages


def largest_difference(one, other):
    """Of both digests of all parameters, as `check.py` measures it."""
    digests = {name: (kit.digest(name, value), kit.digest(name, other[name])) for name, value in one.items()}
    floor = 1e-5 * max(norm for (norm, _), _ in digests.values())
    return max(
        abs(a - b) / max(norm, floor)
        for (norm, dot), (moved_norm, moved_dot) in digests.values()
        for a, b in ((norm, moved_norm), (dot, moved_dot))
    )


if __name__ == "__main__":
    cli.run(main, Options, description=__doc__)
