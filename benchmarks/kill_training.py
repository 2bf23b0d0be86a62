"""Whether a training that is killed again and again ends as one that nobody disturbs.

python benchmarks/kill_training.py --data_dir=records/synthetic --kills=100

Two runs of the same flags, the second killed (SIGKILL) at random instants and started again. Both run --deterministic,
so everything in the two run folders must be equal: weights, optimizer, random state, log, and the names of the files.
The last line is one JSON object; exit status 1 where the folders differ.
"""

import dataclasses
import io
import json
import os
import pathlib
import random
import signal
import sys
import tempfile
import time
import zipfile

import h5py
import numpy as np

from e2wsol import cli
from e2wsol.config import option

TINY = (
    *("--method=adl", "--backbone_width=0.02", "--backbone_batch_norm", "--image_size=32", "--resize_size=36"),
    *("--batch_size=8", "--shuffle_buffer=64", "--data_threads=1", "--log_every=5", "--checkpoint_steps=10"),
    *("--tensorboard_pictures=0", "--learning_rate_steps=2", "--deterministic"),
)


@dataclasses.dataclass(frozen=True)
class KillOptions:
    """What is killed how often."""

    data_dir: str = option("records/synthetic", "records to train on")
    kills: int = option(100, "how often the run is killed", minimum=1)
    steps: int = option(3000, "steps of the run, in epochs of 100", minimum=100)
    patience: float = option(1.5, "a run lives up to so many seconds beyond its first new step", minimum=0.0)
    seed: int = option(0, "seed of the instants")


def main(options, positional):
    """Trains twice, compares, prints."""
    cli.no_arguments(positional)
    import e2wsol.train  # noqa: F401  # once, for all processes that are forked from this one

    with tempfile.TemporaryDirectory() as folder:
        whole, killed = pathlib.Path(folder) / "whole", pathlib.Path(folder) / "killed"
        assert wait(start(options, whole)) == 0
        begin = time.monotonic()
        steps = kill_often(options, killed)
        seconds = time.monotonic() - begin
        differing = differences(whole, killed)
    for line in differing:
        print(line)
    numbers = {"kills": len(steps), "steps": options.steps, "seconds": round(seconds), "differences": len(differing)}
    print(f"killed with checkpoints of steps {steps}")
    print(json.dumps(numbers))
    return 1 if differing else 0


def start(options, run_dir):
    """Forks a process that trains; returns its id."""
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    os.dup2(os.open(run_dir.with_suffix(".log"), os.O_CREAT | os.O_APPEND | os.O_WRONLY), 1)
    os.dup2(1, 2)
    from e2wsol import train

    epochs = options.steps // 100
    flags = [f"--data_dir={options.data_dir}", f"--run_dir={run_dir}", f"--epochs={epochs}", "--steps_per_epoch=100"]
    sys.argv = ["train", *flags, *TINY]
    try:
        cli.run(train.main, train.TrainFlags)
    except SystemExit as ended:
        os._exit(ended.code)
    finally:
        os._exit(70)


def wait(process):
    """The exit status of a process, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def kill_often(options, run_dir):
    """Starts a run and kills it, as often as asked, and lets it end; returns the steps that checkpoints stood at."""
    rng, steps = random.Random(options.seed), []
    for _ in range(options.kills):
        process, before = start(options, run_dir), logged_steps(run_dir)
        # Half of the time while it starts, wherever that is; half of the time at work, mostly near a checkpoint.
        if rng.random() < 0.5:
            time.sleep(rng.uniform(0, 4))
        else:
            while logged_steps(run_dir) <= before and os.waitpid(process, os.WNOHANG) == (0, 0):
                time.sleep(0.002)  # a run that has ended is met by the kill
            time.sleep(rng.uniform(0, options.patience))
        try:
            os.kill(process, signal.SIGKILL)
            assert wait(process) == -signal.SIGKILL
        except (ProcessLookupError, AssertionError):
            sys.exit(f"the run ended before its kill: give more --steps than {options.steps}")
        steps.append(last_step(run_dir))
    assert wait(start(options, run_dir)) == 0
    return steps


def logged_steps(run_dir):
    """Lines of the log."""
    log = run_dir / "metrics.jsonl"
    return log.read_text().count("\n") if log.exists() else 0


def last_step(run_dir):
    """The step of the newest checkpoint by name, 0 without one."""
    return max((int(path.name.split("-")[1]) for path in (run_dir / "checkpoints").glob("step-*")), default=0)


def differences(one, other):
    """A line for each file that the two folders do not have alike."""
    names = [{str(path.relative_to(root)) for path in files(root)} for root in (one, other)]
    found = [f"in one folder only: {name}" for name in sorted(names[0] ^ names[1])]
    for name in sorted(names[0] & names[1]):
        if content(one / name) != content(other / name):
            found.append(f"differs: {name}")
    return found


def files(root):
    """Every file under `root`, hidden ones too, but TensorBoard's, which are named by time."""
    return [path for path in root.rglob("*") if path.is_file() and "tensorboard" not in path.parts]


def content(path):
    """What a file says, without times, and without checksums of files that say when they were made."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return arrays_of(h5py.File(io.BytesIO(archive.read("model.weights.h5")))), archive.read("config.json")
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return {name: archive[name].tobytes() for name in archive.files}
    if path.suffix == ".jsonl":
        return [without_times(json.loads(line)) for line in path.read_text().splitlines()]
    return without_times(json.loads(path.read_text())) if path.suffix == ".json" else path.read_bytes()


def arrays_of(group):
    """{path: bytes} of all data sets in an HDF5 file."""
    found = {}
    group.visititems(lambda name, item: found.update({name: item[()].tobytes()} if hasattr(item, "dtype") else {}))
    return found


def without_times(thing):
    """A JSON object without the keys that may differ; run folders have different names."""
    if not isinstance(thing, dict):
        return thing
    return {key: without_times(value) for key, value in thing.items() if key not in ("seconds", "sha256", "run_dir")}


if __name__ == "__main__":
    cli.run(main, KillOptions, description=__doc__)
