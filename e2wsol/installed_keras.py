"""Import this before Keras: an older one may run code of a file that it loads.

Nothing of Keras is imported here, so that this is cheap.
"""

import importlib.metadata
import json
import os
import pathlib
import re
from typing import Any

from e2wsol import cli
from e2wsol.errors import UserError

# The first release in which a .keras file can neither run code nor write outside of its folder, as far as is known:
# CVE-2025-1550, -8747, -9905, -9906, -12060, CVE-2026-1462 and GHSA-hqp4-2352-xf5r are open in earlier ones.
_SAFE_KERAS = (3, 14)


def keras_backend() -> str:
    """Name of the backend that Keras runs on, found as Keras finds it but without importing it."""
    chosen = os.environ.get("KERAS_BACKEND")
    return chosen or str(_keras_settings().get("backend", "tensorflow"))


def settings_file() -> pathlib.Path:
    """The file of settings that Keras reads when it is imported."""
    home = os.path.expanduser("~")
    base = home if os.access(home, os.W_OK) else "/tmp"
    return pathlib.Path(os.path.expanduser(os.environ.get("KERAS_HOME", os.path.join(base, ".keras")))) / "keras.json"


def _keras_settings() -> dict[str, Any]:
    try:
        return dict(json.loads(settings_file().read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def check_keras() -> None:
    """Checks the version of Keras, before anything of it is imported.

    Raises:
      UserError: an older one than is safe, or none.
    """
    try:
        version = importlib.metadata.version("keras")
    except importlib.metadata.PackageNotFoundError:
        raise UserError("keras is not installed: pip install 'keras>=3.14'") from None
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < _SAFE_KERAS:
        raise UserError(
            f"keras {version} is installed: before 3.14 a model file can run code or write files when it is loaded; "
            "pip install 'keras>=3.14'"
        )


cli.for_command(lambda purpose: check_keras())
