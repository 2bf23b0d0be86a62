"""A folder of record shards and the dataset.json that describes it."""

import dataclasses
import hashlib
import json
import os
import pathlib

from e2wsol.errors import UserError

FORMAT = "e2wsol-records/1"
FILE_NAME = "dataset.json"
_BLOCK = 1 << 20


@dataclasses.dataclass(frozen=True)
class SplitInfo:
    """One split: its name, number of pictures, shard paths in order, and pictures per class."""

    name: str
    count: int
    files: tuple[str, ...]
    class_counts: tuple[int, ...]


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


def load(folder, *, verify=False):
    """Reads dataset.json of a records folder and checks it against the shards.

    Args:
      folder: path that holds dataset.json and the shards.
      verify: also compare every shard's SHA-256, which reads all of the data.

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
            _check_shard(path.parent / shard["file"], shard, verify)
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
    return SplitInfo(name, entry["count"], files, counts)


def _check_shard(path, shard, verify):
    if not path.is_file():
        raise UserError(f"{path}: shard is missing; run the builder again to make it")
    size = path.stat().st_size
    if size != shard["bytes"]:
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
