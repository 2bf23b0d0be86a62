"""Builds that are killed again and again, against one that is not: python tests/tfrecords/killed_builds.py --kills=100.

Each kind of source is built once in peace. Then builds into one folder are started and killed by SIGKILL, every second
time with all their processes, every second time alone, at a random moment of what the whole build took. A build that
comes through is compared with the peaceful one, byte for byte, and the folder is emptied. Last a build runs to its end.
"""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time

from made_sources import save_picture

from e2wsol import cli
from e2wsol.config import option

ROOT = pathlib.Path(__file__).parents[2]
SMALL = ("--shard_pictures=4", "--workers=2")
WAIT = 300


@dataclasses.dataclass(frozen=True)
class KillOptions:
    """How often, on how much."""

    kills: int = option(100, "builds to kill, over both kinds of source", minimum=2)
    pictures: int = option(120, "pictures of a source", minimum=8)
    seed: int = option(0, "seed of the moments", minimum=0)


def main(options, positional):
    """Prints one JSON line a kind of source."""
    cli.no_arguments(positional)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for number, (name, flags) in enumerate(sources(folder, options.pictures).items()):
            kills = (options.kills + number) // 2
            found = killed_builds(flags, folder / name, kills=kills, seed=options.seed + number)
            print(json.dumps({"source": name, **found}), flush=True)


def sources(folder, pictures):
    """{name: flags of the builder} of a folder of PNG files and of an archive in CUB's layout, both made here."""
    for number in range(pictures):
        save_picture(folder / f"png/{'ab'[number % 2]}/{number}.png", seed=number, height=300, width=400)
    return {
        "folder": ("--source=folder", f"--input={folder / 'png'}", "--holdout=0.2", *SMALL),
        "archive": ("--source=cub", f"--input={made_archive(folder, pictures)}", "--store=resized", *SMALL),
    }


def made_archive(folder, pictures):
    """Path of an archive like CUB_200_2011.tgz."""
    root = folder / "CUB_200_2011"
    names = [f"{1 + number % 2:03d}.Bird/{number}.jpg" for number in range(pictures)]
    for number, name in enumerate(names):
        save_picture(root / "images" / name, seed=number, height=300, width=400)
    tables = {
        "images": [f"{number} {name}" for number, name in enumerate(names, 1)],
        "classes": ["1 001.Bird", "2 002.Bird"],
        "image_class_labels": [f"{number} {2 - number % 2}" for number in range(1, pictures + 1)],
        "bounding_boxes": [f"{number} 1.0 2.0 {100 + number % 200}.0 50.0" for number in range(1, pictures + 1)],
        "train_test_split": [f"{number} {int(number % 3 > 0)}" for number in range(1, pictures + 1)],
    }
    for name, lines in tables.items():
        (root / f"{name}.txt").write_text("\n".join(lines) + "\n")
    with tarfile.open(folder / "CUB_200_2011.tgz", "w:gz") as tar:
        tar.add(root, root.name)
    return folder / "CUB_200_2011.tgz"


def killed_builds(flags, folder, *, kills, seed):
    """Kills `kills` builds; raises an AssertionError where one ends otherwise than in peace.

    Returns:
      {"kills", "while_writing": those that met shards or progress in the folder, "came_through": builds that were
      done before their moment, "seconds"}.
    """
    start, rng = time.monotonic(), random.Random(seed)
    # One path for all: dataset.json depends on where an archive is unpacked, which is beside the output.
    output = folder / "records"
    build(flags, output)
    duration = time.monotonic() - start
    expected = contents(folder)
    shutil.rmtree(folder)
    counted = {"kills": 0, "while_writing": 0, "came_through": 0}
    while counted["kills"] < kills:
        process = started(flags, output)
        if killed(process, rng.uniform(0, duration), everyone=counted["kills"] % 2 == 0):
            counted["kills"] += 1
            counted["while_writing"] += (output / "progress.json").exists()
        else:
            counted["came_through"] += 1
            assert process.returncode == 0, process.returncode
            check_same(contents(folder), expected)
            shutil.rmtree(folder)
    build(flags, output)
    check_same(contents(folder), expected)
    return counted | {"seconds": round(time.monotonic() - start)}


def build(flags, output):
    """Builds to the end."""
    process = started(flags, output)
    assert process.wait(WAIT) == 0, process.returncode


def started(flags, output):
    """The process of a build, at the head of a group of its own."""
    command = [sys.executable, "-m", "tfrecords.build", *flags, f"--output={output}"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **quiet)


def killed(process, delay, *, everyone):
    """Kills the process after `delay` seconds, with its group or alone; whether it was still there."""
    try:
        process.wait(delay)
        return False
    except subprocess.TimeoutExpired:
        pass
    if everyone:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait(WAIT)
    for _ in itertools.takewhile(lambda _: group_lives(process.pid), range(100)):
        time.sleep(0.1)
    assert not group_lives(process.pid), "worker processes outlive the builder"
    return True


def group_lives(group):
    """Whether any process of the group does more than wait to be buried."""
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, found = path.read_text().rsplit(")", 1)[1].split()[:3]
        except OSError:  # ended meanwhile
            continue
        if int(found) == group and state != "Z":
            return True
    return False


def contents(folder):
    """{relative path: bytes} of all files, hidden ones too, below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_same(found, expected):
    """Raises an AssertionError that names the files that only one has or that are not equal."""
    wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if wrong:
        raise AssertionError(f"not as the build that was left in peace: {', '.join(wrong)}")


if __name__ == "__main__":
    cli.run(main, KillOptions, description=__doc__)
