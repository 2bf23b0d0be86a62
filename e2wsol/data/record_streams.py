"""The order in which a split's records are read: file after file, or endlessly shuffled."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from e2wsol.data.dataset import Split

_PASS_STREAM = 1
_PARALLEL_READS = 8
_FOREVER = 2**62


def endless(split: "Split", shuffle_buffer: int, seed: int, start_record: int) -> Any:
    """Endless (index in the stream, serialized record) from `start_record` on, every pass in an order of its own."""
    first_pass, offset = divmod(start_record, split.count)
    records = tf.data.Dataset.range(first_pass, _FOREVER).flat_map(
        lambda number: _shuffled_pass(split, shuffle_buffer, key(seed, _PASS_STREAM, number))
    )
    return tf.data.Dataset.zip(tf.data.Dataset.range(start_record, _FOREVER), records.skip(offset))


def _shuffled_pass(split: "Split", shuffle_buffer: int, pass_key: Any) -> Any:
    # Dataset.shuffle mixes the graph's seed into its own; without this, tf.random.set_seed changes the order.
    tf.compat.v1.set_random_seed(1)
    reads = min(_PARALLEL_READS, len(split.files))
    if split.left_out:
        shards = tf.random.experimental.stateless_shuffle(tf.range(len(split.files)), seed=pass_key, alg="philox")
        shards = tf.data.Dataset.from_tensor_slices(shards)
        records = shards.interleave(_readable(split), cycle_length=reads, num_parallel_calls=reads, deterministic=True)
    else:
        files = tf.random.experimental.stateless_shuffle(tf.constant(split.files), seed=pass_key, alg="philox")
        records = tf.data.TFRecordDataset(files, num_parallel_reads=reads)
    buffer = min(shuffle_buffer, split.count)
    return records.shuffle(buffer, seed=tf.cast(pass_key[0], tf.int64), reshuffle_each_iteration=False)


def stored(split: "Split") -> Any:
    """The serialized records of a split in the order of its files, those that are left out aside."""
    if not split.left_out:
        return tf.data.TFRecordDataset(tf.constant(split.files))
    return tf.data.Dataset.range(len(split.files)).flat_map(_readable(split))


def _readable(split: "Split") -> Callable[[Any], Any]:
    """A function from the number of a shard to the Dataset of its records, those that are left out aside."""
    ends = dict(zip(split.files, split.shard_counts))
    numbers = {file: [-1] for file in split.files}
    for record in split.left_out or ():
        if record.rest:
            ends[record.file] = record.record
        else:
            numbers[record.file].append(record.record)
    bad = tf.ragged.constant(list(numbers.values()), tf.int64).to_tensor(-1)
    files, ends = tf.constant(split.files), tf.constant(list(ends.values()), tf.int64)

    def records(shard: Any) -> Any:
        numbered = tf.data.TFRecordDataset(files[shard]).take(ends[shard]).enumerate()
        return numbered.filter(lambda number, _: tf.reduce_all(bad[shard] != number)).map(lambda _, record: record)

    return records


def key(seed: int, stream: int, number: Any) -> Any:
    """A (2,) int64 seed for stateless ops, a function of all three."""
    return tf.random.fold_in(
        tf.random.fold_in(tf.constant([seed, stream], tf.int64), stream, alg="philox"), number, alg="philox"
    )
