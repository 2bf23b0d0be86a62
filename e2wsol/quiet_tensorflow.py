"""Import this before anything that imports Keras: TensorFlow's C++ chatter about absent GPUs stays away.

On import TensorFlow writes to file descriptor 2 before its log level counts. An ImportError of another package still
comes through, and so does everything that TensorFlow says later. Where Keras runs on another backend, TensorFlow is
left alone. What cannot do without it asks `require` or `tensorflow`.
"""

import importlib
import importlib.util
import os
import sys
from types import ModuleType

from e2wsol import cli, terminal
from e2wsol.errors import UserError
from e2wsol.installed_keras import keras_backend, settings_file

_INSTALL = "pip install tensorflow"


def require_for_command(purpose: str) -> None:
    """As `require`; where keras.json alone names another backend, TensorFlow is taken and a line says so."""
    backend = keras_backend()
    installed = importlib.util.find_spec("tensorflow") is not None
    if backend != "tensorflow" and installed and not os.environ.get("KERAS_BACKEND") and "keras" not in sys.modules:
        terminal.note(f"note: {settings_file()} sets backend={backend}; {purpose} uses tensorflow")
        os.environ["KERAS_BACKEND"] = "tensorflow"
    require(purpose)
    keras(purpose)


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
      UserError: it is not installed, or cannot start with the settings of keras.json.
    """
    try:
        return _import_quietly()
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        raise UserError(f"{purpose} needs TensorFlow, which is not installed: {_INSTALL}") from None
    except ImportError:
        raise
    except Exception as error:  # it reads Keras' settings as well
        raise UserError(_cannot_start(purpose, "TensorFlow", error)) from error


def _import_quietly() -> ModuleType:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    terminal.open_missing_streams()
    sys.stderr.flush()
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        return importlib.import_module("tensorflow")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


def keras(purpose: str) -> ModuleType:
    """Keras, imported.

    Args:
      purpose: what needs it.

    Raises:
      UserError: it cannot start, such as with another backend that is not installed, or with settings that it refuses.
    """
    try:
        return importlib.import_module("keras")
    except Exception as error:  # whatever a backend, or an entry of keras.json, makes it meet
        raise UserError(_cannot_start(purpose, f"Keras on {keras_backend()}", error)) from error


def _cannot_start(purpose: str, what: str, error: Exception) -> str:
    reason = f"{type(error).__name__}{f': {error}' if str(error) else ''}"
    return (
        f"{purpose} needs {what}, which cannot start ({reason}); its settings are KERAS_BACKEND and {settings_file()}"
    )


if keras_backend() == "tensorflow":
    cli.for_command(lambda purpose: tensorflow(f"{purpose} with KERAS_BACKEND=tensorflow (the default)"))
if "e2wsol.on_tensorflow" not in sys.modules:  # which asks for TensorFlow before
    cli.for_command(keras)
