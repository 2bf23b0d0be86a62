"""A folder of record shards and the dataset.json that describes it. Free of TensorFlow until records are looked at."""

import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from e2wsol import files, reading, terminal
from e2wsol.data import bad_records
from e2wsol.data.bad_records import BadRecord
from e2wsol.errors import UserError, choose

FORMAT = "e2wsol-records/1"
FILE_NAME = "dataset.json"
sha256 = files.sha256


@dataclasses.dataclass(frozen=True)
class Split:
    """One split.

    Attributes:
      name: its name.
      count: images that reading it gives.
      files: shard paths in order.
      class_counts: images per class as they were written, bad records included.
      shard_counts: records per shard as they were written.
      left_out: the bad records that reading leaves out; None where nobody has looked for any.
    """

    name: str
    count: int
    files: tuple[str, ...]
    class_counts: tuple[int, ...]
    shard_counts: tuple[int, ...]
    left_out: tuple[BadRecord, ...] | None = None

    @property
    def skipped(self) -> int:
        """Number of records that reading leaves out."""
        return sum(record.count for record in self.left_out or ())

    def without(self, bad: Iterable[BadRecord]) -> "Split":
        """The split as it is read without some bad records."""
        left_out = tuple(bad)
        return dataclasses.replace(
            self, count=sum(self.shard_counts) - sum(record.count for record in left_out), left_out=left_out
        )

    def shard(self, file: str | pathlib.Path) -> "Split":
        """The part of this split in one of its files."""
        index = [os.path.basename(one) for one in self.files].index(os.path.basename(file))
        path, count = self.files[index], self.shard_counts[index]
        alone = dataclasses.replace(self, count=count, files=(path,), shard_counts=(count,))
        return alone if self.left_out is None else alone.without(bad for bad in self.left_out if bad.file == path)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A folder of records: what its dataset.json says, and which of its records cannot be used.

    Leaving bad records out of the split, and not out of the stream, keeps the stream a function of the seed and of
    the number of the record that it starts at.

    Attributes:
      folder: path of the folder.
      name: name of the data set.
      source: name of the builder's source.
      created_by: options that the records were made with.
      classes: class names in label order.
      splits: the `Split`s by name.
      has_boxes: whether any image has a box.
      has_masks: whether any image has a mask.
      pseudo_mask_splits: names of the splits whose images have pseudo masks.
      left_out_by_builder: a line a picture that the builder could not use.
      mended_boxes: a line a box that the builder cut or left out.
      on_bad_record: "error" to stop at a record that cannot be used, "skip" to leave such records out.

    Example:
      >>> data = dataset.load("records/cub", on_bad_record="skip").without_bad_records(("train",), "runs/cub")
      >>> with data.reading("train"):
      ...     batch = next(iter(pipeline.train_dataset(data, options, global_batch=32, seed=0)))
      >>> data.save_bad_records("runs/cub")
    """

    folder: str
    name: str
    source: str
    created_by: dict[str, Any]
    classes: tuple[str, ...]
    splits: dict[str, Split]
    has_boxes: bool
    has_masks: bool
    pseudo_mask_splits: tuple[str, ...] = ()
    left_out_by_builder: tuple[str, ...] = ()
    mended_boxes: tuple[str, ...] = ()
    on_bad_record: str = "error"

    def split(self, name: str) -> Split:
        """The `Split` called `name`.

        Raises:
          UserError: there is none; the message lists those there are.
        """
        if name not in self.splits:
            found = ", ".join(sorted(self.splits))
            raise UserError(f"{self.folder}: no split '{name}'; this data set has {found}")
        return self.splits[name]

    @property
    def description_sha256(self) -> str:
        """Checksum of dataset.json, which tells data sets apart."""
        return sha256(pathlib.Path(self.folder) / FILE_NAME)

    def without_bad_records(self, splits: Iterable[str | None], run_dir: str | pathlib.Path) -> "Dataset":
        """The data set without its bad records; itself where `on_bad_record` is "error".

        What is left out is printed. Nothing is written: `save_bad_records` does that.

        Args:
          splits: names of those that will be read; unknown ones are passed over.
          run_dir: a folder whose bad_records.json is used where it has one, so that a run that goes on does so with
            the same records, and nothing is looked through twice.

        Raises:
          UserError: no record of a split that has any can be used, or bad_records.json is not such a list.
        """
        if self.on_bad_record == "error":
            return self
        known, checked = bad_records.read(run_dir, self.description_sha256), dict(self.splits)
        for name in dict.fromkeys(name for name in splits if name in checked):
            checked[name] = self._without_bad(checked[name], known.get(name))
        return dataclasses.replace(self, splits=checked)

    def save_bad_records(self, run_dir: str | pathlib.Path) -> None:
        """Writes what `without_bad_records` found to bad_records.json of a run folder; nothing where it did not look.

        Raises:
          UserError: there is a bad_records.json that is not such a list.
        """
        found = {name: split.left_out for name, split in self.splits.items() if split.left_out is not None}
        if found:
            bad_records.write(run_dir, self.description_sha256, found)

    def skipped(self, splits: Iterable[str | None]) -> dict[str, int]:
        """Number of records that are left out, of those of the named splits that have any."""
        found = {name: self.split(name).skipped for name in splits if name}
        return {name: count for name, count in found.items() if count}

    def reading(self, split: str) -> contextlib.AbstractContextManager[None]:
        """A context in which a bad record of a split ends as a UserError that names its file and image.

        tf.data's errors do not say which record they come from; so the split is read once more, record by record,
        after a failure. Errors that have another cause pass through.
        """
        from e2wsol.data import record_checks  # here, since it imports TensorFlow

        return record_checks.naming_bad_records(self, split)

    def _without_bad(self, split: Split, entries: list[dict[str, Any]] | None) -> Split:
        """The split without its bad records: those in the entries of bad_records.json, else those that are found."""
        if entries is not None:
            bad = bad_records.from_entries(entries, split.name, split.files)
        else:
            from e2wsol.data import record_checks  # here, since it imports TensorFlow

            bad = list(record_checks.find_bad_records(self, split.name))
        checked = split.without(bad)
        if checked.skipped and not checked.count:
            raise UserError(f"{self.folder}: no record of split '{split.name}' can be read; {bad[0].describe()}")
        if checked.skipped:
            total, names = sum(split.shard_counts), bad_records.summary(bad)
            lost = f"{checked.skipped} of {total} records cannot be read and are left out"
            terminal.say(f"split {split.name}: {lost}: {names}")
        return checked


def load(folder: str | pathlib.Path, *, verify: bool = False, on_bad_record: str = "error") -> Dataset:
    """Opens a folder of records: reads its dataset.json and checks it against the shards.

    Args:
      folder: path that holds dataset.json and the shards.
      verify: also compare every shard's SHA-256, which reads all of the data.
      on_bad_record: "skip" lets shards pass that are not as long as they should be; `Dataset.without_bad_records`
        then leaves out what cannot be read.

    Raises:
      UserError: no or broken dataset.json, a shard is missing, cut or changed.

    Example:
      >>> data = dataset.load("records/cub10")
      >>> data.split("test").count
      320
    """
    choose(on_bad_record, bad_records.CHOICES, "on_bad_record")
    path = pathlib.Path(folder) / FILE_NAME
    document = read_document(path)
    with reading.guarded(path, "not a valid data set description"):
        data = _dataset(str(folder), document, on_bad_record)
        sizes = [(shard["file"], shard["bytes"], shard["sha256"]) for shard in _shards(document)]
    for file, size, checksum in sizes:
        _check_shard(path.parent / file, size, checksum if verify else None, damaged=on_bad_record == "skip")
    return data


def read_document(path: str | pathlib.Path) -> dict[str, Any]:
    """The parsed dataset.json at `path`, its format checked.

    Raises:
      UserError: it is not one.
    """
    if not os.path.isfile(path):
        raise UserError(f"{pathlib.Path(path).absolute()}: not found; make it with python -m tfrecords.build")
    with reading.guarded(path, "not valid JSON"):
        document = json.loads(files.read_text(path))
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise UserError(f"{path}: format is '{found}', expected '{FORMAT}'")
    names = document.get("classes")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: 'classes' is no list of names in label order")
    return document


def _dataset(folder: str, document: dict[str, Any], on_bad_record: str) -> Dataset:
    classes = tuple(document["classes"])
    if not classes:
        raise ValueError("classes must be a list of names")
    shards = _shards(document)
    return Dataset(
        folder=folder,
        name=str(document["name"]),
        source=str(document["source"]),
        created_by=document["created_by"],
        classes=classes,
        splits={name: _split(folder, name, entry, classes) for name, entry in document["splits"].items()},
        has_boxes=document["has_boxes"],
        has_masks=document["has_masks"],
        pseudo_mask_splits=tuple(document.get("pseudo_mask_splits", ())),
        left_out_by_builder=tuple(problem for shard in shards for _, problem in shard.get("skipped", ())),
        mended_boxes=tuple(line for shard in shards for line in shard.get("mended_boxes", ())),
        on_bad_record=on_bad_record,
    )


def _shards(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [shard for split in document["splits"].values() for shard in split["shards"]]


def _split(folder: str, name: str, entry: dict[str, Any], classes: tuple[str, ...]) -> Split:
    counts = tuple(entry["class_counts"])
    shard_counts = tuple(shard["count"] for shard in entry["shards"])
    if not all(type(count) is int and count >= 0 for count in (entry["count"], *counts, *shard_counts)):
        raise ValueError(f"counts of split {name} must be whole numbers from 0")
    if len(counts) != len(classes) or not entry["count"] == sum(shard_counts) == sum(counts):
        raise ValueError(f"counts of split {name} do not agree")
    files = tuple(os.path.join(folder, file_name(shard["file"])) for shard in entry["shards"])
    return Split(name, entry["count"], files, counts, shard_counts)


def file_name(name: Any) -> str:
    """The name of a shard.

    Raises:
      ValueError: it is none, or leads out of the folder.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or os.path.basename(name) != name or "\0" in name:
        raise ValueError(f"{name!r} is not the name of a shard in the folder")
    return name


def difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Says what the records of two dataset.json differ in, by classes and shards' checksums; "" where in nothing.

    Paths, names of files and what else a builder notes do not count.

    Args:
      before: document of a valid dataset.json.
      now: another one.
    """
    if before["classes"] != now["classes"]:
        return "other classes"
    ours, theirs = ({name: _checksums(split) for name, split in each["splits"].items()} for each in (before, now))
    if ours.keys() != theirs.keys():
        return f"splits {', '.join(sorted(theirs))} instead of {', '.join(sorted(ours))}"
    changed = [name for name in ours if ours[name] != theirs[name]]
    counts = [f"{name} ({_changed(ours[name], theirs[name])} shards differ)" for name in changed]
    return f"other pictures, or in another order, in split {', '.join(counts)}" if changed else ""


def _checksums(split: dict[str, Any]) -> list[str]:
    return [shard["sha256"] for shard in split["shards"]]


def _changed(before: list[str], now: list[str]) -> str:
    pairs = list(itertools.zip_longest(before, now))
    return f"{sum(one != other for one, other in pairs)} of {len(pairs)}"


def shard_entries(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a dataset.json or a builder's progress.json says of its shards, by file name.

    Raises:
      ValueError, KeyError, TypeError or AttributeError: it is neither.
    """
    entries: Iterable[tuple[str, Any]]
    if "shards" in document:
        entries = document["shards"].items()
    else:
        entries = ((shard["file"], shard) for shard in _shards(document))
    return {file_name(name): dict(entry) for name, entry in entries}


def _check_shard(path: pathlib.Path, expected: int, checksum: str | None, *, damaged: bool) -> None:
    if not path.is_file():
        raise UserError(f"{path}: shard is missing; run the builder again to make it")
    size = path.stat().st_size
    if size != expected and not damaged:
        raise UserError(f"{path}: shard has {size} bytes, expected {expected}; run the builder again")
    if checksum is not None and sha256(path) != checksum:
        raise UserError(f"{path}: checksum differs from dataset.json; delete it and run the builder again")
