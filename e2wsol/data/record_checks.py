"""Finding the records that cannot be used."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from e2wsol.data import pipeline, schema
from e2wsol.data.bad_records import BadRecord
from e2wsol.errors import UserError

if TYPE_CHECKING:
    from e2wsol.data.dataset import Dataset


# TensorFlow's own message about a record may hold bytes of it that are no text.
_REFUSED = (tf.errors.InvalidArgumentError, UnicodeDecodeError)


@contextlib.contextmanager
def naming_bad_records(data: "Dataset", split: str) -> Iterator[None]:
    """The context of `Dataset.reading`."""
    try:
        yield
    except (tf.errors.DataLossError, *_REFUSED):
        left_out = {(bad.file, bad.record) for bad in data.split(split).left_out or ()}
        found = (bad for bad in find_bad_records(data, split) if (bad.file, bad.record) not in left_out)
        bad = next(found, None)
        if bad is None:
            raise
        raise UserError(f"{bad.describe()}; or leave such records out by on_bad_record=skip") from None


def find_bad_records(data: "Dataset", split: str) -> Iterator[BadRecord]:
    """The bad records of a split, left out or not, in the order of its files; reads and decodes all of it.

    Raises:
      UserError: a shard holds more records than dataset.json says.
    """
    found = data.split(split)
    for path, count in zip(found.files, found.shard_counts):
        yield from _of_shard(path, count, data, split)


def _of_shard(path: str, count: int, data: "Dataset", split: str) -> Iterator[BadRecord]:
    stored = tf.data.TFRecordDataset(path)
    checked = iter(stored.map(lambda serialized: _check(serialized, data, split), num_parallel_calls=tf.data.AUTOTUNE))
    number = 0
    while True:
        try:
            if next(checked, None) is None:
                break
        except tf.errors.DataLossError:
            yield _rest(path, number, count, "is damaged; delete the shard and run the builder again")
            return
        except _REFUSED:
            yield _described(path, number, next(iter(stored.skip(number))), data, split)
        number += 1
    if number < count:
        yield _rest(path, number, count, f"is missing, of {count}; delete the shard and run the builder again")
    elif number > count:
        raise UserError(f"{path}: holds {number} records, dataset.json says {count}; run the builder again")


def _rest(path: str, number: int, count: int, reason: str) -> BadRecord:
    return BadRecord(path, number, "", reason, count - number, rest=True)


def _check(serialized: Any, data: "Dataset", split: str) -> Any:
    """A number that is only there where everything in the record can be read."""
    record = pipeline.with_checked_boxes(pipeline.checked_record(serialized, data))
    pictures = [pipeline.decode(record["jpeg"]), _decode_mask(record["mask"])]
    if split in data.pseudo_mask_splits:
        pictures.append(pipeline.decode_pseudo_mask(record["pseudo_mask"]))
    # The first value is enough to keep the decoders from being pruned.
    values = [tf.cast(picture[0, 0, 0], tf.int32) for picture in pictures]
    return tf.add_n([*values, record["label"], record["size"][0], tf.shape(record["boxes"])[0]])


def _decode_mask(png: Any) -> Any:
    decode = lambda: tf.io.decode_png(png, channels=1)  # noqa: E731
    return tf.cond(tf.strings.length(png) > 0, decode, lambda: tf.zeros((1, 1, 1), tf.uint8))


def _described(path: str, number: int, serialized: Any, data: "Dataset", split: str) -> BadRecord:
    """The BadRecord of a record that `_check` has refused."""
    try:
        record = schema.parse(serialized)
    except _REFUSED:
        return BadRecord(path, number, "", "is not a picture record; run the builder again")
    picture = record["source_id"].numpy().decode(errors="replace")
    return BadRecord(path, number, picture, _reason(record, data, split))


def _reason(record: dict[str, Any], data: "Dataset", split: str) -> str:
    label = int(record["label"])
    if not 0 <= label < len(data.classes):
        return f"has label {label}; dataset.json names {len(data.classes)} classes, from 0"
    try:
        pipeline.with_checked_boxes(record)
    except _REFUSED:
        height, width = record["size"].numpy()
        return f"has a size of {width}x{height} pixels and boxes of which one cannot be right; run the builder again"
    parts = {
        "JPEG; replace the picture and run the builder again": lambda: pipeline.decode(record["jpeg"]),
        "mask; replace it and run the builder again": lambda: _decode_mask(record["mask"]),
    }
    if split in data.pseudo_mask_splits:
        again = "pseudo mask; delete the shard and run python -m e2wsol.pseudo_masks again"
        parts[again] = lambda: pipeline.decode_pseudo_mask(record["pseudo_mask"])
    for part, read in parts.items():
        try:
            read()
        except _REFUSED:
            return f"holds no readable {part}"
    return "cannot be read"
