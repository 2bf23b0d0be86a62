"""Turns pictures into TFRecords: python -m tfrecords.build --source=... --input=... --output=..."""

# Worker processes import this module: nothing up here may import TensorFlow.
import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from e2wsol import cli, config, folder_lock, terminal
from e2wsol.config import option
from e2wsol.data import bad_records
from e2wsol.errors import ArgumentError, UserError, some
from tfrecords import splits as split_tools
from tfrecords.items import Item, Listing
from tfrecords.masks import MASK_RULES
from tfrecords.prepare import Policies, StoreOptions
from tfrecords.sources import SOURCES, AllOptions

if TYPE_CHECKING:
    from e2wsol.data.dataset import Dataset

_HELP = """Turns pictures into TFRecords with a dataset.json beside them. Examples:

  python -m tfrecords.build --source=synthetic --output=records/synthetic
  python -m tfrecords.build --source=folder --input=my_photos --output=records/mine --store=resized
  python -m tfrecords.build --source=cub --input=CUB_200_2011.tgz --output=records/cub --holdout=0.1
  python -m tfrecords.build --source=ilsvrc --input=dataset/ILSVRC --output=records/ilsvrc
  python -m tfrecords.build --source=tfds --input=caltech_birds2011 --mask_rule=majority --output=records/birds

The same command again goes on where it stopped. What each source expects is in docs/data.md.
"""


@dataclasses.dataclass(frozen=True)
class BuildOptions:
    """Where the pictures come from and where the records go."""

    source: str = option(
        "folder",
        f"{', '.join(SOURCES)}; folder: your own pictures; synthetic: embedded, needs no --input",
        choices=tuple(SOURCES),
    )
    input: str = option("", "folder or archive to read; for tfds a data set's name or its prepared folder")
    output: str = option("", "folder for the records, such as records/cub")
    name: str = option("", "name of the data set in reports; default: the source's own")
    holdout: float = option(
        0.0,
        "part of every training class that a hash moves to split val, to choose thresholds on",
        minimum=0,
        maximum=0.9,
    )
    expect_counts: tuple[str, ...] = option(
        (), "pictures that the source must have (before --holdout), such as train:5994,test:5794"
    )
    mask_rule: str = option(
        "nonzero",
        "gray values of mask pictures (folder, tfds): nonzero = object where not 0; majority = object above 127;"
        " index = 0 background, 1 object, 255 ignore; trimap = 1 object, 2 background, 3 ignore",
        choices=tuple(MASK_RULES),
    )
    on_bad_record: str = option(
        "error",
        "a picture that cannot be used (unreadable, a mask of another size): error = look at all and name them; "
        "skip = leave it out, and say which",
        choices=bad_records.CHOICES,
    )
    on_bad_box: str = option(
        "error",
        "a box that is inverted, empty or outside its picture: error; clip = corners put in order and cut to the "
        "picture, left out where nothing stays; skip = left out; both say which",
        choices=("error", "clip", "skip"),
    )
    rebuild: bool = option(
        False, "make every shard again, also those whose pictures, masks and tables have not changed"
    )
    shard_pictures: int = option(1000, "pictures a shard holds at most", minimum=1)
    workers: int = option(0, "processes that read and encode pictures; 0 = one a core", minimum=0, maximum=256)


# These change how the work is done, never what the records hold.
_INCIDENTAL = ("output", "workers", "expect_counts", "on_bad_record", "on_bad_box", "rebuild")
_NAMED = 5


@dataclasses.dataclass(frozen=True)
class BuildFlags:
    """All flags of the command."""

    build: BuildOptions
    store: StoreOptions
    of_sources: AllOptions  # type: ignore[valid-type]


def main(flags: BuildFlags, positional: list[str]) -> None:
    """Reads one source and writes train, val and test shards with dataset.json."""
    build = flags.build
    if positional:
        raise UserError(f"unexpected argument {positional[0]}; give the source's path as --input={positional[0]}")
    if not build.output:
        raise ArgumentError("output", None, "missing; name the folder for the records, such as records/mine")
    source = SOURCES[build.source]
    if source.needs_input:
        _check_input(build)
    options = next(
        (each for each in config.instances(flags.of_sources) if type(each) is source.Options), source.Options()
    )
    with folder_lock.held(build.output, "output"):  # archives are unpacked beside it
        listing = arrange(source.list_pictures(build, options), build)
        info = _write(listing, build, flags.store, options)
    for split in info.splits.values():
        terminal.say(f"{split.name}: {split.count} pictures in {len(split.files)} shards")
    terminal.say(f"wrote {build.output}: {len(info.classes)} classes, boxes: {info.has_boxes}, masks: {info.has_masks}")
    for line in _notes(listing, info):
        terminal.say(line)


