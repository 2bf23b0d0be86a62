"""A copy of a records folder whose pictures of some splits have pseudo masks, made shard by shard.

progress.json records the finished shards, each with the checksum of the shard that it was made from; so a
run that was stopped goes on, and a changed source is read again where it changed. dataset.json takes its
place when all is done. The shards of other splits are hard links where the file system has them.
"""

import collections
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from e2wsol import files
from e2wsol.data import dataset, record_streams, schema
from e2wsol.data.dataset import Dataset
from e2wsol.errors import ArgumentError, UserError

PROGRESS = "progress.json"


class MaskedRecords:
    """The copy in folder `output` of a data set's records, without those that the data set leaves out.

    Args:
      data: the source.
      output: path of the folder.
      made_with: JSON-ready mapping of what decides the masks.
      splits: names of the splits whose pictures get masks.

    Raises:
      UserError: `output` is the source, or holds records that were made otherwise.
    """

    def __init__(
        self,
        data: Dataset,
        output: str | pathlib.Path,
        made_with: dict[str, Any],
        splits: Sequence[str] = ("train",),
    ):
        self.source, self.output, self.splits = pathlib.Path(data.folder), pathlib.Path(output), splits
        self._data = data
        if self.output.resolve() == self.source.resolve():
            raise ArgumentError("output", output, "is the folder of data_dir; give another one")
        self.document = _without_left_out(dataset.read_document(self.source / dataset.FILE_NAME), data)
        created_by = {**self.document["created_by"], "pseudo_masks": made_with}
        self.state: dict[str, Any] = {"created_by": created_by, "shards": {}}
        self._earlier = self._earlier_shards()
        self.state["shards"] = {
            shard["file"]: entry
            for _, shard in self._shards()
            if (entry := self._earlier.get(shard["file"])) and self._is_good(entry, shard)
        }

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        path = self.output / dataset.FILE_NAME
        if (self.output / PROGRESS).exists() or not path.is_file():
            return False
        whole = all(shard["file"] in self.state["shards"] for _, shard in self._shards())
        return whole and dataset.read_document(path) == self._description()

    @property
    def pictures_done(self) -> int:
        """Pictures with masks in the shards that are finished."""
        done = self.state["shards"]
        return sum(shard["count"] for split, shard in self._shards() if split in self.splits and shard["file"] in done)

    @property
    def without_prior(self) -> int:
        """Pictures of the finished shards whose prior has no Gaussian."""
        return sum(entry.get("without_prior", 0) for entry in self.state["shards"].values())

    def write(
        self,
        records: Callable[[str, pathlib.Path], Iterable[tuple[bytes, bool]]],
        describe: Callable[[Dataset], None],
    ) -> None:
        """Writes what is missing.

        Args:
          records: records(split name, path of a source shard) yields (serialized record, whether it has a prior).
          describe: called with the Dataset of the copy before it counts as finished.
        """
        self.output.mkdir(parents=True, exist_ok=True)
        files.remove_leftovers(self.output, "*.tfrecord", PROGRESS, dataset.FILE_NAME)
        # A stop must leave no description of other shards than those that are there.
        self._save_progress()
        (self.output / dataset.FILE_NAME).unlink(missing_ok=True)
        for split, shard in self._shards():
            if shard["file"] not in self.state["shards"]:
                made = self._masked(split, shard, records) if split in self.splits else self._linked(shard)
                self.state["shards"][shard["file"]] = {**shard, **made, "source_sha256": shard["sha256"]}
                self._save_progress()
        files.write_text(self.output / dataset.FILE_NAME, json.dumps(self._description(), indent=1) + "\n")
        describe(dataset.load(self.output, on_bad_record=self._data.on_bad_record))
        for file in self._earlier.keys() - self.state["shards"].keys():
            (self.output / file).unlink(missing_ok=True)
        (self.output / PROGRESS).unlink()

    def _shards(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields (split name, entry in the source's dataset.json)."""
        for name, split in self.document["splits"].items():
            for shard in split["shards"]:
                yield name, shard

    def _save_progress(self) -> None:
        files.write_text(self.output / PROGRESS, json.dumps(self.state))

    def _masked(self, split: str, shard: dict[str, Any], records: Callable) -> dict[str, Any]:
        without_prior = 0
        with files.replacing(self.output / shard["file"]) as temporary:
            with schema.record_writer(temporary) as write:
                for record, has_prior in records(split, self.source / shard["file"]):
                    write(record)
                    without_prior += not has_prior
            size, checksum = temporary.stat().st_size, dataset.sha256(temporary)
        return {"bytes": size, "sha256": checksum, "without_prior": without_prior}

    def _linked(self, shard: dict[str, Any]) -> dict[str, Any]:
        target = self.output / shard["file"]
        # Renaming one link of a file to another one of it would do nothing and leave both.
        target.unlink(missing_ok=True)
        source = (self.source / shard["file"]).resolve()
        with files.replacing(target) as temporary:
            try:
                os.link(source, temporary)
            except OSError:  # another file system, or one without links
                shutil.copyfile(source, temporary)
        return {}

    def _is_good(self, entry: dict[str, Any], shard: dict[str, Any]) -> bool:
        path = self.output / shard["file"]
        same = entry.get("source_sha256") == shard["sha256"]
        return same and path.is_file() and path.stat().st_size == entry.get("bytes")

    def _earlier_shards(self) -> dict[str, dict[str, Any]]:
        """Entries of the shards that an earlier run left in the output folder, by file name."""
        for name in (PROGRESS, dataset.FILE_NAME):
            if (self.output / name).is_file():
                break
        else:
            for path in self.output.glob("*.tfrecord"):
                raise ArgumentError(
                    "output", self.output, f"holds {path.name}, but no {dataset.FILE_NAME}; give another"
                )
            return {}
        before = _state(self.output / name)
        made_with = self.state["created_by"]["pseudo_masks"]
        for option, value in made_with.items():
            found = before["made_with"].get(option)
            if found != value:
                raise ArgumentError(
                    "output",
                    self.output,
                    f"made with {option}={found}, now {option}={value}; give another output or delete the folder",
                )
        return before["shards"]

    def _description(self) -> dict[str, Any]:
        splits = {
            name: {**split, "shards": [self.state["shards"][shard["file"]] for shard in split["shards"]]}
            for name, split in self.document["splits"].items()
        }
        created_by = self.state["created_by"]
        return {**self.document, "created_by": created_by, "splits": splits, "pseudo_mask_splits": list(self.splits)}


def _without_left_out(document: dict[str, Any], data: Dataset) -> dict[str, Any]:
    """The document of dataset.json with the counts of the records that are not left out."""
    splits = dict(document["splits"])
    for name, split in data.splits.items():
        if split.left_out:
            labels = collections.Counter(int(schema.parse(one)["label"]) for one in record_streams.stored(split))
            shards = splits[name]["shards"]
            splits[name] = {
                **splits[name],
                "count": split.count,
                "class_counts": [labels[label] for label in range(len(data.classes))],
                "shards": [{**shard, "count": split.shard(shard["file"]).count} for shard in shards],
            }
    return {**document, "splits": splits}


def _state(path: pathlib.Path) -> dict[str, Any]:
    """Mask options and shards that progress.json or dataset.json names."""
    try:
        document = json.loads(files.read_text(path))
        return {"made_with": dict(document["created_by"]["pseudo_masks"]), "shards": dataset.shard_entries(document)}
    except Exception:  # whatever a damaged file makes it meet
        raise UserError(f"{path}: not made by this command; give another output or delete the folder") from None
