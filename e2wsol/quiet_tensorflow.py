"""Import this before anything that imports Keras: TensorFlow's C++ chatter about absent GPUs stays away.

On import TensorFlow writes to file descriptor 2 before its log level counts. An ImportError of another package still
comes through, and so does everything that TensorFlow says later. Where Keras runs on another backend, TensorFlow is
left alone. What cannot do without it asks `require` or `tensorflow`.
"""

import importlib
import importlib.util
import json
import os
import pathlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from e2wsol import cli
from e2wsol.errors import UserError

_INSTALL = "pip install tensorflow"


def keras_backend() -> str:
    """Name of the backend that Keras runs on, found as Keras finds it but without importing it."""
    chosen = os.environ.get("KERAS_BACKEND")
    return chosen or str(_keras_settings().get("backend", "tensorflow"))


def _keras_settings() -> dict[str, Any]:
    folder = pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras")
    try:
        return dict(json.loads((folder / "keras.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def require(purpose: str) -> None:
    """Checks that Keras runs on TensorFlow, and imports it.

    Args:
      purpose: what needs it, such as "evaluate".

    Raises:
      UserError: Keras runs on another backend, or there is no TensorFlow.
    """
    backend = keras_backend()
    if backend == "tensorflow":
        tensorflow(purpose)
        return
    installed = importlib.util.find_spec("tensorflow") is not None
    way_out = "set KERAS_BACKEND=tensorflow" if installed else f"{_INSTALL} and set KERAS_BACKEND=tensorflow"
    raise UserError(f"{purpose} needs TensorFlow, and Keras runs on {backend}: {way_out}")


def tensorflow(purpose: str) -> ModuleType:
    """TensorFlow, imported quietly.

    Args:
      purpose: what needs it.

    Raises:
      UserError: it is not installed.
    """
    try:
        return _import_quietly()
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        raise UserError(f"{purpose} needs TensorFlow, which is not installed: {_INSTALL}") from None


def _import_quietly() -> ModuleType:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        return importlib.import_module("tensorflow")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


def for_command(check: Callable[[str], Any]) -> None:
    """Calls check(name of the command that is being started); its UserError ends the command with one line, status 2.

    Outside a command the UserError passes.
    """
    command = _command()
    try:
        check(command or "this module")
    except UserError as error:
        if command:
            cli.fail(error)
        raise


def _command() -> str:
    """Name of the command of this project that Python runs; empty where it runs something else."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    package, _, name = spec.name.partition(".") if spec else ("", "", "")
    return name if package in ("e2wsol", "tfrecords") else ""


if keras_backend() == "tensorflow":
    for_command(lambda purpose: tensorflow(f"{purpose} with KERAS_BACKEND=tensorflow (the default)"))
