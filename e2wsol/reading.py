"""Files that anybody may have made or damaged, read in one place: what a format can do wrong ends as one line.

What a file claims is compared with its size before memory is taken, and nothing in it is run.
"""

import contextlib
import math
import os
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from e2wsol import files, terminal
from e2wsol.errors import ArgumentError, UserError

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_LARGEST = 4 << 30
_EXPANDED_TIMES, _EXPANDED_ALWAYS = 200, 1 << 30


@contextlib.contextmanager
def guarded(path: str | os.PathLike, problem: str, way_out: str = "", *, argument: str = "") -> Iterator[None]:
    """A context for a reader of one file: whatever the file makes it raise becomes a UserError that names the file.

    A damaged or hostile file can make a reader raise nearly anything, so no list of exceptions is right. Keep
    the block small. A FileNotFoundError passes, since callers say what would make the file.

    Args:
      path: the file.
      problem: what it then is, such as "not a valid run record".
      way_out: what would be right, such as "; evaluate again".
      argument: the caller's argument that names the file: an ArgumentError is raised.

    Raises:
      UserError: as said.

    Example:
      >>> with guarded("flags.json", "not a valid run record"):
      ...     {}["flags"]
      Traceback (most recent call last):
      e2wsol.errors.UserError: flags.json: not a valid run record (no 'flags')
    """
    try:
        yield
    except (UserError, FileNotFoundError):
        raise
    except Exception as error:
        text = f"{problem} ({reason(error)}){way_out}"
        raise (ArgumentError(argument, path, text) if argument else UserError(f"{path}: {text}")) from error


def reason(error: BaseException) -> str:
    """What an error of a reader says, in one short line."""
    if isinstance(error, KeyError) and error.args and " " not in str(error.args[0]):  # a key, and no sentence
        return f"no {error.args[0]!r}"
    if isinstance(error, OSError) and error.errno and error.strerror:
        return error.strerror
    return terminal.one_line(error)[:300] or type(error).__name__


def array(path: str | os.PathLike) -> np.ndarray:
    """The array of a .npy file.

    Raises:
      UserError: it is none, holds objects, or claims another size than it has.
      FileNotFoundError: there is none.
    """
    with guarded(path, "cannot be read as a .npy array"), files.open_regular(path) as file:
        return _array(file, os.fstat(file.fileno()).st_size)


def arrays(
    path: str | os.PathLike, problem: str = "not a readable .npz file", way_out: str = "", *, argument: str = ""
) -> dict[str, np.ndarray]:
    """The arrays of a .npz file by name; further arguments as for `guarded`.

    Raises:
      UserError: it is none, holds objects, or claims or unpacks to more than such a file should.
      FileNotFoundError: there is none.
    """
    with guarded(path, problem, way_out, argument=argument), files.open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > max(_EXPANDED_TIMES * size, _EXPANDED_ALWAYS):
                raise ValueError("it would unpack to far more than its size")
            found = {}
            for member in members:
                with archive.open(member) as stream:
                    found[member.filename.removesuffix(".npy")] = _array(stream, member.file_size)
            return found


def _array(stream: BinaryIO | Any, size: int) -> np.ndarray:
    """The array in a stream of `size` bytes, once its header agrees with that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on headers that Python 2 wrote, or odd escapes in damaged ones
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise ValueError(f"unknown .npy version {version}")
        shape, _, dtype = _HEADERS[version](stream)
        if dtype.hasobject:
            raise ValueError("holds pickled objects, which are not opened")
        claimed, there = math.prod(shape) * dtype.itemsize, size - stream.tell()
        if min(shape, default=0) < 0 or claimed != there:
            raise ValueError(f"claims {claimed:,} bytes and has {there:,}")
        if claimed > _LARGEST:
            raise ValueError(f"has {claimed:,} bytes; at most {_LARGEST:,} are read")
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
