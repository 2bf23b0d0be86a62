"""A TensorFlow function that is compiled for one number of pictures."""

import tensorflow as tf


class FixedBatch:
    """Calls a function always with as many pictures as it met first: a smaller last batch is filled up, and cut again.

    So there is one graph (one program of XLA's), and a picture's bits do not depend on how many came with it.

    Args:
      function: of tensors (b, ...) that gives a structure of tensors (b, ...) and Nones.
      jit: whether XLA compiles it.
    """

    def __init__(self, function, *, jit=False):
        self._function = tf.function(function, autograph=False, jit_compile=jit)
        self._size = 0

    def __call__(self, *batches):
        """What the function gives of `batches`; more pictures than ever before make a new graph."""
        count = len(batches[0])
        self._size = max(self._size, count)
        missing = self._size - count
        filled = [tf.concat([batch, tf.repeat(batch[-1:], missing, axis=0)], axis=0) for batch in batches]
        return tf.nest.map_structure(
            lambda result: result if result is None else result[:count], self._function(*filled)
        )

    @property
    def traces(self):
        """How often TensorFlow made a graph of it."""
        return self._function.experimental_get_tracing_count()
