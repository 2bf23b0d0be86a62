"""Time and memory of a build as large as CUB-200-2011: python benchmarks/build.py.

11,788 files in 200 class folders, links to --different photos of about 500x375, go through `python -m tfrecords.build`
with both kinds of store. The memory of the builder and its workers, resident and their own (unique set size), is
sampled; `memory_growth` is the largest sample of the last quarter of the build over that of the second quarter, 1 where
memory stays flat. Processor time, all processes together, says what a busy machine hides. The last line is one JSON
object. Without --photos the pictures are textures, as large in bytes as photos of their size.
"""

import dataclasses
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from input import made_image

from e2wsol import cli
from e2wsol.config import option
from e2wsol.data import picture_files
from e2wsol.errors import ArgumentError, UserError

ROOT = pathlib.Path(__file__).resolve().parents[1]
CLASSES = 200


@dataclasses.dataclass(frozen=True)
class BuildBenchmarkOptions:
    """How much is built."""

    photos: str = option("", "folder of photos, searched all the way down; empty for made textures")
    pictures: int = option(11_788, "files", minimum=CLASSES)
    different: int = option(256, "different photos among them at most", minimum=1)
    workers: int = option(0, "worker processes; 0 for one a core", minimum=0)


def main(options, positional):
    """Prints the table and the JSON line."""
    cli.no_arguments(positional)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        link_images(options, folder)
        for store in ("original", "resized", "square"):
            command = ["--source=folder", f"--input={folder / 'in'}", f"--output={folder / store}", f"--store={store}"]
            found[store] = build([*command, f"--workers={options.workers}"])
    print(f"{options.pictures} pictures, {options.workers or os.cpu_count()} workers")
    print("| --store | seconds | processor seconds | peak MB | growth |\n|---|---|---|---|---|")
    for store, (wall, processor, peak, growth) in found.items():
        print(f"| {store} | {wall:.0f} | {processor:.0f} | {peak:.0f} | {growth:.2f} |")
    numbers = {
        store: {"seconds": round(row[0], 1), "processor_seconds": round(row[1], 1)} for store, row in found.items()
    }
    peak, growth = (max(row[column] for row in found.values()) for column in (2, 3))
    print(json.dumps({**numbers, "peak_mb": round(peak), "memory_growth": round(growth, 2)}))


def link_images(options, folder):
    """Makes folder/in with its classes."""
    if options.photos:
        photos = picture_files.find(pathlib.Path(options.photos)).pictures
        if not photos:
            raise ArgumentError("photos", options.photos, "no image in it")
    else:
        photos = [made_image(folder / f"{index}.jpg", index) for index in range(options.different)]
    photos = photos[:: max(1, len(photos) // options.different)][: options.different]
    for index in range(options.pictures):
        target = folder / "in" / f"{index % CLASSES:03d}" / f"{index}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(photos[index % len(photos)].resolve())


def build(flags):
    """(seconds, processor seconds, peak MB, growth) of a build."""
    used = children_seconds()
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "tfrecords.build", *flags], cwd=ROOT, stdout=subprocess.DEVNULL)
    samples = []
    while process.poll() is None:
        samples.append(memory(process.pid))
        time.sleep(0.2)
    if process.returncode:
        raise UserError(f"the build ended with status {process.returncode}")
    wall = time.monotonic() - start
    quarters = [samples[len(samples) * part // 4 : len(samples) * (part + 1) // 4] for part in range(4)]
    return wall, children_seconds() - used, max(samples), max(quarters[3]) / max(quarters[1])


def children_seconds():
    """Processor seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def memory(pid):
    """MB that a process and its descendants have for themselves."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        own = sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1000
        return own + sum(memory(int(child)) for child in children.read_text().split())
    except OSError:  # ended meanwhile
        return 0.0


if __name__ == "__main__":
    cli.run(main, BuildBenchmarkOptions, description=__doc__)
