"""Checkpoints: a folder each, written whole, with checksums; `last` and `best` point at them.

checkpoints/step-00000120/model.keras     weights and architecture; loads anywhere Keras does
                          optimizer.npz   optimizer variables and random state
                          state.json      step, scores, checksums of the two
            last -> step-00000120, best -> step-00000080
"""

import json
import os
import pathlib
import shutil
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from e2wsol import files, model_files, terminal
from e2wsol.data.dataset import sha256
from e2wsol.errors import UserError

_FILES = ("model.keras", "optimizer.npz")


def save(
    folder: str | pathlib.Path,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    state: Mapping[str, Any],
    *,
    best: bool = False,
) -> None:
    """Writes a checkpoint and points `last`, and with `best` also `best`, at it.

    Args:
      folder: the run's checkpoint folder.
      model: the method.
      optimizer: its built optimizer.
      state: JSON-ready dict with at least "step".
      best: whether this is the best so far.

    Raises:
      UserError: the disk is full or not writable; the checkpoints before stay as they were.
    """
    folder = pathlib.Path(folder)
    name = f"step-{state['step']:08d}"
    temporary = folder / f".tmp-{name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.remove_leftovers(folder)
        temporary.mkdir()
        _write(temporary, model, optimizer, state)
        shutil.rmtree(folder / name, ignore_errors=True)
        os.replace(temporary, folder / name)
        for link in ("last", "best")[: 1 + best]:
            _point(folder / link, name)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        kept = last(folder)
        raise UserError(
            f"{folder / name}: checkpoint cannot be written ({error.strerror or error}); "
            + (f"{kept} stays good" if kept else "there is none before it")
        ) from None
    _remove_old(folder, name)


def _write(
    folder: pathlib.Path, model: keras.Model, optimizer: keras.optimizers.Optimizer, state: Mapping[str, Any]
) -> None:
    model_files.save(model, folder / "model.keras")
    variables = _extra_variables(model, optimizer)
    values: dict[str, Any] = {f"{index:05d}": np.asarray(value) for index, value in enumerate(variables)}
    np.savez(folder / "optimizer.npz", **values)
    checksums = {name: sha256(folder / name) for name in _FILES}
    (folder / "state.json").write_text(json.dumps({**state, "sha256": checksums}, indent=1) + "\n", encoding="utf-8")


def _extra_variables(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """What a .keras file leaves out: optimizer variables, and the state of random layers."""
    weights = {id(variable) for variable in model.weights}
    random_state = [variable for variable in model.variables if id(variable) not in weights]
    return [*optimizer.variables, *random_state]


def _point(link: pathlib.Path, name: str) -> None:
    temporary = link.with_name(f".tmp-{link.name}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(name)
    os.replace(temporary, link)


def _remove_old(folder: pathlib.Path, newest: str) -> None:
    """Keeps the newest checkpoint, the one before it, and the best."""
    steps = sorted(path.name for path in folder.glob("step-*"))
    kept = {newest, *steps[-2:]}
    if (folder / "best").exists():
        kept.add(os.readlink(folder / "best"))
    for name in set(steps) - kept:
        shutil.rmtree(folder / name)


def last(folder: str | pathlib.Path) -> pathlib.Path | None:
    """Path of the last good checkpoint, None when there is none. A damaged one is passed over."""
    folder = pathlib.Path(folder)
    for path in sorted(folder.glob("step-*"), reverse=True):
        if _intact(path):
            return path
        terminal.note(f"{path}: damaged checkpoint, passed over")
    return None


def _intact(path: pathlib.Path) -> bool:
    try:
        checksums = read_state(path)["sha256"]
        return all(sha256(path / name) == checksums[name] for name in _FILES)
    except Exception:  # whatever a damaged state.json makes it meet
        return False


def read_state(path: str | pathlib.Path) -> dict[str, Any]:
    """The state.json of a checkpoint."""
    return json.loads(files.read_text(pathlib.Path(path) / "state.json"))


def restore(path: str | pathlib.Path, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Fills model and optimizer from the checkpoint at `path` and returns its state.

    Raises:
      UserError: the checkpoint is of another network.
    """
    path = pathlib.Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras warns of layers that it leaves unfilled
            model.load_weights(path / "model.keras")
    except (ValueError, UserWarning) as error:
        raise UserError(f"{path}: checkpoint of another network ({str(error).splitlines()[0]})") from None
    with np.load(path / "optimizer.npz", allow_pickle=False) as archive:
        values = [archive[name] for name in sorted(archive.files)]
    variables = _extra_variables(model, optimizer)
    if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
        raise UserError(f"{path / 'optimizer.npz'}: {len(values)} variables, the optimizer has {len(variables)}")
    for variable, value in zip(variables, values):
        variable.assign(value)
    return read_state(path)
