"""Real processes: killed and started again. Several workers: test_workers.py."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from made_runs import run

from e2wsol import trained_run

TINY = ("--image_size=32", "--resize_size=36", "--backbone_width=0.02", "--shuffle_buffer=8", "--data_threads=1")
pytestmark = pytest.mark.slow


def command(records, run_dir, *flags):
    base = [sys.executable, "-m", "e2wsol.train", f"--data_dir={records}", f"--run_dir={run_dir}", *TINY]
    return [*base, "--batch_size=8", "--tensorboard_pictures=0", *flags]


def train(records, run_dir, *flags):
    done = subprocess.run(command(records, run_dir, *flags), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def logged(run_dir):
    """Entries of metrics.jsonl without the times."""
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


def checkpoint(run_dir):
    """Every variable of the last checkpoint: weights, optimizer, random state."""
    folder = run_dir / "checkpoints" / "last"
    with np.load(folder / "optimizer.npz") as archive:
        return [
            *trained_run.load_model(folder / "model.keras").get_weights(),
            *(archive[name] for name in archive.files),
        ]


def kill_behind(process, run_dir, step, sent=signal.SIGKILL):
    """Sends the process a signal once it has logged a step behind `step`."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        text = (run_dir / "metrics.jsonl").read_text() if (run_dir / "metrics.jsonl").exists() else ""
        entries = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        if entries and entries[-1]["step"] > step:
            process.send_signal(sent)
            return
        time.sleep(0.005)
    raise AssertionError("no progress")


@pytest.fixture(scope="module")
def masked_records(tiny_run, tmp_path_factory):
    """The tiny records with pseudo masks of the tiny run."""
    output = tmp_path_factory.mktemp("masked") / "records"
    assert (
        run("pseudo_masks", f"--run_dir={tiny_run}", f"--output={output}", "--mask_size=32", "--mask_min_area=4") == 0
    )
    return output


@pytest.mark.parametrize(
    "method",
    [
        ("--method=adl", "--backbone_batch_norm"),
        ("--method=spol_seg", "--backbone_batch_norm", "--output_stride=8"),
    ],
    ids=lambda flags: flags[0].removeprefix("--method="),
)
def test_killed_run_ends_like_an_uninterrupted_one_bit_for_bit(method, tiny_records, tmp_path, request):
    records = request.getfixturevalue("masked_records") if "--method=spol_seg" in method else tiny_records
    flags = (*method, "--deterministic", "--learning_rate_steps=1", "--epochs=2")
    flags = (*flags, "--steps_per_epoch=20", "--checkpoint_steps=8", "--log_every=1")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(records, whole, *flags)
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(command(records, killed, *flags), stdout=log, stderr=log)
        kill_behind(process, killed, 17)
        assert process.wait() == -signal.SIGKILL
    output = train(records, killed, *flags)
    assert f"resumed from {killed / 'checkpoints' / 'step-'}" in output
    assert "step-00000000" not in output and "trained 40 steps" in output
    for one, other in zip(checkpoint(whole), checkpoint(killed), strict=True):
        np.testing.assert_array_equal(one, other)
    assert logged(whole) == logged(killed)


def test_sigterm_saves_and_ends_with_status_4(tiny_records, tmp_path):
    flags = ("--method=cam", "--epochs=2", "--steps_per_epoch=400", "--log_every=10")
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(command(tiny_records, tmp_path / "run", *flags), stdout=log, stderr=log)
        kill_behind(process, tmp_path / "run", 25, signal.SIGTERM)
        assert process.wait(timeout=60) == 4
    said = (tmp_path / "log").read_text().splitlines()[-1]
    step = json.loads((tmp_path / "run" / "checkpoints" / "last" / "state.json").read_text())["step"]
    assert 25 < step < 800
    assert said == f"trained {step} steps; run folder: {tmp_path / 'run'}; stopped by SIGTERM, the same command goes on"
