"""Writes a listing as shards and dataset.json, and goes on where an earlier run stopped.

Worker processes read and encode pictures; this process writes them, shard after shard, under a
temporary name that becomes the shard's name when it is whole. progress.json records finished shards
with the options that made them; dataset.json takes its place when all is done.

A shard that is there is kept where its items and the content of their files are those that it was made from. Files
whose size and time of change are as before count as unchanged; of the others the SHA-256 is compared.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import json
import multiprocessing
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from e2wsol import files, stop_signals, terminal
from e2wsol.data import dataset, schema
from e2wsol.data.dataset import Dataset
from e2wsol.errors import ArgumentError, UserError
from tfrecords.items import Item, Listing
from tfrecords.prepare import Policies, Prepared, StoreOptions, digest, end_with_builder, prepare

PROGRESS = "progress.json"
_SHARD_NAME = re.compile(r".+-\d{5}-of-\d{5}\.tfrecord")  # of _cut: nothing else is ever removed
_ENTRY = {
    *("file", "count", "bytes", "sha256", "has_boxes", "has_masks"),
    *("items_sha256", "content_sha256", "stamps_sha256", "policies", "skipped", "mended_boxes"),
}


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
    policies: Policies | None = None,
    shard_pictures: int = 1000,
    workers: int = 1,
    rebuild: bool = False,
) -> Dataset:
    """Writes every split of `listing` to the folder `output`.

    Args:
      listing: `items.Listing`, its items in the order in which they are to be stored.
      output: pathlib path of the records folder; made when missing.
      source: name of the source.
      created_by: JSON-ready mapping of the options that decide what the records hold.
      store: `prepare.StoreOptions`.
      policies: `prepare.Policies`.
      shard_pictures: pictures a shard holds at most.
      workers: processes that read and encode; with 1 it is done in this process.
      rebuild: whether every shard is made again.

    Returns:
      The `Dataset` that was written.

    Raises:
      UserError: pictures are bad, or `output` holds records made otherwise.
    """
    policies, store = policies or Policies(), store or StoreOptions()
    output.mkdir(parents=True, exist_ok=True)
    shards = {name: _cut(name, items, shard_pictures) for name, items in listing.splits.items()}
    every = [shard for group in shards.values() for shard in group]
    before = _earlier_entries(output, created_by)
    files.remove_leftovers(output, "*.tfrecord", PROGRESS, dataset.FILE_NAME)
    good = {} if rebuild else _still_good(output, every, before, policies)
    state = {"created_by": created_by, "shards": good}
    missing = [shard for shard in every if shard.file not in good]
    if missing:
        make = functools.partial(
            prepare, classes=listing.classes, options=store, slack=listing.slack, on_bad_box=policies.box
        )
        _write_shards(missing, listing, output, state, policies, make, workers)
    document = _document(listing, shards, state, source)
    files.write_text(output / dataset.FILE_NAME, json.dumps(document, indent=1) + "\n")
    (output / PROGRESS).unlink(missing_ok=True)
    for file in filter(_SHARD_NAME.fullmatch, before.keys() - state["shards"].keys()):
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
    """Digest of what a shard's items say: their order, names, labels and boxes."""
    return _sha256(repr(item) for item in shard.items)


def _stamps(shard: Shard) -> str:
    """Digest of place, size and time of change of the files that a shard's items are read from."""
    stamp = functools.cache(_stamp)
    return _sha256(
        f"{location.path} {location.offset} {location.size} {stamp(location.path)}"
        for item in shard.items
        for location in item.inputs
    )


def _stamp(path: str) -> str:
    try:
        found = os.stat(path)
        return f"{found.st_size} {found.st_mtime_ns}"
    except (OSError, ValueError):  # reading the item says what is wrong
        return "missing"


def _content(shard: Shard) -> str:
    """Digest of the files that a shard's items are read from."""
    return _sha256(digest(item) for item in shard.items)


