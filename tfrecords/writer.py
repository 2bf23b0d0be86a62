"""Writes a listing as shards and dataset.json, and goes on where an earlier run stopped.

Worker processes read and encode pictures; this process writes them, shard after shard, under a
temporary name that becomes the shard's name when it is whole. progress.json records finished shards
with the options that made them; dataset.json takes its place when all is done.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import json
import multiprocessing
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from tqdm import tqdm

from e2wsol import files
from e2wsol.data import dataset, schema
from e2wsol.data.dataset import Dataset
from e2wsol.data.image_record import ImageRecord
from e2wsol.errors import ArgumentError, UserError
from tfrecords.items import Item, Listing
from tfrecords.prepare import StoreOptions, end_with_builder, prepare

PROGRESS = "progress.json"
_ENTRY = {"file", "count", "bytes", "sha256", "items_sha256", "has_boxes", "has_masks"}


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file to write: its name and its items."""

    file: str
    items: tuple[Item, ...]


def write(
    listing: Listing,
    output: pathlib.Path,
    *,
    source: str,
    created_by: dict[str, Any],
    store: StoreOptions | None = None,
    shard_pictures: int = 1000,
    workers: int = 1,
) -> Dataset:
    """Writes every split of `listing` to the folder `output`.

    Args:
      listing: `items.Listing`, its items in the order in which they are to be stored.
      output: pathlib path of the records folder; made when missing.
      source: name of the source.
      created_by: JSON-ready mapping of the options that decide what the records hold.
      store: `prepare.StoreOptions`.
      shard_pictures: pictures a shard holds at most.
      workers: processes that read and encode; with 1 it is done in this process.

    Returns:
      The `Dataset` that was written.

    Raises:
      UserError: a picture is bad, or `output` holds records made otherwise.
    """
    output.mkdir(parents=True, exist_ok=True)
    files.remove_leftovers(output)
    shards = {name: _cut(name, items, shard_pictures) for name, items in listing.splits.items()}
    every = [shard for group in shards.values() for shard in group]
    before = _earlier_entries(output, created_by)
    state = {"created_by": created_by, "shards": _still_good(output, every, before)}
    missing = [shard for shard in every if shard.file not in state["shards"]]
    if missing:
        _write_shards(missing, listing, output, state, store or StoreOptions(), workers)
    document = _document(listing, shards, state, source)
    files.write_text(output / dataset.FILE_NAME, json.dumps(document, indent=1) + "\n")
    (output / PROGRESS).unlink(missing_ok=True)
    for file in before.keys() - state["shards"].keys():
        (output / file).unlink(missing_ok=True)
    return dataset.load(output)


