"""Reads TensorFlow's checkpoints: V2 (.index and .data files) and V1 (one file)."""

import contextlib
import glob
import math
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from e2wsol import quiet_tensorflow
from e2wsol.errors import UserError
from e2wsol.releases.formats import kinds
from e2wsol.releases.formats.source import OpenCheckpoint, dtype_as_read, printable

_PART = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_V1_PACKED_TIMES = 32  # V1 tables are packed by Snappy, at most about 21 times


def prefix_of(path: pathlib.Path) -> pathlib.Path | None:
    """The prefix that TensorFlow calls a checkpoint by, for the prefix itself or one of its files.

    None when `path` is neither a V2 checkpoint's nor lies beside a V1 file; a V1 file itself is told by its content.
    """
    name = _PART.sub("", path.name)
    if not name:
        return None
    prefix = path.with_name(name)
    return prefix if _index(prefix).is_file() or (prefix != path and prefix.is_file()) else None


def is_part(path: pathlib.Path) -> bool:
    """Whether `path` is called like one of the files of a checkpoint: .index, .meta or .data-00000-of-00001."""
    return bool(_PART.search(path.name))


def latest(folder: pathlib.Path, label: str) -> pathlib.Path | None:
    """The checkpoint that the file called `checkpoint` in `folder` names, or None without such a file.

    Only its last name counts: authors' files name folders of their own machines.
    """
    if not (folder / "checkpoint").is_file():
        return None
    tf = _tensorflow()
    with _damage_reported(label):
        state = tf.train.get_checkpoint_state(str(folder))
    name = pathlib.PurePath(state.model_checkpoint_path).name if state else ""
    if not name or not (_index(folder / name).is_file() or (folder / name).is_file()):
        raise UserError(f"{label}: its file `checkpoint` names {printable(name) or 'nothing'}, which is not there")
    return folder / name


@contextlib.contextmanager
def opened(prefix: pathlib.Path, label: str) -> Iterator[OpenCheckpoint]:
    """Yields the OpenCheckpoint of the checkpoint called `prefix`; names are in alphabetic order."""
    tf = _tensorflow()
    with _damage_reported(label):
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = {name: tuple(shape) for name, shape in sorted(reader.get_variable_to_shape_map().items())}
        dtypes = {name: np.dtype(dtype.as_numpy_dtype) for name, dtype in reader.get_variable_to_dtype_map().items()}
    numbers = [name for name in shapes if dtypes[name].kind in "biuf" or "float" in dtypes[name].name]
    if not numbers:
        raise UserError(f"{label}: holds no variables of numbers")
    _check_sizes(prefix, sum(math.prod(shapes[name]) * dtypes[name].itemsize for name in numbers), label)

    def fetch(name):
        with _damage_reported(label):
            return reader.get_tensor(name)

    yield OpenCheckpoint(
        path=prefix,
        container="tensorflow",
        kind=kinds.TENSORFLOW,
        shapes={name: shapes[name] for name in numbers},
        dtypes={name: dtype_as_read(dtypes[name].name) for name in numbers},
        notes=tuple(printable(name) for name in shapes if name not in numbers),
        fetch=fetch,
    )


def _index(prefix: pathlib.Path) -> pathlib.Path:
    return prefix.with_name(prefix.name + ".index")


def _check_sizes(prefix: pathlib.Path, claimed: int, label: str) -> None:
    """Raises a UserError when variables of `claimed` bytes cannot lie in the checkpoint's files."""
    if _index(prefix).is_file():
        shards = glob.glob(glob.escape(str(prefix)) + ".data-?????-of-?????")
        if not shards:
            raise UserError(f"{label}: its .data-00000-of-00001 file is missing beside {_index(prefix).name}")
        size = sum(pathlib.Path(shard).stat().st_size for shard in shards)
    else:
        size = _V1_PACKED_TIMES * prefix.stat().st_size
    if claimed > size:
        raise UserError(f"{label}: damaged or cut off; its variables take {claimed} bytes, its files cannot hold them")


def _tensorflow() -> Any:
    """TensorFlow, imported late: PyTorch's files do without."""
    return quiet_tensorflow.tensorflow("reading a TensorFlow checkpoint")


@contextlib.contextmanager
def _damage_reported(label: str) -> Iterator[None]:
    # Its reader's status codes arrive as OpError, and some as Python's own errors.
    others = (IndexError, ValueError, TypeError, RuntimeError, MemoryError, OSError)
    try:
        yield
    except (_tensorflow().errors.OpError, *others) as error:
        raise UserError(f"{label}: damaged or cut off, or not a TensorFlow checkpoint ({printable(error)})") from None
