"""Writing record files."""

import contextlib
import errno
import os

import tensorflow as tf


@contextlib.contextmanager
def record_writer(path):
    """Yields the write function of a TFRecord file; TensorFlow's storage errors become OSError."""
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            yield writer.write
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
