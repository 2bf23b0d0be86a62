"""Commands on a disk that is full, and on one that may only be read: real ones, in a mount namespace of their own."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from made_runs import run
from PIL import Image

from e2wsol.training import checkpoints

pytestmark = pytest.mark.slow
# A small disk on $DISK that this shell and its children alone see; $1 is run on it.
ON_A_DISK = 'mount -t tmpfs -o size=6m tmpfs "$DISK" && eval "$1"; status=$?; cp -r "$DISK" "$KEEP"; exit $status'
# One process for all commands: TensorFlow's start takes longer than any of them.
TRAINING = """
import json, os, pathlib, subprocess, sys
sys.path.insert(0, {tests!r})
from made_runs import run

disk = pathlib.Path(os.environ["DISK"])

def train(name, epochs):
    flags = ["--image_size=32", "--resize_size=36", "--backbone_width=0.02", "--data_threads=1", "--batch_size=8"]
    flags += ["--method=cam", "--steps_per_epoch=2", "--tensorboard_pictures=0", f"--epochs={{epochs}}"]
    return run("train", "--data_dir={records}", f"--run_dir={{disk / name}}", *flags)

statuses = [train("run", 1)]
subprocess.run(["dd", "if=/dev/zero", f"of={{disk / 'filler'}}"], stderr=subprocess.DEVNULL)
statuses.append(train("run", 2))
(disk / "filler").unlink()
statuses.append(train("run", 2))
subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
statuses.append(train("other", 1))
print(json.dumps(statuses))
"""
# Every other command that writes, of a run that lies on the full disk itself.
OTHERS = """
import json, os, pathlib, shutil, subprocess, sys
sys.path.insert(0, {tests!r})
from made_runs import run

disk = pathlib.Path(os.environ["DISK"])
shutil.copytree({made!r}, disk / "run")
shutil.copytree({photos!r}, disk / "photos")
before = {{path: path.read_bytes() for path in disk.rglob("*") if path.is_file()}}
filler = disk / "filler"
subprocess.run(["dd", "if=/dev/zero", f"of={{filler}}", "bs=1k"], stderr=subprocess.DEVNULL)
statuses = {{}}
for command in {commands!r}:
    name, *flags = (each.replace("DISK", str(disk)) for each in command)
    statuses[name] = run(name, *flags)
    now = {{path: path.read_bytes() for path in disk.rglob("*") if path.is_file() and path != filler}}
    now = {{path: data for path, data in now.items() if data or path.name != ".e2wsol.jsonl"}}  # predict's, empty
    changed = sorted(str(path) for path in now.keys() | before.keys() if now.get(path) != before.get(path))
    assert not changed, (name, changed)
print(json.dumps(statuses))
"""
COMMANDS = (
    ("export", "--run_dir=DISK/run", "--output=DISK/exported"),
    ("convert", "--from=DISK/run", "--to=DISK/out.npz"),
    ("classify", "--run_dir=DISK/run", "--output=DISK/classes.jsonl"),
    ("evaluate", "--run_dir=DISK/run", "--samples=4"),
    ("report", "--run_dir=DISK/run", "--output=DISK/page.html"),
    ("pseudo_masks", "--run_dir=DISK/run", "--output=DISK/masked"),
    ("predict", "--model=DISK/run", "--output=DISK/boxes", "--format=voc", "DISK/photos"),
)


@pytest.fixture
def on_a_disk(tmp_path):
    """Runs a shell script with the disk at $DISK and the commands' Python at $PYTHON."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    disk, keep = tmp_path / "disk", tmp_path / "keep"
    disk.mkdir()

    def run(script):
        environment = {
            "DISK": str(disk),
            "KEEP": str(keep),
            "PYTHON": sys.executable,
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        command = ["unshare", "-m", "bash", "-c", ON_A_DISK, "bash", script]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        errors = [line for line in done.stderr.replace("\r", "\n").splitlines() if line.startswith(("error", "Trace"))]
        return done, errors, keep

    return run


def test_training_on_a_disk_that_fills_up_and_then_may_only_be_read(tiny_records, on_a_disk, tmp_path):
    script = tmp_path / "training.py"
    script.write_text(TRAINING.format(tests=str(pathlib.Path(__file__).parent), records=tiny_records))
    done, errors, keep = on_a_disk(f'"$PYTHON" {script}')
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [0, 2, 0, 2]
    assert done.stdout.count("resumed from") == 1 and "trained 4 steps" in done.stdout
    full, read_only = errors
    assert "No space left on device" in full
    assert "Read-only file system" in read_only and "/disk/other" in read_only
    assert checkpoints.last(keep / "run" / "checkpoints").name == "step-00000004"
    assert not [path for path in keep.rglob(".tmp-*")]


def test_records_on_a_disk_that_fills_up(on_a_disk):
    build = '"$PYTHON" -m tfrecords.build --source=synthetic --output="$DISK/records" --synthetic_train=60 --workers=1'
    done, errors, keep = on_a_disk(f"dd if=/dev/zero of=$DISK/filler bs=1k count=6000 2> /dev/null; {build}")
    assert done.returncode == 2
    assert len(errors) == 1 and "No space left on device" in errors[0]
    assert not [path for path in keep.rglob(".tmp-*")] and not (keep / "records" / "dataset.json").exists()


def test_other_commands_on_a_full_disk(tiny_run, on_a_disk, tmp_path):
    """Each ends in one line that names the disk's state, and leaves every file as it was and none of its own."""
    made = tmp_path / "made"
    shutil.copytree(tiny_run, made)
    assert run("evaluate", f"--run_dir={made}", "--samples=2") == 0
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(photos / "0.png")
    script = tmp_path / "others.py"
    tests = str(pathlib.Path(__file__).parent)
    script.write_text(OTHERS.format(tests=tests, made=str(made), photos=str(photos), commands=COMMANDS))
    done, errors, _ = on_a_disk(f'"$PYTHON" {script}')
    assert done.returncode == 0, done.stderr[-3000:]
    assert set(json.loads(done.stdout.splitlines()[-1]).values()) == {2}
    assert len(errors) == len(COMMANDS) and all("No space left on device" in line for line in errors), errors
