"""Writes checkpoints for other people's code: PyTorch's files and .npz files."""

import collections
import contextlib
import pathlib
import zipfile
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import numpy as np

from e2wsol import files
from e2wsol.releases.formats import pytorch


def write_pytorch(path: str | pathlib.Path, tensors: Mapping[str, np.ndarray], wrapper: str = "") -> None:
    """Writes a state_dict as torch.save does, whole or not at all; the folder is made where it is missing.

    Args:
      path: the file.
      tensors: {name: array of numbers}, written in this order.
      wrapper: key under which the state_dict stands, such as "state_dict"; without it, the top level.

    Raises:
      UserError: PyTorch is not installed.
    """
    torch = pytorch.import_torch(path, "writing")
    # np.array copies: torch would share the memory, and warns where it is read-only.
    content = collections.OrderedDict(
        (name, torch.from_numpy(np.array(value, order="C"))) for name, value in tensors.items()
    )
    with _whole(path) as stream:
        torch.save({wrapper: content} if wrapper else content, stream)


def write_npz(path: str | pathlib.Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes arrays of numbers as np.savez_compressed does, whole or not at all.

    Not by np.savez_compressed itself, which takes names as keywords: `file` would be none.

    Args:
      path: the file; the folder is made where it is missing.
      tensors: {name: array}, written in this order.

    Raises:
      ValueError: an array holds objects, which NumPy would pickle.
    """
    with _whole(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in tensors.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)


@contextlib.contextmanager
def _whole(path: str | pathlib.Path) -> Iterator[BinaryIO]:
    """A binary stream whose content becomes `path` when the block succeeds."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A stream, not the temporary name: torch.save writes the name that it is given into the file.
    with files.replacing(path) as temporary, open(temporary, "wb") as stream:
        yield stream
