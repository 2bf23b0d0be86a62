"""Writing files so that a reader, or a crash, never meets half of one."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator

_TEMPORARY = ".tmp-"


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path in the same folder and renames it to `path` when the block succeeds.

    The temporary name keeps the suffix, for writers that look at it. When the block fails, the
    temporary file is removed and an existing `path` stays as it was.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f"{_TEMPORARY}{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Writes `data` to `path` whole or not at all; the folder is made where it is missing."""
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes `text` as UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Removes temporary files that a killed process left in `folder`; call it while no other process writes there."""
    for path in pathlib.Path(folder).glob(f"{_TEMPORARY}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