def _sha256(lines: Iterable[str]) -> str:
    found = hashlib.sha256()
    for line in lines:
        found.update(f"{line}\n".encode())
    return found.hexdigest()


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
    # An option that only one of them has is younger than the records, and its shards are looked at anyway.
    for name in sorted(old.keys() & created_by.keys()):
        if _identity(name, old[name]) != _identity(name, created_by[name]):
            changed = f"made with {name}={old[name]}, now {name}={created_by[name]}"
            raise ArgumentError("output", output, f"{changed}; choose another output or delete the folder")
    return before["shards"]


def _identity(name: str, value: Any) -> Any:
    """What two values of an option are compared by: two spellings of a path are one input."""
    return os.path.abspath(value) if name == "input" and value else value


def _earlier_state(path: pathlib.Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {"created_by": dict(document["created_by"]), "shards": dataset.shard_entries(document)}
    except Exception:  # whatever a damaged file makes it meet
        raise UserError(f"{path}: not written by this builder; choose another output or delete the folder") from None


def _refuse_other_records(output: pathlib.Path) -> None:
    for path in output.glob("*.tfrecord"):
        raise ArgumentError("output", output, f"holds {path.name}, but no {dataset.FILE_NAME}; choose another output")


def _still_good(
    output: pathlib.Path, shards: Sequence[Shard], before: dict[str, dict[str, Any]], policies: Policies
) -> dict[str, dict[str, Any]]:
    """Entries of the shards that lie in `output` whole and are made from the same items and files."""
    found = {shard.file: _good_entry(output, shard, before.get(shard.file), policies) for shard in shards}
    return {name: entry for name, entry in found.items() if entry}


def _good_entry(
    output: pathlib.Path, shard: Shard, entry: dict[str, Any] | None, policies: Policies
) -> dict[str, Any] | None:
    path = output / shard.file
    if (
        entry is None
        or entry.keys() != _ENTRY
        or (entry["file"], entry["items_sha256"]) != (shard.file, _fingerprint(shard))
        or not _are_lines(entry["mended_boxes"])
        or not isinstance(entry["skipped"], list)
        or not all(_are_lines(each) and len(each) == 2 for each in entry["skipped"])
        or entry["count"] != len(shard.items) - len(entry["skipped"])
        or ((entry["skipped"] or entry["mended_boxes"]) and entry["policies"] != dataclasses.asdict(policies))
        or not path.is_file()
        or path.stat().st_size != entry["bytes"]
    ):
        return None
    stamps = _stamps(shard)
    if entry["stamps_sha256"] == stamps:
        return entry
    try:
        unchanged = entry["content_sha256"] == _content(shard)
    except UserError:  # making the shard again says what is wrong
        unchanged = False
    return entry | {"stamps_sha256": stamps} if unchanged else None


def _are_lines(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _write_shards(
    shards: Sequence[Shard],
    listing: Listing,
    output: pathlib.Path,
    state: dict[str, Any],
    policies: Policies,
    make: Callable[[Item], Prepared],
    workers: int,
) -> None:
    """Writes the shards; those with a picture that cannot be used are left out unless such pictures are skipped.

    Raises:
      UserError: there were any, when all pictures have been looked at.
    """
    total = sum(len(shard.items) for shard in shards)
    # Interruptions must leave no half dataset.json beside new shards.
    files.write_text(output / PROGRESS, json.dumps(state))
    (output / dataset.FILE_NAME).unlink(missing_ok=True)
    # Taken before anything is read: what changes meanwhile is looked at the next time.
    stamps = {shard.file: _stamps(shard) for shard in shards}
    problems: list[str] = []
    with _mapper(make, workers) as in_order, terminal.ProgressBar(total, "build", "picture") as bar:
        pictures = in_order(item for shard in shards for item in listing.fetch(shard.items))
        for shard in shards:
            bar.set_description(shard.file)
            entry = _write_shard(output, shard, pictures, bar, refuse_bad=policies.record == "error")
            if entry["skipped"] and policies.record == "error":
                problems += [problem for _, problem in entry["skipped"]]
                continue
            entry |= {"stamps_sha256": stamps[shard.file], "policies": dataclasses.asdict(policies)}
            state["shards"][shard.file] = entry
            files.write_text(output / PROGRESS, json.dumps(state))
    if problems:
        raise UserError(_summary(problems, total))


def _summary(problems: Sequence[str], total: int) -> str:
    """One line about all pictures that cannot be used."""
    choice = "mend it, or leave such pictures out by on_bad_record=skip"
    if len(problems) == 1:
        return f"{problems[0]}; {choice}"
    return f"{len(problems)} of {total} pictures cannot be used: {' | '.join(problems)}; {choice.replace('it', 'them')}"


@contextlib.contextmanager
def _mapper(make: Callable[[Item], Prepared], workers: int) -> Iterator[Callable]:
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
    pool: concurrent.futures.Executor, make: Callable[[Item], Prepared], window: int, items: Iterable[Item]
) -> Iterator[Prepared]:
    pending: collections.deque[concurrent.futures.Future[Prepared]] = collections.deque()
    for item in items:
        with stop_signals.kept_from_children():  # the pool starts its processes when it needs them
            pending.append(pool.submit(make, item))
        if len(pending) >= window:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


class _RefusedError(Exception):
    """The shard that is being written has a picture that cannot be used."""


def _write_shard(
    output: pathlib.Path, shard: Shard, pictures: Iterator[Prepared], bar: Any, *, refuse_bad: bool
) -> dict[str, Any]:
    """Writes the shard's pictures, which come next in `pictures`; returns its entry in dataset.json.

    With `refuse_bad`, a shard with a picture that cannot be used is not written.
    """
    has_boxes = has_masks = False
    contents: list[str] = []
    skipped: list[list[str]] = []
    mended: list[str] = []
    entry: dict[str, Any] = {"skipped": skipped, "mended_boxes": mended}
    with contextlib.suppress(_RefusedError), files.replacing(output / shard.file) as temporary:
        with schema.record_writer(temporary) as write_record:
            for _ in shard.items:
                picture = next(pictures)
                bar.update()
                contents.append(picture.content_sha256)
                mended += picture.mended_boxes
                if picture.record is None:
                    skipped.append([picture.source_id, picture.problem])
                    continue
                has_boxes |= len(picture.record.boxes) > 0
                has_masks |= picture.record.mask is not None
                write_record(schema.encode(picture.record))
        if skipped and refuse_bad:
            raise _RefusedError
        entry |= {"bytes": temporary.stat().st_size, "sha256": dataset.sha256(temporary)}
    return entry | {
        "file": shard.file,
        "count": len(shard.items) - len(skipped),
        "items_sha256": _fingerprint(shard),
        "content_sha256": _sha256(contents),
        "has_boxes": has_boxes,
        "has_masks": has_masks,
    }


def _document(listing: Listing, shards: dict[str, list[Shard]], state: dict[str, Any], source: str) -> dict[str, Any]:
    splits: dict[str, dict[str, Any]] = {}
    for name, group in shards.items():
        entries = [state["shards"][shard.file] for shard in group]
        skipped = {source_id for entry in entries for source_id, _ in entry["skipped"]}
        labels = collections.Counter(item.label for item in listing.splits[name] if item.source_id not in skipped)
        if not labels:
            raise UserError(f"no picture of split {name} can be used: {entries[0]['skipped'][0][1]}")
        if name == "train" and len(labels) < len(listing.classes):
            lost = next(class_name for label, class_name in enumerate(listing.classes) if not labels[label])
            raise UserError(f"no picture of class {lost} in split train can be used")
        splits[name] = {
            "count": labels.total(),
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
        "passed_over": collections.Counter(each.reason for each in listing.passed_over),
    }
