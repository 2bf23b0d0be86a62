"""Import this before anything that imports TensorFlow: its C++ chatter about absent GPUs stays away.

On import TensorFlow writes to file descriptor 2 before its log level counts. An ImportError still
comes through, and so does everything that TensorFlow says later.
"""

import importlib
import os
import sys


def _import_quietly() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        importlib.import_module("tensorflow")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


_import_quietly()
