"""Finding the record that stopped a pass over the data."""

import contextlib

import tensorflow as tf

from e2wsol.data import pipeline, schema
from e2wsol.errors import UserError


@contextlib.contextmanager
def guard(info, split):
    """Names the file and picture when iterating over `split` inside this context hits a broken record.

    tf.data's errors do not say which record they come from; so the split is read once more, picture by
    picture, after a failure. Errors that have another cause pass through.
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError):
        problem = find_broken_record(info, split)
        if problem is None:
            raise
        raise UserError(problem) from None


def find_broken_record(info, split):
    """One line about the first record of `split` that cannot be read, or None when all can."""
    for path in info.split(split).files:
        records = iter(tf.data.TFRecordDataset(path))
        number = 0
        while True:
            try:
                serialized = next(records, None)
            except tf.errors.DataLossError:
                return f"{path}: record {number} is damaged; delete the shard and run the builder again"
            if serialized is None:
                break
            if problem := _problem(serialized, info, split):
                return f"{path}: record {number}{problem}"
            number += 1
    return None


def _problem(serialized, info, split):
    try:
        record = schema.parse(serialized)
    except tf.errors.InvalidArgumentError:
        return " is not a picture record; run the builder again"
    name = f" ({record['source_id'].numpy().decode(errors='replace')})"
    label = int(record["label"])
    if not 0 <= label < len(info.classes):
        return f"{name} has label {label}; dataset.json names {len(info.classes)} classes, from 0"
    try:
        pipeline.decode(record["jpeg"])
    except tf.errors.InvalidArgumentError:
        return f"{name} holds no readable JPEG; replace the picture and run the builder again"
    try:
        if split in info.pseudo_mask_splits:
            pipeline.decode_pseudo_mask(record["pseudo_mask"])
    except tf.errors.InvalidArgumentError:
        return f"{name} holds no readable pseudo mask; delete the shard and run python -m e2wsol.pseudo_masks again"
    return None