def _cut(split: str, items: Sequence[Item], shard_pictures: int) -> list[Shard]:
    """Shards of nearly equal size, with their final names."""
    count = max(1, -(-len(items) // shard_pictures))
    bounds = [len(items) * i // count for i in range(count + 1)]
    return [
        Shard(f"{split}-{i:05d}-of-{count:05d}.tfrecord", tuple(items[bounds[i] : bounds[i + 1]])) for i in range(count)
    ]


def _fingerprint(shard: Shard) -> str:
    """Digest of what a shard's items say: their order, names, labels, boxes and where they lie."""
    digest = hashlib.sha256()
    for item in shard.items:
        digest.update(f"{item!r}\n".encode())
    return digest.hexdigest()


def _earlier_entries(output: pathlib.Path, created_by: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Shards that an earlier run in `output` wrote with the same options: name -> its entry in dataset.json."""
    for name in (PROGRESS, dataset.FILE_NAME):
        if (output / name).is_file():
            break
    else:
        _refuse_other_records(output)
        return {}
    before = _earlier_state(output / name)
    old = before["created_by"]
    for name in sorted(old.keys() | created_by.keys()):
        if old.get(name) != created_by.get(name):
            changed = f"made with {name}={old.get(name)}, now {name}={created_by.get(name)}"
            raise ArgumentError("output", output, f"{changed}; choose another output or delete the folder")
    return before["shards"]


def _earlier_state(path: pathlib.Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {"created_by": dict(document["created_by"]), "shards": dataset.shard_entries(document)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{path}: not written by this builder; choose another output or delete the folder") from None


def _refuse_other_records(output: pathlib.Path) -> None:
    for path in output.glob("*.tfrecord"):
        raise ArgumentError("output", output, f"holds {path.name}, but no {dataset.FILE_NAME}; choose another output")


def _still_good(
    output: pathlib.Path, shards: Sequence[Shard], before: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Entries of the shards that lie in `output` whole and are made from the same items."""
    return {
        shard.file: entry
        for shard in shards
        if (entry := before.get(shard.file))
        and entry.keys() == _ENTRY
        and (entry["file"], entry["count"]) == (shard.file, len(shard.items))
        and entry["items_sha256"] == _fingerprint(shard)
        and (output / shard.file).is_file()
        and (output / shard.file).stat().st_size == entry["bytes"]
    }


def _write_shards(
    shards: Sequence[Shard],
    listing: Listing,
    output: pathlib.Path,
    state: dict[str, Any],
    store: StoreOptions,
    workers: int,
) -> None:
    total = sum(len(shard.items) for shard in shards)
    # Interruptions must leave no half dataset.json beside new shards.
    files.write_text(output / PROGRESS, json.dumps(state))
    (output / dataset.FILE_NAME).unlink(missing_ok=True)
    make = functools.partial(prepare, classes=listing.classes, options=store, slack=listing.slack)
    with _mapper(make, workers) as in_order, tqdm(total=total, unit="pictures", file=sys.stderr) as bar:
        pictures = in_order(item for shard in shards for item in listing.fetch(shard.items))
        for shard in shards:
            bar.set_description(shard.file)
            state["shards"][shard.file] = _write_shard(output, shard, pictures, bar)
            files.write_text(output / PROGRESS, json.dumps(state))


@contextlib.contextmanager
def _mapper(make: Callable[[Item], ImageRecord], workers: int) -> Iterator[Callable]:
    """Yields a function like `map(make, items)` that keeps the order and little in memory."""
    if workers <= 1:
        yield functools.partial(map, make)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, context, end_with_builder) as pool:
        try:
            yield functools.partial(_map_in_pool, pool, make, 8 * workers)
        except BrokenProcessPool:
            raise UserError("a worker process died, most likely for lack of memory; use fewer workers") from None
        finally:
            pool.shutdown(cancel_futures=True)


def _map_in_pool(
    pool: concurrent.futures.Executor, make: Callable[[Item], ImageRecord], window: int, items: Iterable[Item]
) -> Iterator[ImageRecord]:
    pending: collections.deque[concurrent.futures.Future[ImageRecord]] = collections.deque()
    for item in items:
        pending.append(pool.submit(make, item))
        if len(pending) >= window:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _write_shard(output: pathlib.Path, shard: Shard, pictures: Iterator[ImageRecord], bar: Any) -> dict[str, Any]:
    """Writes the shard's pictures, which come next in `pictures`; returns its entry in dataset.json."""
    has_boxes = has_masks = False
    with files.replacing(output / shard.file) as temporary:
        with schema.record_writer(temporary) as write_record:
            for _ in shard.items:
                picture = next(pictures)
                has_boxes |= len(picture.boxes) > 0
                has_masks |= picture.mask is not None
                write_record(schema.encode(picture))
                bar.update()
        size, checksum = temporary.stat().st_size, dataset.sha256(temporary)
    return {
        "file": shard.file,
        "count": len(shard.items),
        "bytes": size,
        "sha256": checksum,
        "items_sha256": _fingerprint(shard),
        "has_boxes": has_boxes,
        "has_masks": has_masks,
    }


def _document(listing: Listing, shards: dict[str, list[Shard]], state: dict[str, Any], source: str) -> dict[str, Any]:
    splits: dict[str, dict[str, Any]] = {}
    for name, group in shards.items():
        entries = [state["shards"][shard.file] for shard in group]
        labels = collections.Counter(item.label for item in listing.splits[name])
        splits[name] = {
            "count": len(listing.splits[name]),
            "class_counts": [labels[label] for label in range(len(listing.classes))],
            "shards": entries,
        }
    every = [entry for split in splits.values() for entry in split["shards"]]
    return {
        "format": dataset.FORMAT,
        "name": listing.name,
        "source": source,
        "created_by": state["created_by"],
        "classes": list(listing.classes),
        "splits": splits,
        "has_boxes": any(entry["has_boxes"] for entry in every),
        "has_masks": any(entry["has_masks"] for entry in every),
    }
