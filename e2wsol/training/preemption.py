"""A machine that is taken away says so by SIGTERM: the run then saves and ends."""

import contextlib
import signal
import threading


class Preemption:
    """Whether SIGTERM came.

    Attributes:
      requested: True once it did.
    """

    def __init__(self):
        self.requested = False

    @contextlib.contextmanager
    def watched(self):
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

    def _note(self, *_):
        self.requested = True
