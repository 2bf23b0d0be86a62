"""The processes that train or evaluate together: who writes, what they tell each other, and what if one dies."""

import contextlib
import pickle
import re

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

    def __init__(self, strategy=None):
        """Takes the tf.distribute strategy; None for a process alone."""
        self.strategy, self.count, self.index = strategy, 1, 0
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            resolver = strategy.cluster_resolver
            jobs = resolver.cluster_spec().as_dict()
            self.count = sum(map(len, jobs.values())) or 1
            self.index = (resolver.task_id or 0) + ("chief" in jobs and resolver.task_type == "worker")

    @property
    def chief(self):
        """Whether this process is the one that writes files."""
        return self.index == 0

    def any(self, flag):
        """Whether the flag is set in any of them; all must ask together."""
        if self.count == 1:
            return flag
        return bool(self.strategy.reduce("SUM", tf.constant(float(flag)), axis=None) > 0)

    def gather(self, thing):
        """[thing of each], in the workers' order; all must call together, which makes it a barrier as well.

        Args:
          thing: what can be pickled.
        """
        if self.count == 1:
            return [thing]
        data = pickle.dumps((self.index, thing))
        lengths = self._gather(np.array([len(data)]))
        most = int(lengths.max())
        rows = self._gather(np.frombuffer(data.ljust(most + -most % 8, b"\0"), np.int64)[None])
        found = dict(pickle.loads(row.tobytes()) for row in rows)  # what follows the pickle is not read
        return [found[index] for index in range(self.count)]

    def _gather(self, array):
        return self.strategy.gather(tf.constant(array), axis=0).numpy()

    @contextlib.contextmanager
    def watched(self, then):
        """Turns TensorFlow's errors about a worker that is gone into WorkerLostError.

        Args:
          then: () -> what to do about it, a part of a sentence.
        """
        try:
            yield
        except tf.errors.OpError as error:
            if self.count == 1 or not (isinstance(error, _LOST) or "ollective" in error.message):
                raise
            task = re.search(r"/job:(\w+)/replica:0/task:(\d+)\s*\n?The tasks have crashed", error.message)
            who = f"{task[1]} {task[2]}" if task else "another worker"
            raise WorkerLostError(f"{who} does not answer any more; {then()}") from None
