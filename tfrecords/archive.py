"""Tar archives: found, listed and unpacked without trust in the names inside."""

import pathlib
import tarfile
import zlib

from e2wsol.errors import UserError


def is_archive(path):
    """Whether the name says tar, compressed or not."""
    return path.name.lower().endswith((".tar", ".tgz", ".tar.gz"))


def open_tar(path, mode="r:*", fileobj=None):
    """`tarfile.open` whose failures name the archive."""
    try:
        return tarfile.open(path if fileobj is None else None, mode, fileobj=fileobj)
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(f"{path}: not a readable tar archive ({error})") from None


def unpack(archive, folder):
    """Unpacks `archive` into `folder` once; a finished folder is used again.

    The archive is unpacked under another name and renamed, so an interrupted run leaves no half folder.
    Members that would land outside, links that point outside and devices are refused by tarfile's
    "data" filter.
    """
    archive, folder = pathlib.Path(archive), pathlib.Path(folder)
    if folder.is_dir():
        return folder
    partial = folder.with_name(f".partial-{folder.name}")
    print(f"unpacking {archive} into {folder}")
    partial.mkdir(parents=True, exist_ok=True)
    with open_tar(archive) as tar:
        try:
            tar.extractall(partial, filter="data")
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise UserError(f"{archive}: cannot be unpacked ({error})") from None
    partial.rename(folder)
    return folder
