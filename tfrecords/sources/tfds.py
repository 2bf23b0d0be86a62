"""Any TensorFlow Datasets image classification set, with its boxes and masks where it has them.

Features read: image, label, bbox or objects/bbox (fractions), segmentation_mask. Split "validation"
becomes "val"; `TfdsOptions.tfds_splits` chooses and renames.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from e2wsol.config import option
from e2wsol.errors import ArgumentError
from tfrecords import frames
from tfrecords.items import Item, Listing, RawPicture
from tfrecords.masks import sized_mask


@dataclasses.dataclass(frozen=True)
class TfdsOptions:
    """Which parts of a TensorFlow Datasets set are read, and from where."""

    tfds_data_dir: str = option("", "folder of prepared data sets; default: ~/tensorflow_datasets")
    tfds_splits: tuple[str, ...] = option(
        (), "splits as theirs:ours, such as train:train,validation:test; default: all, validation becomes val"
    )
    tfds_download: bool = option(False, "download and prepare the data set when it is not there")


@dataclasses.dataclass(frozen=True)
class TfdsItem(Item):
    """Example `index` of `split`; `example` is filled in by `_fetch` just before the item is read."""

    split: str
    index: int
    mask_rule: str
    example: Any = dataclasses.field(default=None, repr=False, compare=False)

    def read(self) -> RawPicture:
        """Turns boxes from y0, x0, y1, x1 to x0, y0, x1, y1 and the gray mask into object and background."""
        boxes = np.asarray(self.example["boxes"], np.float32).reshape(-1, 4)[:, [1, 0, 3, 2]]
        mask = self.example["mask"]
        render = mask is not None and functools.partial(
            sized_mask, mask.reshape(mask.shape[:2]), self.mask_rule, name=self.source_id
        )
        return RawPicture(self.example["image"], boxes, render or None, frames.of_fractions)


def list_pictures(name: str, options: TfdsOptions, mask_rule: str) -> Listing:
    """The `Listing` of the data set `name`, or of the prepared data set in the folder `name`."""
    builder = _builder(name, options)
    features = builder.info.features
    for needed in ("image", "label"):
        if needed not in features:
            raise ArgumentError("input", name, f"has no feature '{needed}' (has {', '.join(sorted(features))})")
    splits = {}
    for theirs, ours in _chosen_splits(name, builder, options).items():
        labels = _stream(builder, theirs, {"label": True})
        splits[ours] = [
            TfdsItem(f"{theirs}/{index:07d}", int(example["label"]), theirs, index, mask_rule)
            for index, example in enumerate(labels)
        ]
    fetch = functools.partial(_fetch, builder)
    return Listing(builder.name, tuple(features["label"].names), splits, shuffled=True, fetch=fetch)


def _builder(name: str, options: TfdsOptions) -> Any:
    tfds = _tfds()
    if (pathlib.Path(name) / "dataset_info.json").is_file():
        return tfds.builder_from_directory(name)
    try:
        builder = tfds.builder(name, data_dir=options.tfds_data_dir or None)
    except tfds.core.DatasetNotFoundError:
        raise ArgumentError("input", name, "TensorFlow Datasets knows no such data set") from None
    if options.tfds_download:
        builder.download_and_prepare()
    if not builder.info.splits:
        raise ArgumentError("input", name, f"not prepared in {builder.data_dir}; add tfds_download or tfds_data_dir")
    return builder


def _tfds() -> Any:
    try:
        import tensorflow_datasets
    except ImportError:
        raise ArgumentError("source", "tfds", "needs tensorflow-datasets: pip install 'e2wsol[tfds]'") from None
    return tensorflow_datasets


def _chosen_splits(name: str, builder: Any, options: TfdsOptions) -> dict[str, str]:
    """Their split name -> our split name."""
    there = builder.info.splits
    if not options.tfds_splits:
        return {theirs: "val" if theirs == "validation" else theirs for theirs in there}
    chosen = {}
    for entry in options.tfds_splits:
        theirs, _, ours = entry.partition(":")
        if theirs not in there:
            raise ArgumentError("tfds_splits", entry, f"{name} has the splits {', '.join(sorted(there))}")
        chosen[theirs] = ours or theirs
    return chosen


def _stream(builder: Any, split: str, wanted: dict[str, Any]) -> Any:
    """Examples of `split` in stored order, as numpy, with the features `wanted`; pictures stay encoded."""
    tfds = _tfds()
    skip = {"image": tfds.decode.SkipDecoding()} if "image" in wanted else None
    dataset = builder.as_dataset(
        split=split,
        decoders=tfds.decode.PartialDecoding(wanted, decoders=skip),
        # One file after the other: a slice of a split then holds what its position says.
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )
    return tfds.as_numpy(dataset)


def _fetch(builder: Any, items: Sequence[Any]) -> Iterator[Item]:
    """The items, which are of one split and in order, with their examples."""
    features = builder.info.features
    wanted: dict[str, Any] = {"image": True}
    if "bbox" in features:
        wanted["bbox"] = True
    elif "objects" in features and "bbox" in features["objects"].feature:
        wanted["objects"] = {"bbox"}
    if "segmentation_mask" in features:
        wanted["segmentation_mask"] = True
    first, last = items[0].index, items[-1].index
    by_index = {item.index: item for item in items}
    for index, example in enumerate(_stream(builder, f"{items[0].split}[{first}:{last + 1}]", wanted), first):
        if index in by_index:
            yield dataclasses.replace(by_index[index], example=_unpacked(example))


def _unpacked(example: dict[str, Any]) -> dict[str, Any]:
    boxes = example["bbox"] if "bbox" in example else example.get("objects", {}).get("bbox", ())
    return {"image": example["image"], "boxes": boxes, "mask": example.get("segmentation_mask")}
