"""A machine that is taken away says so by SIGTERM: the run then saves and ends, on all workers at the same step."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from e2wsol.training.workers import Workers

# Calls between two questions to the other workers, each of which waits for the slowest.
_CALLS_PER_QUESTION = 10


class Preemption:
    """Whether the run has to end because SIGTERM came, to this worker or another.

    Attributes:
      requested: True once it has; with several workers it changes on all of them in the same call of
        `requested_everywhere`.
    """

    def __init__(self, workers: Workers | None = None):
        """Takes Workers; None for a process alone."""
        self.workers = workers or Workers()
        self._noted, self._agreed, self._calls = False, False, 0

    @property
    def requested(self) -> bool:
        """Whether the run has to end, as far as this process and the last question to the others say."""
        return self._agreed if self.workers.count > 1 else self._noted

    def requested_everywhere(self) -> bool:
        """Whether the run has to end; all workers call it after the same steps, and ask each other every so often."""
        self._calls += 1
        if self.workers.count > 1 and self._calls % _CALLS_PER_QUESTION == 0:
            self._agreed = self.workers.any(self._noted)
        return self.requested

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Notes SIGTERM instead of dying of it, as long as the block lasts.

        Python hands signals to the main thread alone; in any other the block changes nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _note(self, *_: Any) -> None:
        self._noted = True
