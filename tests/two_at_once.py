"""Two processes on one folder, again and again: python tests/two_at_once.py --rounds=30.

Both start the same command at a random offset, a training of a tiny network or a build. Exactly one has to come
through, the other to end with status 2 and to say who holds the folder, unless it came when the first was done: then it
finds nothing left to do. The folder has to be that of one process left in peace.
"""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

from e2wsol import cli, trained_run
from e2wsol.config import option

ROOT = pathlib.Path(__file__).parents[1]
BUILD = ("tfrecords.build", "--source=synthetic", "--synthetic_train=24", "--synthetic_val=9", "--synthetic_test=8")
BUILD += ("--synthetic_classes=3", "--synthetic_side=48", "--shard_pictures=4", "--workers=1")
TRAIN = ("e2wsol.train", "--method=cam", "--image_size=32", "--resize_size=36", "--backbone_width=0.02", "--epochs=2")
TRAIN += ("--batch_size=8", "--steps_per_epoch=4", "--log_every=1", "--checkpoint_steps=2", "--tensorboard_pictures=0")
TRAIN += ("--deterministic", "--shuffle_buffer=8", "--data_threads=1")
WAIT = 300


@dataclasses.dataclass(frozen=True)
class Options:
    """How often."""

    rounds: int = option(30, "rounds of each kind", minimum=1)
    seed: int = option(0, "seed of the offsets", minimum=0)


def main(options, positional):
    """Prints one JSON line for builds and one for trainings."""
    cli.no_arguments(positional)
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("build", "train"):
            found = two_at_once(kind, pathlib.Path(folder) / kind, options.rounds, options.seed)
            print(json.dumps({"command": kind, **found}), flush=True)


def two_at_once(kind, folder, rounds, seed):
    """Starts pairs; raises an AssertionError where one ends otherwise than it should.

    Returns:
      {"rounds", "refused": those in which the second found the folder in use, "followed": those in which it came when
      the first was done, "seconds"}.
    """
    start, rng = time.monotonic(), random.Random(seed)
    target, command, result = commands(kind, folder)
    began = time.monotonic()
    first = started(command)
    assert first.communicate(timeout=WAIT) and first.returncode == 0
    duration, expected = time.monotonic() - began, result(target)
    counted = {"rounds": rounds, "refused": 0, "followed": 0}
    for number in range(rounds):
        shutil.rmtree(target)
        processes = [started(command)]
        # Most of the time goes by before the folder is touched, in both: small offsets are the dangerous ones.
        time.sleep(rng.choice([0, rng.uniform(0, 0.3), rng.uniform(0, duration)]) if number else 0)
        processes.append(started(command))
        said = [process.communicate(timeout=WAIT)[1] for process in processes]
        counted[judged(processes, said, target)] += 1
        check_same(result(target), expected)
    return counted | {"seconds": round(time.monotonic() - start)}


def commands(kind, folder):
    """(the folder that is fought for, the command, function from the folder to what it has to hold)."""
    records, run_dir = folder / "records", folder / "run"
    if kind == "build":
        return records, [*BUILD, f"--output={records}"], contents
    with started([*BUILD, f"--output={records}"]) as building:
        assert building.communicate(timeout=WAIT) and building.returncode == 0
    return run_dir, [*TRAIN, f"--data_dir={records}", f"--run_dir={run_dir}"], trained


def judged(processes, said, target):
    """ "refused" or "followed"; raises where it was neither."""
    statuses = [process.returncode for process in processes]
    if statuses == [0, 0]:
        return "followed"
    assert sorted(statuses) == [0, 2], (statuses, said)
    winner, loser = statuses.index(0), statuses.index(2)
    line = [line for line in said[loser].splitlines() if line.startswith("error: ")]
    words = rf"={re.escape(str(target))}: in use by python -m \S+, process (\d+) on host \S+ since \d\d:\d\d; wait for"
    found = len(line) == 1 and re.search(words, line[0])
    assert found and int(found[1]) == processes[winner].pid, said[loser]
    return "refused"


def started(command):
    """The process of a command of this project."""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=environment, **pipes)


def contents(folder):
    """{relative path: bytes} of all files, hidden ones too, below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def trained(run_dir):
    """What a run comes to: its files but for TensorBoard's, its log without times, its weights, its optimizer."""
    names = {str(path.relative_to(run_dir)) for path in run_dir.rglob("*") if "tensorboard/" not in str(path)}
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    last = run_dir / "checkpoints" / "last"
    with np.load(last / "optimizer.npz") as archive:
        variables = {f"optimizer {name}": archive[name].tobytes() for name in archive.files}
    weights = trained_run.load_model(last / "model.keras").get_weights()
    return {
        "names": names,
        "log": [{name: value for name, value in line.items() if name != "seconds"} for line in lines],
        **variables,
        **{f"weight {index}": value.tobytes() for index, value in enumerate(weights)},
    }


def check_same(found, expected):
    """Raises an AssertionError that names what is not equal."""
    wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    assert not wrong, f"not as of one process in peace: {', '.join(wrong)}"


if __name__ == "__main__":
    cli.run(main, Options, description=__doc__)
