"""`.keras` files: written whatever the clock says, and loaded without running code that they hold."""

import e2wsol.installed_keras  # noqa: F401  # isort: skip

import os
import pathlib
import shutil
import tempfile
import zipfile
from typing import Any

import keras

from e2wsol import files, reading

_COPIED = 1 << 20


def save(model: keras.Model, path: str | os.PathLike) -> None:
    """Writes a model as one `.keras` file; not whole or nothing, see `files.replacing`.

    The members get a fixed date: Keras takes the clock's, and a zip file cannot hold one before 1980 or after 2107.
    """
    path = pathlib.Path(path)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as temporary:
        folder = pathlib.Path(temporary)
        model.save(folder / "model", zipped=False)
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(each for each in folder.rglob("*") if each.is_file()):
                member = zipfile.ZipInfo(file.relative_to(folder / "model").as_posix())
                member.external_attr = 0o600 << 16
                with open(file, "rb") as source, archive.open(member, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target, _COPIED)


def load(path: str | os.PathLike, problem: str, *, argument: str = "") -> Any:
    """The model of a `.keras` file, or of an `.h5` file that holds a whole one; not compiled.

    Layers that hold code (Lambda, TFSMLayer) are refused.

    Args:
      path: the file.
      problem: what it is where it cannot be loaded, such as "not a .keras model".
      argument: the caller's argument that names it.

    Raises:
      UserError: no such file, or it cannot be loaded.
    """
    with reading.guarded(path, problem, argument=argument):
        if not os.path.exists(path):
            raise ValueError("no such file")
        files.open_regular(path).close()
        return keras.saving.load_model(path, compile=False, safe_mode=True)
