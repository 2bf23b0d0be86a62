"""A folder of record shards and the dataset.json that describes it."""

import dataclasses
import hashlib
import json
import os
import pathlib

from e2wsol.config import option
from e2wsol.errors import UserError

FORMAT = "e2wsol-records/1"
FILE_NAME = "dataset.json"
_BLOCK = 1 << 20


@dataclasses.dataclass(frozen=True)
class BadRecord:
    """A record that cannot be used: its shard's path, its number there, its picture's id or "", and what is wrong.

    With `rest` the shard cannot be read from there on; `count` says how many records are lost.
    """

    file: str
    record: int
    picture: str
    reason: str
    count: int = 1
    rest: bool = False


@dataclasses.dataclass(frozen=True)
class SplitInfo:
    """One split.

    Attributes:
      name: its name.
      count: pictures that reading it gives.
      files: shard paths in order.
      class_counts: pictures per class as they were written, bad records included.
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
    def skipped(self):
        """Number of records that reading leaves out."""
        return sum(record.count for record in self.left_out or ())

    def without(self, bad):
        """The split as it is read without the `BadRecord`s of a sequence."""
        left_out = tuple(bad)
        return dataclasses.replace(
            self, count=sum(self.shard_counts) - sum(record.count for record in left_out), left_out=left_out
        )

    def shard(self, file):
        """The part of this split in one of its files."""
        index = [os.path.basename(one) for one in self.files].index(os.path.basename(file))
        file, count = self.files[index], self.shard_counts[index]
        alone = dataclasses.replace(self, count=count, files=(file,), shard_counts=(count,))
        return alone if self.left_out is None else alone.without(bad for bad in self.left_out if bad.file == file)


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What dataset.json says; `classes` are the names in label order.

    `pseudo_mask_splits` names the splits whose pictures have pseudo masks.
    """

    folder: str
    name: str
    source: str
    created_by: dict
    classes: tuple[str, ...]
    splits: dict[str, SplitInfo]
    has_boxes: bool
    has_masks: bool
    pseudo_mask_splits: tuple[str, ...] = ()

    def split(self, name):
        """The `SplitInfo` called `name`; a UserError lists the splits there are."""
        if name not in self.splits:
            found = ", ".join(sorted(self.splits))
            raise UserError(f"{self.folder}: no split '{name}'; this data set has {found}")
        return self.splits[name]


def on_bad_record_option():
    """The field of the flag that says what a bad record means."""
    return option(
        "error",
        "a picture or record that cannot be read: error = stop and name it; skip = look for all of them at the start, "
        "leave them out, and say how many (bad_records.json in the run folder lists them)",
        choices=("error", "skip"),
    )


def load(folder, *, verify=False, damaged=False):
    """Reads dataset.json of a records folder and checks it against the shards.

    Args:
      folder: path that holds dataset.json and the shards.
      verify: also compare every shard's SHA-256, which reads all of the data.
      damaged: let shards pass that are not as long as they should be.

    Raises:
      UserError: no or broken dataset.json, a shard is missing, cut or changed.
    """
    path = pathlib.Path(folder) / FILE_NAME
    document = read_document(path)
    try:
        info = _info(str(folder), document)
        shards = [shard for split in document["splits"].values() for shard in split["shards"]]
        sizes = [(shard["file"], shard["bytes"], shard["sha256"]) for shard in shards]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: not a valid data set description ({type(error).__name__}: {error})") from None
    for file, size, checksum in sizes:
        _check_shard(path.parent / file, size, checksum if verify else None, damaged)
    return info


def read_document(path):
    """The parsed dataset.json at `path`, its format checked; UserError when it is not one."""
    try:
        document = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise UserError(f"{path}: not found; make it with python -m tfrecords.build") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error})") from None
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise UserError(f"{path}: format is '{found}', expected '{FORMAT}'")
    return document


def _info(folder, document):
    classes = tuple(document["classes"])
    if not classes or not all(isinstance(name, str) for name in classes):
        raise ValueError("classes must be a list of names")
    splits = {name: _split_info(folder, name, entry, classes) for name, entry in document["splits"].items()}
    return DatasetInfo(
        folder=folder,
        name=str(document["name"]),
        source=str(document["source"]),
        created_by=document["created_by"],
        classes=classes,
        splits=splits,
        has_boxes=document["has_boxes"],
        has_masks=document["has_masks"],
        pseudo_mask_splits=tuple(document.get("pseudo_mask_splits", ())),
    )


def _split_info(folder, name, entry, classes):
    counts = tuple(entry["class_counts"])
    shard_counts = tuple(shard["count"] for shard in entry["shards"])
    if not all(type(count) is int and count >= 0 for count in (entry["count"], *counts, *shard_counts)):
        raise ValueError(f"counts of split {name} must be whole numbers from 0")
    if len(counts) != len(classes) or not entry["count"] == sum(shard_counts) == sum(counts):
        raise ValueError(f"counts of split {name} do not agree")
    files = tuple(os.path.join(folder, file_name(shard["file"])) for shard in entry["shards"])
    return SplitInfo(name, entry["count"], files, counts, shard_counts)


def file_name(name):
    """The name of a shard; a ValueError where it is none, or leads out of the folder."""
    if not isinstance(name, str) or name in ("", ".", "..") or os.path.basename(name) != name or "\0" in name:
        raise ValueError(f"{name!r} is not the name of a shard in the folder")
    return name


def shard_entries(document):
    """{file name: what is said of the shard} of a dataset.json or a builder's progress.json.

    Raises:
      ValueError, KeyError, TypeError or AttributeError: it is neither.
    """
    if "shards" in document:
        entries = document["shards"].items()
    else:
        entries = ((shard["file"], shard) for split in document["splits"].values() for shard in split["shards"])
    return {file_name(name): dict(entry) for name, entry in entries}


def _check_shard(path, expected, checksum, damaged):
    if not path.is_file():
        raise UserError(f"{path}: shard is missing; run the builder again to make it")
    size = path.stat().st_size
    if size != expected and not damaged:
        raise UserError(f"{path}: shard has {size} bytes, expected {expected}; run the builder again")
    if checksum is not None and sha256(path) != checksum:
        raise UserError(f"{path}: checksum differs from dataset.json; delete it and run the builder again")


def sha256(path):
    """Hex SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
