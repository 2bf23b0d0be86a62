"""Tells the kinds of checkpoint files apart, by their content: a suffix means nothing."""

import gzip
import os
import pathlib
import tarfile
import zipfile

from e2wsol.releases.formats import zips

PYTORCH = "PyTorch file"
OLD_PYTORCH = "old PyTorch file"
PICKLE = "pickle"
NPZ = ".npz file"
TENSORFLOW = "TensorFlow checkpoint"
TAR, TAR_GZ, ZIP = ".tar archive", ".tar.gz archive", ".zip archive"

# What torch.save pickled first before 1.6, and how TensorFlow's tables end (V1 checkpoints, .index files).
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C.to_bytes(10, "little")
_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")


def kind_of(file: pathlib.Path, label: str) -> str | None:
    """The kind of `file`, one of this module's names, or None for anything else.

    Raises:
      UserError: a .zip or .gz file that is damaged.
      OSError: the file cannot be read.
    """
    with open(file, "rb") as stream:
        head = stream.read(tarfile.BLOCKSIZE)
        stream.seek(-min(8, os.fstat(stream.fileno()).st_size), os.SEEK_END)
        tail = stream.read()
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_kind(file, label)
    if head.startswith(b"\x1f\x8b"):
        with zips.damage_reported(label), gzip.open(file) as stream:
            return TAR_GZ if _starts_tar(stream.read(tarfile.BLOCKSIZE)) else None
    if tail == _TABLE_MAGIC:
        return TENSORFLOW
    if head.startswith(b"\x80"):
        return OLD_PYTORCH if _TORCH_MAGIC in head[:32] else PICKLE
    return TAR if _starts_tar(head) else None


def _zip_kind(file: pathlib.Path, label: str) -> str:
    with zips.damage_reported(label), zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    if any(name.count("/") == 1 and name.endswith("/data.pkl") for name in names):
        return PYTORCH
    return NPZ if names and all(name.endswith(".npy") for name in names) else ZIP


def _starts_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
