"""Opens other people's checkpoints: PyTorch's files, .npz files, TensorFlow's, and archives that hold one of them.

Kinds are told by content. Nothing in a file is run, and what it claims is compared with its size
before memory or disk is taken.
"""

import contextlib
import pathlib
from collections.abc import Iterator

from e2wsol.errors import UserError
from e2wsol.releases import archives
from e2wsol.releases.formats import kinds, npz, pytorch, tensorflow
from e2wsol.releases.formats.source import OpenCheckpoint, printable

_OPENERS = {
    kinds.PYTORCH: pytorch.opened,
    kinds.OLD_PYTORCH: pytorch.opened,
    kinds.PICKLE: pytorch.opened,
    kinds.NPZ: npz.opened,
    kinds.TENSORFLOW: tensorflow.opened,
}
_WANTED = "give a PyTorch file, an .npz file, a TensorFlow checkpoint, or a .tar, .tar.gz or .zip that holds one"


@contextlib.contextmanager
def open_checkpoint(path: str | pathlib.Path) -> Iterator[OpenCheckpoint]:
    """Yields a checkpoint, opened.

    Args:
      path: a PyTorch file (either container), an .npz file, a TensorFlow checkpoint (prefix, one of
        its files, or a folder with a `checkpoint` file), or an archive that holds exactly one of these.

    Raises:
      UserError: no such file, another kind of file, a damaged one, or one that holds more than tensors.
    """
    path = pathlib.Path(path)
    with contextlib.ExitStack() as stack:
        file, kind, label = _located(path, str(path))
        if kind in archives.KINDS:
            folder = stack.enter_context(archives.extracted(path, kind))
            file, kind = _only_checkpoint(folder, label)
            label = f"{path} ({printable(file.relative_to(folder))})"
        source = stack.enter_context(_OPENERS[kind](file, label))
        source.path = path
        yield source


def _located(path: pathlib.Path, label: str) -> tuple[pathlib.Path, str, str]:
    """(file or prefix, kind, label) of what the user named."""
    try:
        file = tensorflow.latest(path, label) if path.is_dir() else path
        if file is None:
            raise UserError(f"{label}: a folder without a TensorFlow `checkpoint` file; name the checkpoint's file")
        if prefix := tensorflow.prefix_of(file):
            return prefix, kinds.TENSORFLOW, label
        if not file.exists():
            raise UserError(f"{label}: no such file; {_WANTED}")
        if not file.is_file():
            raise UserError(f"{label}: not a regular file; {_WANTED}")
        if file.stat().st_size == 0:
            raise UserError(f"{label}: an empty file; fetch it again")
        kind = kinds.kind_of(file, label)
    except OSError as error:
        raise UserError(f"{label}: cannot be read ({error.strerror})") from None
    if kind is None and tensorflow.is_part(file):
        raise UserError(f"{label}: a part of a TensorFlow checkpoint whose .index file is missing beside it")
    if kind is None:
        raise UserError(f"{label}: not a checkpoint of a known kind; {_WANTED}")
    return file, kind, label


def _only_checkpoint(folder: pathlib.Path, label: str) -> tuple[pathlib.Path, str]:
    """(file, kind) of the one checkpoint under `folder`; of several, the one that a `checkpoint` file names."""
    found: dict[pathlib.Path, str] = {}
    for file in sorted(folder.rglob("*")):
        if not file.is_file() or file.stat().st_size == 0:
            continue
        prefix = tensorflow.prefix_of(file)
        kind = kinds.TENSORFLOW if prefix else kinds.kind_of(file, f"{label} ({printable(file.relative_to(folder))})")
        if kind in _OPENERS:
            found[prefix or file] = kind
    latest = [tensorflow.latest(file.parent, label) for file in found] if len(found) > 1 else []
    named = {file for file in latest if file is not None}
    chosen = list(named if len(named) == 1 else found)
    if len(chosen) == 1:
        return chosen[0], found[chosen[0]]
    names = ", ".join(printable(file.relative_to(folder)) for file in found)
    raise UserError(
        f"{label}: holds several checkpoints ({printable(names)}); unpack it and name one"
        if found
        else f"{label}: an archive that holds no checkpoint; {_WANTED}"
    )
