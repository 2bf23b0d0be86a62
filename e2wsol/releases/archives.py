"""Unpacks the archives that checkpoints are published in, such that no member leaves the folder or fills the disk."""

import contextlib
import gzip
import io
import os
import pathlib
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any

from e2wsol.errors import UserError
from e2wsol.releases.formats import kinds, zips
from e2wsol.releases.formats.source import expanded_limit, printable

KINDS = (kinds.TAR, kinds.TAR_GZ, kinds.ZIP)
_HEADER_AT_MOST = 1 << 20  # a long name, or extended attributes, which tarfile reads into memory
_HEADERS = b"xgXLK"
_DEEP, _LONG = 32, 255  # folders in one another, characters of a name


@contextlib.contextmanager
def extracted(path: pathlib.Path, kind: str) -> Iterator[pathlib.Path]:
    """Yields a temporary folder with what the archive `path` holds; it is removed afterwards.

    Args:
      path: the archive.
      kind: its kind, one of KINDS.

    Raises:
      UserError: a member that would lie outside the folder, a link, a device, more bytes than such a
        file should unpack to, or a damaged archive.
    """
    with tempfile.TemporaryDirectory(prefix="e2wsol-") as temporary:
        folder = pathlib.Path(temporary)
        with zips.damage_reported(path):
            if kind == kinds.ZIP:
                _extract_zip(path, folder)
            else:
                _extract_tar(path, folder, packed=kind == kinds.TAR_GZ)
        yield folder


def _extract_zip(path: pathlib.Path, folder: pathlib.Path) -> None:
    with zipfile.ZipFile(path) as archive:
        zips.check_members(archive, os.path.getsize(path), path)
        for member in archive.infolist():
            _check_name(member.filename, path)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _not_a_file(member.filename, path)
            target = folder / member.filename
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as content, open(target, "wb") as file:
                shutil.copyfileobj(content, file)


def _extract_tar(path: pathlib.Path, folder: pathlib.Path, packed: bool) -> None:
    limit = expanded_limit(os.path.getsize(path))
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context((gzip.open if packed else open)(path, "rb"))
        limited = _LimitedStream(stream, limit, path)
        archive = stack.enter_context(tarfile.open(fileobj=limited, mode="r|", tarinfo=_Member))
        expanded = 0
        for member in archive:
            _check_name(member.name, path)
            if not member.isreg() and not member.isdir():
                raise _not_a_file(member.name, path)
            expanded += member.size  # a sparse member claims more than it takes in the archive
            if expanded > limit:
                raise _too_large(path, limit)
            archive.extract(member, folder, set_attrs=False, filter="data")


class _Member(tarfile.TarInfo):
    """A member whose header is checked before tarfile acts on it."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        """The member of a header, unless that claims a size that makes no sense."""
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0 or (member.type in _HEADERS and member.size > _HEADER_AT_MOST):
            raise tarfile.ReadError(f"a header that claims {member.size} bytes")
        return member


class _LimitedStream(io.RawIOBase):
    """A stream that ends in a UserError once more than `limit` bytes came out of it."""

    def __init__(self, stream: Any, limit: int, path: pathlib.Path):
        self._stream, self._left, self._limit, self._path = stream, limit, limit, path

    def read(self, size: int = -1) -> bytes:
        """The next bytes of the stream."""
        content = self._stream.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise _too_large(self._path, self._limit)
        return content


def _check_name(name: str, path: pathlib.Path) -> None:
    parts = re.split(r"[/\\]", name)
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) or ".." in parts:
        raise UserError(f"{path}: its member {printable(name)} would lie outside the folder it is unpacked to")
    if len(parts) > _DEEP or max(map(len, parts)) > _LONG:
        raise UserError(f"{path}: its member {printable(name, 40)} has too long a name")
    if not name.isprintable():
        raise UserError(f"{path}: its member {printable(name)} has control characters in its name")


def _not_a_file(name: str, path: pathlib.Path) -> UserError:
    return UserError(f"{path}: its member {printable(name)} is a link or a device, not a file; pack the file itself")


def _too_large(path: pathlib.Path, limit: int) -> UserError:
    return UserError(f"{path}: would unpack to more than {limit} bytes, the most for its size; unpack it yourself")
