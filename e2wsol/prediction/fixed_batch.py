"""A function that always runs on one number of images."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import tree

from e2wsol.backend_calls.compiled import compiled


class FixedBatch:
    """Calls a function always with as many images as it met first: a smaller last batch is filled up, and cut again.

    So there is one graph (one program of XLA's), and an image's bits do not depend on how many came with it.

    Args:
      function: of tensors (b, ...) that gives a structure of tensors (b, ...) and Nones.
      variables: Keras variables that it reads.
      jit: whether XLA compiles it.
    """

    def __init__(self, function: Callable, variables: Sequence[Any] = (), *, jit: bool = False):
        self._function = compiled(function, variables, jit=jit)
        self._size = 0

    def __call__(self, *batches: Any) -> Any:
        """What the function gives of arrays (b, ...), as arrays; more images than ever before make a new graph."""
        count = len(batches[0])
        self._size = max(self._size, count)
        filled = [_filled_up(np.asarray(batch), self._size) for batch in batches]
        return tree.map_structure(lambda result: result if result is None else result[:count], self._function(*filled))


def _filled_up(batch: np.ndarray, size: int) -> np.ndarray:
    missing = size - len(batch)
    return np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)]) if missing else batch
