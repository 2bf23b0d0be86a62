"""Tar archives: found, listed and unpacked without trust in the names and sizes inside."""

import contextlib
import pathlib
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

from e2wsol.errors import UserError

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
    """Unpacks `archive` into `folder` once; a finished folder is used again.

    The archive is unpacked under another name and renamed, so an interrupted run leaves no half folder.
    Members that would land outside, links that point outside and devices are refused by tarfile's
    "data" filter, an archive that unpacks to _MAX_RATIO times its size as well.
    """
    archive, folder = pathlib.Path(archive), pathlib.Path(folder)
    if folder.is_dir():
        return folder
    partial = folder.with_name(f".partial-{folder.name}")
    print(f"unpacking {archive} into {folder}")
    partial.mkdir(parents=True, exist_ok=True)
    with open_tar(archive) as tar:
        try:
            tar.extractall(partial, filter=_limited(archive))
        except (tarfile.TarError, EOFError, zlib.error) as error:
            shutil.rmtree(partial)
            raise UserError(f"{archive}: cannot be unpacked ({error})") from None
    partial.rename(folder)
    return folder


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
