"""Records that cannot be used, and the file of a run folder that lists them. Free of TensorFlow."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from e2wsol import files, reading
from e2wsol.config import option
from e2wsol.errors import some

FILE_NAME = "bad_records.json"
CHOICES = ("error", "skip")
_NAMED = 3
_TYPES = {"file": str, "record": int, "picture": str, "reason": str, "count": int, "rest": bool}


@dataclasses.dataclass(frozen=True)
class BadRecord:
    """A record that cannot be used.

    Attributes:
      file: path of its shard.
      record: its number in the shard, from 0.
      picture: id of its image; "" where the record does not tell.
      reason: what is wrong with it.
      count: how many records are lost.
      rest: whether the shard cannot be read from this record on.
    """

    file: str
    record: int
    picture: str
    reason: str
    count: int = 1
    rest: bool = False

    def describe(self) -> str:
        """One line about it, without a full stop."""
        return f"{self.file}: record {self.record}{f' ({self.picture})' if self.picture else ''} {self.reason}"


def on_bad_record_option() -> Any:
    """The option field that says what a bad record means."""
    return option(
        "error",
        "a picture or record that cannot be read: error = stop and name it; skip = look for all of them at the start, "
        "leave them out, and say how many (bad_records.json in the run folder lists them)",
        choices=CHOICES,
    )


def summary(bad: Sequence[BadRecord]) -> str:
    """The first few of some bad records by name, and how many more there are."""
    names = [each.picture or f"{os.path.basename(each.file)}:{each.record}" for each in bad]
    return some(names, _NAMED)


def read(run_dir: str | pathlib.Path, dataset_sha256: str) -> dict[str, list[dict[str, Any]]]:
    """The entries of a run folder's bad_records.json by split; empty where it has none of that data set.

    Args:
      run_dir: the run folder.
      dataset_sha256: checksum of dataset.json, which tells data sets apart.

    Raises:
      UserError: bad_records.json is not such a list.
    """
    return _read(pathlib.Path(run_dir) / FILE_NAME).get(dataset_sha256, {})


def write(run_dir: str | pathlib.Path, dataset_sha256: str, found: dict[str, tuple[BadRecord, ...]]) -> None:
    """Puts the bad records of some splits into a run folder's bad_records.json, beside what is there.

    Args:
      run_dir: the run folder.
      dataset_sha256: as in `read`.
      found: bad records by split.

    Raises:
      UserError: bad_records.json is not such a list.
    """
    path = pathlib.Path(run_dir) / FILE_NAME
    document = _read(path)
    entries = {split: [_to_json(each) for each in bad] for split, bad in found.items()}
    changed = document | {dataset_sha256: document.get(dataset_sha256, {}) | entries}
    if changed != document:
        files.write_text(path, json.dumps(changed, indent=1) + "\n")


def from_entries(entries: list[dict[str, Any]], split: str, shards: Sequence[str]) -> list[BadRecord]:
    """The bad records of a split that `read` gives the entries of; `shards` are the paths of its files.

    Raises:
      UserError: they are not the entries of bad records of these shards.
    """
    paths = {os.path.basename(path): path for path in shards}
    with reading.guarded(FILE_NAME, f"not a list of the bad records of split {split}"):
        found = [BadRecord(**entry | {"file": paths[entry["file"]]}) for entry in entries]
        for bad in found:
            for field in dataclasses.fields(BadRecord):
                if not isinstance(getattr(bad, field.name), _TYPES[field.name]):
                    raise ValueError(f"{field.name} is {getattr(bad, field.name)!r}")
        return found


def _to_json(bad: BadRecord) -> dict[str, Any]:
    return dataclasses.asdict(bad) | {"file": os.path.basename(bad.file)}


def _read(path: pathlib.Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    if not os.path.lexists(path):
        return {}
    with reading.guarded(path, "not a list of bad records", "; delete it"):
        document = json.loads(files.read_text(path))
        return {key: dict(splits) for key, splits in document.items()}
