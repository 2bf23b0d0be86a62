"""Tar archives: found, listed and unpacked without trust in the names and sizes inside."""

import contextlib
import os
import pathlib
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

from e2wsol import terminal
from e2wsol.errors import UserError

STAMP = ".unpacked-from"
_MAX_RATIO, _FREE_BYTES = 100, 1 << 24


def is_archive(path: pathlib.PurePath) -> bool:
    """Whether the name says tar, compressed or not."""
    return path.name.lower().endswith((".tar", ".tgz", ".tar.gz"))


@contextlib.contextmanager
def open_tar(
    path: str | pathlib.Path, mode: Any = "r:*", fileobj: IO[bytes] | None = None
) -> Iterator[tarfile.TarFile]:
    """`tarfile.open` in which failures, also those of the reading inside the block, name the archive."""
    try:
        with tarfile.open(path if fileobj is None else None, mode, fileobj=fileobj) as tar:
            yield tar
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(f"{path}: not a readable tar archive ({error})") from None


def member_bytes(tar: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> bytes:
    """The content of a member that is a file.

    Raises:
      UserError: it is larger than `limit` bytes.
    """
    if member.size > limit:
        raise UserError(f"{tar.name!s}: {member.name} has {member.size:,} bytes, at most {limit:,} are expected")
    content: Any = tar.extractfile(member)
    return content.read()


def unpack(archive: str | pathlib.Path, folder: str | pathlib.Path) -> pathlib.Path:
    """Unpacks `archive` into `folder`; a folder that was unpacked from the same archive is used again.

    A file STAMP in the folder says which archive it is from, by size and time of change. The archive is unpacked under
    another name and renamed, so an interrupted run leaves no half folder. Members that would land outside, links that
    point outside and devices are refused by tarfile's "data" filter, an archive that unpacks to _MAX_RATIO times its
    size as well.

    Raises:
      UserError: the archive cannot be unpacked, or `folder` is there and has no stamp: it is never removed then.
    """
    archive, folder = pathlib.Path(archive), pathlib.Path(folder)
    found = archive.stat()
    stamp = f"{found.st_size} {found.st_mtime_ns}\n"
    if _is_unpacked(folder) and (folder / STAMP).read_bytes() == stamp.encode():
        return folder
    partial = folder.with_name(f".partial-{folder.name}")
    for earlier in (partial, folder):
        _remove_unpacked(earlier)
    terminal.say(f"unpacking {archive} into {folder}")
    partial.mkdir(parents=True)
    (partial / STAMP).touch()
    with open_tar(archive) as tar:
        try:
            tar.extractall(partial, filter=_limited(archive))
        except (tarfile.TarError, EOFError, zlib.error) as error:
            shutil.rmtree(partial)
            raise UserError(f"{archive}: cannot be unpacked ({error})") from None
    (partial / STAMP).write_text(stamp)
    partial.rename(folder)
    return folder


def _is_unpacked(folder: pathlib.Path) -> bool:
    return not folder.is_symlink() and (folder / STAMP).is_file()


def _remove_unpacked(folder: pathlib.Path) -> None:
    """Removes a folder that `unpack` made, its stamp last; refuses any other that holds something."""
    if not os.path.lexists(folder):
        return
    if not _is_unpacked(folder) and (folder.is_symlink() or not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: in the way, and nothing says that it was unpacked here; delete it or move it away")
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != STAMP:
            entry.unlink()
    shutil.rmtree(folder)


def _limited(archive: pathlib.Path) -> Callable[[tarfile.TarInfo, str], tarfile.TarInfo | None]:
    """Tarfile's "data" filter, which stops at more than the files of an honest archive hold."""
    left = max(_FREE_BYTES, _MAX_RATIO * archive.stat().st_size)

    def check(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
        nonlocal left
        left -= member.size
        if left < 0:
            raise tarfile.TarError(f"it holds more than {_MAX_RATIO} times its own size")
        return tarfile.data_filter(member, path)

    return check
