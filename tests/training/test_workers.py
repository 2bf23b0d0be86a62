"""Real processes over loopback: the same weights and scores as one process, whatever is killed in between."""

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import trained_by_workers
from made_runs import TINY, run
from trained_by_workers import METHODS

from e2wsol import trained_run

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parents[1] / "scripts" / "run_multi_worker.sh"
pytestmark = pytest.mark.slow


def free_ports(number):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("localhost", 0))) for _ in range(number)]
        return [one.getsockname()[1] for one in sockets]


def train_methods(records, folder, workers):
    """Runs trained_by_workers.py in so many processes; alone in this one."""
    folder.mkdir()
    if workers == 1:
        trained_by_workers.main(records, folder)
        return folder
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(workers)]}
    processes = []
    for index in range(workers):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1", "TF_CONFIG": json.dumps(task)}
        arguments = [sys.executable, HERE / "trained_by_workers.py", records, folder]
        with open(folder / f"output-{index}", "w") as output:
            processes.append(subprocess.Popen(arguments, env=environment, stdout=output, stderr=output))
    try:
        for index, process in enumerate(processes):
            assert process.wait(timeout=300) == 0, (folder / f"output-{index}").read_text()[-3000:]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return folder


@pytest.fixture(scope="module")
def trained_alone(tiny_records, tmp_path_factory):
    return train_methods(tiny_records, tmp_path_factory.mktemp("workers") / "one", 1)


def logged(file):
    """Entries of a metrics.jsonl without the times."""
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in entries]


@pytest.mark.parametrize("workers", [2, 3])
def test_weights_after_50_steps_are_those_of_one_process(workers, trained_alone, tiny_records, tmp_path):
    folder = train_methods(tiny_records, tmp_path / "several", workers)
    for method in METHODS:
        alone = np.load(trained_alone / f"{method}-0.npz")
        for index in range(workers):
            found = np.load(folder / f"{method}-{index}.npz")
            assert set(found) == set(alone)
            for name in alone:
                np.testing.assert_allclose(found[name], alone[name], rtol=0, atol=1e-9, err_msg=f"{method} {name}")
        expected = logged(trained_alone / f"{method}.jsonl")
        assert expected[-1]["step"] == 50 and "val_top1" in expected[-1]
        for one, other in zip(expected, logged(folder / f"{method}.jsonl"), strict=True):
            assert one.pop("kind") == other.pop("kind") and other == pytest.approx(one, rel=1e-4, abs=1e-6)


def test_training_moved_the_weights_far_more_than_that(trained_alone):
    """So their equality says something."""
    for method in METHODS:
        first = np.load(trained_alone / f"{method}-start.npz")
        last = np.load(trained_alone / f"{method}-0.npz")
        assert max(np.abs(last[name] - first[name]).max() for name in last) > 1e-2, method


@pytest.fixture
def script():
    """script(workers, command, *flags, logs, **environment) starts run_multi_worker.sh; it writes logs/chief.txt."""
    started = []

    def start(workers, command, *flags, logs, **environment):
        logs.mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHON": sys.executable, "LOGS": str(logs), **environment}
        arguments = ["bash", SCRIPT, str(workers), command, *flags]
        with open(logs / "chief.txt", "a") as output:
            started.append(subprocess.Popen(arguments, env=environment, stdout=output, stderr=output))
        return started[-1]

    yield start
    for one in started:
        one.terminate()
        one.wait(60)


def test_evaluation_by_three_workers_is_that_of_one_process(script, tiny_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder, symlinks=True)
    flags = (f"--run_dir={folder}", "--batch_size=2", "--samples=6", "--crops=10", "--threads=1")
    assert run("evaluate", *flags) == 0
    expected, samples = json.loads((folder / "result.json").read_text()), dict(np.load(folder / "samples.npz"))
    for name in ("result.json", "samples.npz"):
        (folder / name).unlink()
    assert script(3, "evaluate", *flags, logs=tmp_path / "logs").wait(timeout=200) == 0
    found = json.loads((folder / "result.json").read_text())
    assert found.pop("seconds") and expected.pop("seconds") and found == expected
    assert found["dataset"]["pictures"] == 8 and found["scores"][0]["interval"]
    for name, values in np.load(folder / "samples.npz").items():
        np.testing.assert_array_equal(values, samples[name], err_msg=name)
    assert "wrote" in (tmp_path / "logs" / "chief.txt").read_text()
    assert all((tmp_path / "logs" / f"worker-{index}.txt").read_text() == "" for index in (1, 2))


