"""Text files as editors leave them, and writing so that a reader, or a crash, never meets half of a file."""

import contextlib
import errno
import fnmatch
import hashlib
import os
import pathlib
import re
import shutil
import stat
from collections.abc import Iterator
from typing import BinaryIO

from e2wsol.errors import UserError

_TEMPORARY = ".tmp-"
_OURS = re.compile(r"\.tmp-\d+-(.+)", re.DOTALL)
_BLOCK = 1 << 20
_MOST_TEXT = 1 << 30
_LONGEST_NAME = 255
_STREAMS = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")  # what a shell gives a command to read from


def read_text(path: str | os.PathLike) -> str:
    r"""The text of a UTF-8 file, without a byte order mark and with "\n" at every line's end.

    Raises:
      UserError: it is not UTF-8, no regular file, or larger than 1 GiB.
      OSError: it cannot be read.

    Example:
      >>> _ = pathlib.Path("a.csv").write_bytes(b"\xef\xbb\xbfx,1\r\n")
      >>> read_text("a.csv")
      'x,1\n'
    """
    with open_bytes(path) as file:
        data = read_at_most(file, _MOST_TEXT)
    if data is None:
        raise UserError(f"{path}: larger than {_MOST_TEXT >> 20:,} MB; not a text file of e2wsol")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error}); save it as UTF-8") from None


def read_at_most(file: BinaryIO, most: int) -> bytes | None:
    """What is left of an open file; None where that is more than `most` bytes, which are not read if the size tells."""
    if os.fstat(file.fileno()).st_size - (file.tell() if file.seekable() else 0) > most:
        return None
    data = file.read(most + 1)
    return data if len(data) <= most else None


def open_bytes(path: str | os.PathLike) -> BinaryIO:
    """As `open_regular`; a pipe that the shell hands to the command, such as /dev/stdin, will do too."""
    return open(path, "rb") if str(path).startswith(_STREAMS) else open_regular(path)


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Opens a file to read its bytes, never one that a reader could wait for without end.

    Raises:
      UserError: a device or a pipe.
      OSError: a folder, or it cannot be read.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(number).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(number, "rb")
    os.close(number)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise UserError(f"{path}: is a device or pipe; give a file")


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path in the same folder and renames it to `path` when the block succeeds.

    The temporary name keeps the suffix, for writers that look at it. When the block fails, the
    temporary file is removed and an existing `path` stays as it was.

    Raises:
      UserError: `path` is a device, a folder or another thing that is no regular file.
    """
    path = pathlib.Path(path)
    check_replaceable(path)
    temporary = temporary_path(path)
    try:
        with naming(path):
            yield temporary
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
    """A context in which an OSError that names no file, as those of open files do, gets the name of `path`."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)
        raise


def temporary_path(path: str | os.PathLike) -> pathlib.Path:
    """Where a process writes what is to become `path`: beside it, under a name no file system finds too long."""
    path = pathlib.Path(path)
    begin, name = f"{_TEMPORARY}{os.getpid()}-", path.name
    if len(os.fsencode(begin + name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:16] + path.suffix[-16:]
    return path.parent / (begin + name)


def check_replaceable(path: str | os.PathLike) -> None:
    """Raises a UserError where `path` is there and is no regular file: a device, a folder, a pipe."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device or pipe"
        raise UserError(f"{path}: is {kind}; give the name of a file")


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Writes `data` to `path` whole or not at all; the folder is made where it is missing."""
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes `text` as UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


def sha256(path: str | pathlib.Path) -> str:
    """Hex SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def remove_leftovers(folder: str | os.PathLike, *names: str) -> None:
    """Removes what killed processes left of temporary files in a folder, and nothing else.

    Args:
      folder: its path; call it under the lock (folder_lock.held) that all who write these names hold.
      names: patterns of the files' final names, such as "*.tfrecord".
    """
    for path in pathlib.Path(folder).glob(f"{_TEMPORARY}*"):
        if (found := _OURS.fullmatch(path.name)) and any(fnmatch.fnmatchcase(found[1], name) for name in names):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def is_leftover(path: pathlib.PurePath) -> bool:
    """Whether a file is a temporary one of this library, by its name."""
    return _OURS.fullmatch(path.name) is not None
