"""Reads what torch.save wrote, in both of its containers, without running what a file asks for."""

import contextlib
import hashlib
import io
import mmap
import os
import pathlib
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from e2wsol.errors import UserError, some
from e2wsol.releases.formats import kinds, zips
from e2wsol.releases.formats.pickles import check_pickle, refusal
from e2wsol.releases.formats.source import OpenCheckpoint, dtype_as_read, printable, stripped_names

# Where training scripts put the state_dict, in place of the top level.
WRAPPERS = ("state_dict", "model", "net", "network", "model_state_dict")
# The old container: magic number, version, sizes of C types, the object, keys of its storages.
_OLD_PICKLES = 5
_SAFE_SINCE = (2, 6)  # CVE-2025-32434, in weights_only
# Tensors may share memory (tied weights); a file whose tensors claim more than that is made up.
_SHARED_AT_MOST = 4


@contextlib.contextmanager
def opened(file: pathlib.Path, label: str) -> Iterator[OpenCheckpoint]:
    """Yields the OpenCheckpoint of a PyTorch file; the zip container's values stay in the file until they are read."""
    kind = kinds.kind_of(file, label)
    _check_published_sum(file, label)
    if kind == kinds.PYTORCH:
        _check_zip(file, label)
    else:
        _check_old(file, label, kind)
    tensors, notes = _state_dict(_load(file, label, lazy=kind == kinds.PYTORCH), label)
    names = stripped_names(tensors, lambda name: name.removeprefix("module."), "module.", label)
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if claimed > _SHARED_AT_MOST * os.path.getsize(file):
        raise UserError(f"{label}: damaged; its tensors claim {claimed} bytes, far more than the file has")
    yield OpenCheckpoint(
        path=file,
        container="pytorch",
        kind=str(kind),
        shapes={name: tuple(tensors[original].shape) for name, original in names.items()},
        dtypes={name: dtype_as_read(_dtype(tensors[original])) for name, original in names.items()},
        notes=notes,
        fetch=lambda name: _to_numpy(tensors[names[name]]),
    )


def import_torch(label: Any, purpose: str) -> Any:
    """The module torch, which is optional; without it a UserError says that `purpose` needs it."""
    try:
        import torch
    except ImportError:
        raise UserError(f"{label}: a PyTorch file; {purpose} it needs PyTorch: pip install 'e2wsol[convert]'") from None
    release = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if release < _SAFE_SINCE:
        raise UserError(
            f"{label}: PyTorch {torch.__version__} can be made to run code of a file; 2.6 or later is needed: "
            "pip install 'e2wsol[convert]'"
        )
    return torch


def _check_published_sum(file: pathlib.Path, label: str) -> None:
    """PyTorch's published files carry the start of their SHA-256 in the name (resnet50-19c8e357.pth)."""
    expected = re.search(r"-([0-9a-f]{8})\.pth$", file.name)
    if not expected:
        return
    found = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            found.update(block)
    if not found.hexdigest().startswith(expected[1]):
        raise UserError(
            f"{label}: damaged or another file; its name says SHA-256 {expected[1]}..., "
            f"its content has {found.hexdigest()[:8]}...; fetch it again, or rename it"
        )


def _check_zip(file: pathlib.Path, label: str) -> None:
    """Checks the zip container's members and its pickle before PyTorch sees them."""
    size = os.path.getsize(file)
    with zips.damage_reported(label), zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if any("/code/" in name or name.endswith("/constants.pkl") for name in names):
            raise refusal(label, "a TorchScript archive")
        zips.check_members(archive, size, label, packed=False)
        # By entry: of two entries with one name, PyTorch may take the other.
        pickles = [archive.read(entry) for entry in archive.infolist() if entry.filename.endswith("/data.pkl")]
    for pickle in pickles:
        check_pickle(io.BytesIO(pickle), size, label)


def _check_old(file: pathlib.Path, label: str, kind: str | None) -> None:
    with open(file, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for _ in range(_OLD_PICKLES if kind == kinds.OLD_PYTORCH else 1):
            check_pickle(content, len(content), label, old=True)
    if kind == kinds.PICKLE:
        raise refusal(label, "a pickle that torch.save did not write")


def _load(file: pathlib.Path, label: str, lazy: bool) -> Any:
    torch = import_torch(label, "reading")
    left = os.path.getsize(file)

    def restore(storage, _):
        """Keeps a storage on the CPU, while all of them together fit the file."""
        nonlocal left
        left -= storage.nbytes()
        if left < 0:
            raise ValueError("the tensors claim more bytes than the file has")
        return storage

    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_scalars()):
            warnings.simplefilter("ignore")  # about old protocols: nothing that a user could change
            return torch.load(str(file), map_location=restore, weights_only=True, mmap=lazy)
    except Exception as error:  # torch.load raises whatever a damaged pickle makes it meet
        reason = str(error).rpartition("WeightsUnpickler error:")[2]
        raise UserError(
            f"{label}: damaged, or holds more than tensors ({printable(reason) or type(error).__name__})"
        ) from None


def _numpy_scalars() -> list[Any]:
    """What a NumPy number in a pickle is made of, under NumPy's names of before and after 2.0."""
    number: Any = np.float64(0)
    scalar = number.__reduce__()[0]
    names = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [*names, np.dtype, *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?"))]


def _state_dict(content: Any, label: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """({name: tensor}, names of the rest) of what a file holds, the tensors at its top level or in a wrapper."""
    if not isinstance(content, dict):
        raise UserError(f"{label}: holds a {type(content).__name__}, not tensors by name; save a state_dict")
    wrappers = [key for key in WRAPPERS if isinstance(content.get(key), dict) and _tensors(content[key])]
    if len(wrappers) > 1:
        raise UserError(f"{label}: holds several networks ({', '.join(wrappers)}); save the one state_dict alone")
    inner = content[wrappers[0]] if wrappers else content
    if not _tensors(inner):
        raise UserError(f"{label}: holds no tensors by name; its keys are {_some(content)}")
    rest = [key for key in content if key not in wrappers] if wrappers else []
    rest += [key for key in inner if key not in _tensors(inner)]
    return _tensors(inner), tuple(printable(key) for key in rest)


def _tensors(values: dict) -> dict[str, Any]:
    import torch

    return {
        name: value
        for name, value in values.items()
        if isinstance(name, str) and isinstance(value, torch.Tensor) and not value.is_complex()
    }


def _some(keys: Iterable[Any], limit: int = 6) -> str:
    keys = [printable(key, 40) for key in keys]
    return some(keys, limit) or "none"


def _dtype(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _to_numpy(tensor: Any) -> np.ndarray:
    # NumPy has no bfloat16 and no eighth-size floats.
    known = not tensor.is_floating_point() or _dtype(tensor) in ("float16", "float32", "float64")
    return (tensor if known else tensor.float()).numpy(force=True)
