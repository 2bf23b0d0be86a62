"""Checkpoints: a folder each, written whole, with checksums; `last` and `best` point at them.

checkpoints/step-00000120/model.keras     weights and architecture; loads anywhere Keras does
                          optimizer.npz   optimizer variables and random state
                          state.json      step, scores, checksums of the two
            last -> step-00000120, best -> step-00000080

Copies may have lost the links (rsync -r), or have folders in their place (cp -rL, rsync -L, zip): they are read as
well, and `mend_links` makes links of them before a run goes on.
"""

import json
import os
import pathlib
import shutil
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from e2wsol import files, model_files, terminal
from e2wsol.data.dataset import sha256
from e2wsol.errors import UserError

if TYPE_CHECKING:
    import keras

_FILES = ("model.keras", "optimizer.npz")


def save(
    folder: str | pathlib.Path,
    model: "keras.Model",
    optimizer: "keras.optimizers.Optimizer",
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
    temporary = files.temporary_path(folder / name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.remove_leftovers(folder, "step-*", "last", "best")
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
    folder: pathlib.Path, model: "keras.Model", optimizer: "keras.optimizers.Optimizer", state: Mapping[str, Any]
) -> None:
    model_files.save(model, folder / "model.keras")
    variables = _extra_variables(model, optimizer)
    values: dict[str, Any] = {f"{index:05d}": np.asarray(value) for index, value in enumerate(variables)}
    np.savez(folder / "optimizer.npz", **values)
    checksums = {name: sha256(folder / name) for name in _FILES}
    (folder / "state.json").write_text(json.dumps({**state, "sha256": checksums}, indent=1) + "\n", encoding="utf-8")


def _extra_variables(model: "keras.Model", optimizer: "keras.optimizers.Optimizer") -> list[Any]:
    """What a .keras file leaves out: optimizer variables, and the state of random layers."""
    weights = {id(variable) for variable in model.weights}
    random_state = [variable for variable in model.variables if id(variable) not in weights]
    return [*optimizer.variables, *random_state]


def _point(link: pathlib.Path, name: str) -> None:
    temporary = files.temporary_path(link)
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(name)
    os.replace(temporary, link)


def _remove_old(folder: pathlib.Path, newest: str) -> None:
    """Keeps the newest checkpoint, the one before it, and the best."""
    steps = sorted(path.name for path in folder.glob("step-*"))
    kept = {newest, *steps[-2:]}
    if (folder / "best").exists():
        kept.add((folder / "best").resolve().name)
    for name in set(steps) - kept:
        shutil.rmtree(folder / name)


def mend_links(folder: str | pathlib.Path) -> None:
    """Makes `last` and `best` links again in a copy that has folders in their place, or nothing.

    A folder whose step the copy lacks becomes that step.
    """
    folder = pathlib.Path(folder)
    best = folder / "best"
    if (folder / "last").is_symlink() and (best.is_symlink() or not best.exists()):
        return
    for link in (folder / "last", best):
        if link.is_dir() and not link.is_symlink() and _intact(link):
            step = folder / f"step-{read_state(link)['step']:08d}"
            if not step.exists():
                link.rename(step)
    for link, target in ((folder / "last", last(folder)), (best, _best(folder))):
        if target is not None and not link.is_symlink():
            _clear_away(link)
            _point(link, target.name)


def _clear_away(path: pathlib.Path) -> None:
    if path.is_dir():
        moved = files.temporary_path(path)  # a killed process leaves no half folder
        path.rename(moved)
        shutil.rmtree(moved)
    else:
        path.unlink(missing_ok=True)


def model_file(folder: str | pathlib.Path) -> pathlib.Path | None:
    """The model of the best checkpoint in the folder, of the last where no validation chose one; None without any."""
    folder = pathlib.Path(folder)
    ways: tuple[Callable[[], pathlib.Path | None], ...] = (
        lambda: folder / "best",
        lambda: folder / "last",
        lambda: _best(folder),
        lambda: last(folder),
    )
    for find in ways:
        place = find()
        if place and (place / "model.keras").exists():
            return place / "model.keras"
    return None


def _best(folder: pathlib.Path) -> pathlib.Path | None:
    """The best checkpoint by what their states say: the first of those that know of the highest score."""
    scores = {path: read_state(path).get("best") for path in sorted(folder.glob("step-*")) if _intact(path)}
    known = {path: score for path, score in scores.items() if score is not None}
    return max(known, key=known.__getitem__) if known else None


def check(model: str | pathlib.Path) -> None:
    """Compares a file of a checkpoint with its checksum; a file that is in none passes.

    Raises:
      UserError: they differ, or the checkpoint's state cannot be read.
    """
    model = pathlib.Path(model)
    if not (model.parent / "state.json").is_file():
        return
    way_out = "take another checkpoint, or copy the run again"
    try:
        expected = read_state(model.parent).get("sha256", {}).get(model.name)
    except (ValueError, AttributeError) as error:
        raise UserError(f"{model.parent / 'state.json'}: damaged ({error}); {way_out}") from None
    if expected is not None and sha256(model) != expected:
        raise UserError(f"{model}: damaged, its checksum is not that in state.json; {way_out}")


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


def restore(path: str | pathlib.Path, model: "keras.Model", optimizer: "keras.optimizers.Optimizer") -> dict[str, Any]:
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
