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
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: not a valid data set description ({type(error).__name__}: {error})") from None
    for split in document["splits"].values():
        for shard in split["shards"]:
            _check_shard(path.parent / shard["file"], shard, verify, damaged)
    return info


def read_document(path):
    """The parsed dataset.json at `path`, its format checked; UserError when it is not one."""
    try:
        document = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: not found; make it with python -m tfrecords.build") from None
    except ValueError as error:
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
        name=document["name"],
        source=document["source"],
        created_by=document["created_by"],
        classes=classes,
        splits=splits,
        has_boxes=document["has_boxes"],
        has_masks=document["has_masks"],
        pseudo_mask_splits=tuple(document.get("pseudo_mask_splits", ())),
    )


def _split_info(folder, name, entry, classes):
    counts = tuple(entry["class_counts"])
    in_shards = sum(shard["count"] for shard in entry["shards"])
    if len(counts) != len(classes) or not entry["count"] == in_shards == sum(counts):
        raise ValueError(f"counts of split {name} do not agree")
    files = tuple(os.path.join(folder, shard["file"]) for shard in entry["shards"])
    return SplitInfo(name, entry["count"], files, counts, tuple(shard["count"] for shard in entry["shards"]))


def _check_shard(path, shard, verify, damaged):
    if not path.is_file():
        raise UserError(f"{path}: shard is missing; run the builder again to make it")
    size = path.stat().st_size
    if size != shard["bytes"] and not damaged:
        raise UserError(f"{path}: shard has {size} bytes, expected {shard['bytes']}; run the builder again")
    if verify and sha256(path) != shard["sha256"]:
        raise UserError(f"{path}: checksum differs from dataset.json; delete it and run the builder again")


def sha256(path):
    """Hex SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