def worker_pid(shell, index):
    """Process of worker `index` under the script; None while there is none."""
    children = pathlib.Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()
    for child in children:
        with contextlib.suppress(OSError):
            environment = pathlib.Path(f"/proc/{child}/environ").read_bytes()
            if b"TF_CONFIG=" in environment and b'"index": %d' % index in environment:
                return int(child)
    return None


def wait_for(condition, shell, seconds=150):
    deadline = time.monotonic() + seconds
    while not condition():
        assert shell.poll() is None, "the script ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def last_step(run_dir):
    """The last step in the log; 0 where there is none."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return json.loads((run_dir / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    return 0


def train_flags(records, run_dir):
    return (
        *(f"--data_dir={records}", f"--run_dir={run_dir}", *TINY, "--method=cam", "--cam_dropout=0.5"),
        *("--deterministic", "--epochs=2", "--steps_per_epoch=110", "--checkpoint_steps=10", "--log_every=5"),
        "--tensorboard_pictures=0",
    )


def variables(run_dir):
    """Weights of the last checkpoint, and what its optimizer and random layers hold."""
    folder = run_dir / "checkpoints" / "last"
    with np.load(folder / "optimizer.npz") as archive:
        return [
            *trained_run.load_model(folder / "model.keras").get_weights(),
            *(archive[name] for name in archive.files),
        ]


def test_killed_workers_are_replaced_and_the_run_ends_like_an_undisturbed_one(script, tiny_records, tmp_path):
    """SIGTERM to one that is not the chief, then SIGKILL to any five times over, at random steps."""
    whole, killed, logs = tmp_path / "whole", tmp_path / "killed", tmp_path / "logs"
    assert script(2, "train", *train_flags(tiny_records, whole), logs=tmp_path / "whole-logs").wait(timeout=200) == 0
    draw = random.Random(8)
    flags = train_flags(tiny_records, killed)

    shell = script(2, "train", *flags, logs=logs)
    stop = draw.randrange(5, 15)
    wait_for(lambda: last_step(killed) > stop, shell)
    os.kill(worker_pid(shell, 1), signal.SIGTERM)
    assert shell.wait(timeout=60) == 4
    step = json.loads((killed / "checkpoints" / "last" / "state.json").read_text())["step"]
    said = (logs / "chief.txt").read_text()
    assert stop < step < 220 and f"trained {step} steps" in said and "stopped by SIGTERM" in said

    shell = script(2, "train", *flags, logs=logs, RESTARTS="5")
    target = step
    for started_again in range(1, 6):
        target = max(target, last_step(killed)) + draw.randrange(5, 15)
        wait_for(lambda target=target: last_step(killed) > target, shell)
        os.kill(worker_pid(shell, draw.randrange(2)), signal.SIGKILL)
        start = time.monotonic()
        wait_for(lambda number=started_again: text_of(logs / "chief.txt").count("starting all") == number, shell)
        assert time.monotonic() - start < 30, "a survivor hung"
    assert shell.wait(timeout=200) == 0
    said = "".join(map(text_of, logs.iterdir()))
    assert said.count("does not answer any more; start all workers again to go on from") == 5
    assert not [file for file in pathlib.Path("/proc").glob("[0-9]*/cmdline") if str(killed) in text_of(file)]
    for one, other in zip(variables(whole), variables(killed), strict=True):
        np.testing.assert_array_equal(one, other)
    losses = [
        {entry["step"]: entry["loss"] for entry in logged(run_dir / "metrics.jsonl") if entry["kind"] == "train"}
        for run_dir in (whole, killed)
    ]
    assert len(losses[0]) == 44 and set(losses[1]) == {*losses[0], step}
    # An entry is the mean since the one before: that behind the step of SIGTERM is one of fewer steps.
    assert {number for number in losses[0] if losses[0][number] != losses[1][number]} <= {step - step % 5 + 5}


def text_of(file):
    with contextlib.suppress(OSError):
        return file.read_bytes().decode(errors="replace")
    return ""
