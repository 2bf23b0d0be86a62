"""What a checkpoint holds, in the one form that every format's reader gives."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from e2wsol.errors import UserError

# The files come from anywhere: a small one may not fill the memory or the disk.
_EXPANDED_AT_MOST = 16 << 30
_EXPANDED_TIMES = 200
_EXPANDED_ALWAYS = 64 << 20  # zeros pack a thousandfold: harmless where they are few


@dataclasses.dataclass
class OpenCheckpoint:
    """An open checkpoint; `read` works while the block of `open_checkpoint` lasts.

    Attributes:
      path: what the user named.
      container: "pytorch" or "tensorflow" (.npz files too): whose layouts the arrays have.
      kind: for messages: "PyTorch file", "old PyTorch file", ".npz file", "TensorFlow checkpoint".
      shapes: {name: shape} in the file's order.
      dtypes: {name: numpy dtype name} of what `read` returns.
      notes: names of what else is in the file and is left out, such as "epoch" or "optimizer".
    """

    path: pathlib.Path
    container: str
    kind: str
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    notes: tuple[str, ...]
    fetch: Callable[[str], np.ndarray] = dataclasses.field(repr=False)

    def read(self, name: str) -> np.ndarray:
        """The tensor `name`: an own copy in native byte order, floats as float32.

        Raises:
          KeyError: no such name.
          UserError: the file is damaged there, or a value is beyond float32.
        """
        value = self.fetch(name)
        with np.errstate(over="raise", invalid="ignore"):
            try:
                return np.array(value, dtype=self.dtypes[name], order="C")
            except FloatingPointError:
                raise UserError(f"{self.path}: {printable(name)} holds {value.dtype} values beyond float32") from None


def dtype_as_read(name: str) -> str:
    """Name of the dtype that `OpenCheckpoint.read` gives for the file's dtype `name`: integers and bool stay.

    >>> dtype_as_read("float64"), dtype_as_read("bfloat16"), dtype_as_read("int64")
    ('float32', 'float32', 'int64')
    """
    return "float32" if "float" in name else name


def stripped_names(names: Iterable[str], strip: Callable[[str], str], added: str, label: str) -> dict[str, str]:
    """{name without what its container adds: name in the file}, in order.

    Args:
      names: the file's names.
      strip: what takes the addition off one name.
      added: the addition, for the message.
      label: the file, for the message.

    Raises:
      UserError: two names become one.
    """
    originals: dict[str, str] = {}
    for name in names:
        if strip(name) in originals:
            raise UserError(f"{label}: holds two tensors {printable(strip(name))} ({added} does not count)")
        originals[strip(name)] = name
    return originals


def expanded_limit(size: int) -> int:
    """Bytes that a file of `size` bytes may unpack to: 200 times its size, 64 MiB in any case, never over 16 GiB."""
    return min(_EXPANDED_AT_MOST, max(_EXPANDED_TIMES * size, _EXPANDED_ALWAYS))


def printable(text: Any, limit: int = 160) -> str:
    r"""Foreign text (a name in a file, another library's error) as part of a one-line message.

    >>> printable("first line\nsecond\x1b[31m")
    'first line second [31m'
    """
    text = str(text)[: 10 * limit]
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