def _check_input(build: BuildOptions) -> None:
    if not build.input:
        raise ArgumentError("input", None, f"missing; source={build.source} needs a folder, an archive or a name")
    source, output = pathlib.Path(build.input).resolve(), pathlib.Path(build.output).resolve()
    if source.is_dir() and output.is_relative_to(source):
        raise ArgumentError("output", build.output, f"lies in input={build.input}; choose a folder outside of it")


def _notes(listing: Listing, info: "Dataset") -> Iterator[str]:
    """What a user should know of the records that were written."""
    if listing.passed_over:
        yield f"passed over: {len(listing.passed_over)} files"
        kinds = collections.defaultdict(list)
        for each in listing.passed_over:
            kinds[each.reason].append(each.path)
        for reason, paths in sorted(kinds.items()):
            yield f"  {len(paths)} {reason}: {some(paths, _NAMED)}"
    if info.left_out_by_builder:
        lost = info.left_out_by_builder
        yield f"left out: {len(lost)} pictures that cannot be used: {some(lost, _NAMED, '; ')}"
    if info.mended_boxes:
        yield f"boxes: {len(info.mended_boxes)} could not be right: {some(info.mended_boxes, _NAMED, '; ')}"
    if len(info.classes) == 1:
        yield f"note: {info.classes[0]} is the only class: nothing can be learned from it; add a folder of others"
    yield from listing.notes


def arrange(listing: Listing, build: BuildOptions) -> Listing:
    """Checks the listing, takes the held-out part from train and shuffles each split."""
    splits: dict[str, Sequence[Item]] = dict(listing.splits)
    _check_names(listing)
    split_tools.check_counts(splits, build.expect_counts)
    _check_classes(listing)
    if build.holdout:
        if "train" not in splits or "val" in splits:
            reason = "has a split val already" if "val" in splits else "has no split train"
            raise ArgumentError("holdout", build.holdout, f"the source {reason}; use holdout=0")
        splits["train"], splits["val"] = split_tools.hold_out(splits["train"], build.holdout)
    if not listing.shuffled:
        splits = {name: split_tools.shuffled(items) for name, items in splits.items()}
    splits = {name: splits[name] for name in sorted(splits, key=_reading_order)}
    return dataclasses.replace(listing, splits=splits, name=build.name or listing.name)


def _reading_order(split: str) -> tuple[int, str]:
    known = ("train", "val", "test")
    return (known.index(split) if split in known else len(known), split)


def _check_names(listing: Listing) -> None:
    """Names must be text: a file system may hold others."""
    for name in (*listing.classes, *(item.source_id for items in listing.splits.values() for item in items)):
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UserError(f"{name!r}: a name that is not UTF-8; rename it") from None


def _check_classes(listing: Listing) -> None:
    """Every class needs a picture to learn from; labels must be those of the classes."""
    split = "train" if "train" in listing.splits else next(iter(listing.splits))
    labels = {item.label for item in listing.splits[split]}
    for label, name in enumerate(listing.classes):
        if label not in labels:
            raise UserError(f"class {name} has no picture in split {split}")


def _write(listing: Listing, build: BuildOptions, store: StoreOptions, source_options: Any) -> "Dataset":
    # Imported here, since the worker processes import this module too and do without TensorFlow.
    from e2wsol import quiet_tensorflow

    quiet_tensorflow.tensorflow("tfrecords.build")
    from tfrecords import writer

    options = config.to_mapping(build, store, source_options) | dict(listing.resolved)
    created_by = {name: value for name, value in options.items() if name not in _INCIDENTAL}
    return writer.write(
        listing,
        pathlib.Path(build.output),
        source=build.source,
        created_by=created_by,
        store=store,
        policies=Policies(build.on_bad_record, build.on_bad_box),
        rebuild=build.rebuild,
        shard_pictures=build.shard_pictures,
        workers=build.workers or os.cpu_count() or 1,
    )


if __name__ == "__main__":
    cli.run(main, BuildFlags, description=_HELP)
