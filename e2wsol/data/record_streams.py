"""The order in which a split's records are read: file after file, or endlessly shuffled."""

import tensorflow as tf

_PASS_STREAM = 1
_PARALLEL_READS = 8
_FOREVER = 2**62


def endless(split_info, shuffle_buffer, seed, start_record):
    """Endless (index in the stream, serialized record) from `start_record` on, every pass in an order of its own."""
    first_pass, offset = divmod(start_record, split_info.count)
    records = tf.data.Dataset.range(first_pass, _FOREVER).flat_map(
        lambda number: _shuffled_pass(split_info, shuffle_buffer, key(seed, _PASS_STREAM, number))
    )
    return tf.data.Dataset.zip(tf.data.Dataset.range(start_record, _FOREVER), records.skip(offset))


def _shuffled_pass(split_info, shuffle_buffer, pass_key):
    # Dataset.shuffle mixes the graph's seed into its own; without this, tf.random.set_seed changes the order.
    tf.compat.v1.set_random_seed(1)
    reads = min(_PARALLEL_READS, len(split_info.files))
    if split_info.left_out:
        shards = tf.random.experimental.stateless_shuffle(tf.range(len(split_info.files)), seed=pass_key, alg="philox")
        shards = tf.data.Dataset.from_tensor_slices(shards)
        records = shards.interleave(
            _readable(split_info), cycle_length=reads, num_parallel_calls=reads, deterministic=True
        )
    else:
        files = tf.random.experimental.stateless_shuffle(tf.constant(split_info.files), seed=pass_key, alg="philox")
        records = tf.data.TFRecordDataset(files, num_parallel_reads=reads)
    buffer = min(shuffle_buffer, split_info.count)
    return records.shuffle(buffer, seed=tf.cast(pass_key[0], tf.int64), reshuffle_each_iteration=False)


def stored(split_info):
    """The serialized records of a split in the order of its files, those that are left out aside."""
    if not split_info.left_out:
        return tf.data.TFRecordDataset(tf.constant(split_info.files))
    return tf.data.Dataset.range(len(split_info.files)).flat_map(_readable(split_info))


def _readable(split_info):
    """A function from the number of a shard to the Dataset of its records, those that are left out aside."""
    ends = dict(zip(split_info.files, split_info.shard_counts))
    bad = {file: [-1] for file in split_info.files}
    for record in split_info.left_out:
        if record.rest:
            ends[record.file] = record.record
        else:
            bad[record.file].append(record.record)
    bad = tf.ragged.constant(list(bad.values()), tf.int64).to_tensor(-1)
    files, ends = tf.constant(split_info.files), tf.constant(list(ends.values()), tf.int64)

    def records(shard):
        numbered = tf.data.TFRecordDataset(files[shard]).take(ends[shard]).enumerate()
        return numbered.filter(lambda number, _: tf.reduce_all(bad[shard] != number)).map(lambda _, record: record)

    return records


def key(seed, stream, number):
    """A (2,) int64 seed for stateless ops, a function of all three."""
    return tf.random.fold_in(
        tf.random.fold_in(tf.constant([seed, stream], tf.int64), stream, alg="philox"), number, alg="philox"
    )
