"""`.keras` files: written whatever the clock says, and loaded without running code that they hold."""

import e2wsol.installed_keras  # noqa: F401  # isort: skip

import io
import os
import pathlib
import tempfile
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import keras

from e2wsol import files, reading

_FIRST_YEAR, _LAST_YEAR = 1980, 2107  # that a member of a zip file can have


def save(model: keras.Model, path: str | os.PathLike) -> None:
    """Writes a model as one `.keras` file; not whole or nothing, see `files.replacing`.

    The members get a fixed date: Keras takes the clock's, which may be one that a zip file cannot hold.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in _members(model):
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o600 << 16
            archive.writestr(member, content)


def _members(model: keras.Model) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of what Keras writes.

    In memory, to which Keras writes a zip file: HDF5 can take the process down with it when its file's disk is full.
    """
    if _FIRST_YEAR <= time.localtime(time.time()).tm_year <= _LAST_YEAR:
        memory = io.BytesIO()
        model.save(memory, zipped=False)
        with zipfile.ZipFile(memory) as written:
            yield from ((name, written.read(name)) for name in written.namelist())
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "model"
        model.save(folder, zipped=False)
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            yield file.relative_to(folder).as_posix(), file.read_bytes()


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
