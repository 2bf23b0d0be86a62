"""The loss that trainings of 200 steps end with, in float32 and in 16 bits.

python benchmarks/precision.py --data_dir=records/synthetic --methods=cam,e2net,bas

Every method trains from the same seeds in every precision; the loss is the mean over the last 50 steps. The noise is
the deviation of float32 over the seeds. The last line is one JSON object: for each method and precision the difference
of the mean losses in deviations of float32 ("in_deviations"), below 2 where nothing but noise is seen.
"""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from e2wsol import cli, compute
from e2wsol.config import option
from e2wsol.errors import UserError

PRECISIONS = next(
    field.metadata["choices"] for field in dataclasses.fields(compute.ComputeOptions) if field.name == "precision"
)
STEPS, LAST = 200, 50


@dataclasses.dataclass(frozen=True)
class PrecisionOptions:
    """What is trained."""

    data_dir: str = option("records/synthetic", "records to train on")
    methods: tuple[str, ...] = option(("cam", "e2net", "bas"), "methods to train")
    settings: str = option("flags/quickstart.cfg", "flagfile with the other settings of the trainings")
    seeds: int = option(3, "trainings of each", minimum=2)


def main(options, positional):
    """Prints the table and the JSON line."""
    cli.no_arguments(positional)
    numbers = {}
    print("| method | " + " | ".join(PRECISIONS) + " |\n|---" + "|---" * len(PRECISIONS) + "|")
    for method in options.methods:
        losses = {name: [loss(options, method, name, seed) for seed in range(options.seeds)] for name in PRECISIONS}
        cells = [f"{statistics.mean(found):.3f} ± {statistics.stdev(found):.3f}" for found in losses.values()]
        print(f"| {method} | " + " | ".join(cells) + " |", flush=True)
        noise, full = statistics.stdev(losses["float32"]), statistics.mean(losses["float32"])
        for name in PRECISIONS[1:]:
            numbers[f"{method} {name}"] = round((statistics.mean(losses[name]) - full) / noise, 2)
    print(json.dumps({"in_deviations": numbers}))


def loss(options, method, precision, seed):
    """The mean loss of the last steps of one training."""
    with tempfile.TemporaryDirectory() as folder:
        flags = {"data_dir": options.data_dir, "run_dir": f"{folder}/run", "method": method, "precision": precision}
        flags |= {"seed": seed, "epochs": STEPS // LAST, "steps_per_epoch": LAST, "validate_every": STEPS}
        command = [sys.executable, "-m", "e2wsol.train", f"--flagfile={options.settings}"]
        command += [f"--{name}={value}" for name, value in flags.items()] + ["--tensorboard_pictures=0"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise UserError(done.stderr.strip().splitlines()[-1])
        log = (pathlib.Path(folder) / "run" / "metrics.jsonl").read_text(encoding="utf-8")
        return [entry["loss"] for entry in map(json.loads, log.splitlines()) if entry["kind"] == "epoch"][-1]


if __name__ == "__main__":
    cli.run(main, PrecisionOptions, description=__doc__)
