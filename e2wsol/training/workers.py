"""The processes that train or evaluate together: who writes, what they tell each other, and what if one dies."""

import contextlib
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from e2wsol.errors import WorkerLostError

# What collective operations raise, besides, once a worker is gone; which of them depends on who notices first.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


class Workers:
    """All processes under one strategy, or this one alone.

    Attributes:
      count: how many.
      index: which of them this one is.
    """

    def __init__(self, strategy: Any = None):
        """Takes the tf.distribute strategy; None for a process alone."""
        self.strategy, self.count, self.index = strategy, 1, 0
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            resolver = strategy.cluster_resolver
            jobs = resolver.cluster_spec().as_dict()
            self.count = sum(map(len, jobs.values())) or 1
            self.index = (resolver.task_id or 0) + ("chief" in jobs and resolver.task_type == "worker")

    @property
    def chief(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.index == 0

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any of them; all must ask together."""
        if self.count == 1:
            return flag
        return bool(self._sum(float(flag)) > 0)

    def gather(self, thing: Any) -> list[Any]:
        """[thing of each], in the workers' order; all must call together, which makes it a barrier as well.

        Args:
          thing: what can be pickled.
        """
        if self.count == 1:
            return [thing]
        data = np.frombuffer(pickle.dumps(thing), np.uint8)
        lengths = self._sum(np.where(np.arange(self.count) == self.index, data.size, 0))
        # Sums in which all but one are zero: tf.distribute's own gather compiles a new function for every length.
        rows = [self._sum(_row(data if index == self.index else data[:0], size)) for index, size in enumerate(lengths)]
        return [pickle.loads(row.tobytes()) for row in rows]  # what follows the pickle is not read

    def _sum(self, array: Any) -> Any:
        return self.strategy.reduce("SUM", tf.constant(array), axis=None).numpy()

    @contextlib.contextmanager
    def watched(self, then: Callable[[], str]) -> Iterator[None]:
        """Turns TensorFlow's errors about a worker that is gone into WorkerLostError.

        Args:
          then: () -> what to do about it, a part of a sentence.
        """
        try:
            yield
        except tf.errors.OpError as error:
            if self.count == 1 or not (isinstance(error, _LOST) or "ollective" in error.message):
                raise
            named = {int(task) for task in re.findall(r"/job:worker/(?:replica:0/)?task:(\d+)", error.message)}
            others = sorted(named - {self.strategy.cluster_resolver.task_id})
            who = f"worker {others[0]}" if len(others) == 1 else "another worker"
            raise WorkerLostError(f"{who} does not answer any more; {then()}") from None


def _row(data: np.ndarray, size: int) -> np.ndarray:
    """Bytes, uint8 (n,), and zeros behind them as int64 that hold `size` bytes."""
    return np.pad(data, (0, size + -size % 8 - data.size)).view(np.int64)
