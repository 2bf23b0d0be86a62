"""Reads .npz files: NumPy's, and tensorpack's released networks."""

import contextlib
import math
import os
import pathlib
import warnings
import zipfile
from collections.abc import Iterator

import numpy as np

from e2wsol.errors import UserError
from e2wsol.releases.formats import kinds, zips
from e2wsol.releases.formats.source import OpenCheckpoint, dtype_as_read, printable, stripped_names

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@contextlib.contextmanager
def opened(file: pathlib.Path, label: str) -> Iterator[OpenCheckpoint]:
    """Yields the OpenCheckpoint of an .npz file; shapes come from the headers, values are read one at a time."""
    with contextlib.ExitStack() as stack:
        with zips.damage_reported(label):
            archive = stack.enter_context(zipfile.ZipFile(file))
            zips.check_members(archive, os.path.getsize(file), label)
        headers = [(_name(member), _header(archive, member, label)) for member in archive.infolist()]
        tensors = [(name, header) for name, header in headers if header[1].kind in "biuf"]
        if not tensors:
            raise UserError(f"{label}: holds no arrays of numbers")
        stripped_names([name for name, _ in tensors], str, ":0", label)
        members = dict(zip((name for name, _ in headers), archive.infolist()))

        def fetch(name):
            with zips.damage_reported(label), _silent(), archive.open(members[name]) as stream:
                return np.lib.format.read_array(stream, allow_pickle=False)

        yield OpenCheckpoint(
            path=file,
            container="tensorflow",
            kind=kinds.NPZ,
            shapes={name: shape for name, (shape, _) in tensors},
            dtypes={name: dtype_as_read(dtype.name) for name, (_, dtype) in tensors},
            notes=tuple(printable(name) for name, (_, dtype) in headers if dtype.kind not in "biuf"),
            fetch=fetch,
        )


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(".npy").removesuffix(":0")


def _header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, label: str) -> tuple[tuple[int, ...], np.dtype]:
    """(shape, dtype) of a member; a UserError when it is pickled or claims another size than it has."""
    with zips.damage_reported(label), _silent(), archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise UserError(f"{label}: {printable(member.filename)} is of an unknown .npy version {version}")
        shape, _, dtype = _HEADERS[version](stream)
        values = member.file_size - stream.tell()
    if dtype.hasobject:
        raise UserError(
            f"{label}: {printable(_name(member))} holds pickled objects; files that would run code are not opened; "
            "save arrays of numbers only"
        )
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != values:
        raise UserError(
            f"{label}: damaged; {printable(_name(member))} claims {dtype.name} {printable(shape)}, "
            f"and has {values} bytes"
        )
    return tuple(int(side) for side in shape), dtype


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without a word on headers that Python 2 wrote (tensorpack's files), or on odd escapes in damaged ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
