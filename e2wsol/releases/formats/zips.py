"""What .npz files, PyTorch's zip containers and .zip archives share."""

import contextlib
import errno
import zipfile
from collections.abc import Iterator
from typing import Any

from e2wsol.errors import UserError
from e2wsol.releases.formats.source import expanded_limit, printable

_ENCRYPTED = 0x1


@contextlib.contextmanager
def damage_reported(label: Any) -> Iterator[None]:
    """Turns what a damaged file makes readers raise into a UserError; a full disk stays an OSError."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # no list of what a damaged file can lead to is whole
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            raise
        raise UserError(f"{label}: damaged or cut off ({printable(error) or type(error).__name__})") from None


def check_members(archive: zipfile.ZipFile, size: int, label: Any, packed: bool = True) -> None:
    """Raises a UserError when the members claim more than a file of `size` bytes can hold or should unpack to.

    Args:
      archive: the open file.
      size: bytes of the file.
      label: the file, for the message.
      packed: whether members may be compressed.
    """
    members = archive.infolist()
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) if packed else (zipfile.ZIP_STORED,)
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise UserError(f"{label}: {printable(member.filename)} is encrypted; give a file without a password")
        if member.compress_type not in methods or (not packed and member.file_size != member.compress_size):
            raise UserError(f"{label}: {printable(member.filename)} is compressed in a way that such files are not")
    claimed = sum(member.compress_size for member in members)
    if claimed > size:
        raise UserError(f"{label}: damaged; its members claim {claimed} bytes and the file has {size}")
    expanded = sum(member.file_size for member in members)
    if expanded > expanded_limit(size):
        raise UserError(f"{label}: would unpack to {expanded} bytes; at most {expanded_limit(size)} for its size")
