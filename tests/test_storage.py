"""Commands on a disk that is full, and on one that may only be read: real ones, in a mount namespace of their own."""

import subprocess
import sys

import pytest

from e2wsol.training import checkpoints

pytestmark = pytest.mark.slow
# A small disk on $DISK that this shell and its children alone see; $1 is run on it.
ON_A_DISK = 'mount -t tmpfs -o size=6m tmpfs "$DISK" && eval "$1"; status=$?; cp -r "$DISK" "$KEEP"; exit $status'
TINY = (
    *("--method=cam", "--image_size=32", "--resize_size=36", "--backbone_width=0.02", "--data_threads=1"),
    *("--batch_size=8", "--steps_per_epoch=2", "--tensorboard_pictures=0"),
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


def test_training_on_a_disk_that_fills_up(tiny_records, on_a_disk):
    train = f'"$PYTHON" -m e2wsol.train --data_dir={tiny_records} --run_dir="$DISK/run" {" ".join(TINY)}'
    done, errors, keep = on_a_disk(
        f"{train} --epochs=1 || exit 1; dd if=/dev/zero of=$DISK/filler 2> /dev/null; {train} --epochs=2; echo $?;"
        f"rm $DISK/filler; {train} --epochs=2"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "\n2\nresumed from" in done.stdout and "trained 4 steps" in done.stdout
    assert len(errors) == 1 and "No space left on device" in errors[0]
    assert checkpoints.last(keep / "run" / "checkpoints").name == "step-00000004"
    assert not [path for path in keep.rglob(".tmp-*")]


def test_training_on_a_disk_that_may_only_be_read(tiny_records, on_a_disk):
    train = f'"$PYTHON" -m e2wsol.train --data_dir={tiny_records} --run_dir="$DISK/run" {" ".join(TINY)}'
    done, errors, _ = on_a_disk(f"mount -o remount,ro $DISK; {train} --epochs=1")
    assert done.returncode == 2
    assert len(errors) == 1 and "Read-only file system" in errors[0] and "/disk/run" in errors[0]


def test_records_on_a_disk_that_fills_up(on_a_disk):
    build = '"$PYTHON" -m tfrecords.build --source=synthetic --output="$DISK/records" --synthetic_train=600 --workers=1'
    done, errors, keep = on_a_disk(f"dd if=/dev/zero of=$DISK/filler bs=1M count=5 2> /dev/null; {build}")
    assert done.returncode == 2
    assert len(errors) == 1 and "No space left on device" in errors[0]
    assert not [path for path in keep.rglob(".tmp-*")] and not (keep / "records" / "dataset.json").exists()
