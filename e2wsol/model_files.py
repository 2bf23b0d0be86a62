"""From what a --model flag names to a model: run folders, .keras files, exported SavedModels."""

import pathlib
import zipfile

import keras

from e2wsol import methods
from e2wsol.data import dataset
from e2wsol.errors import UserError

_CHECKPOINTS = ("checkpoints/best/model.keras", "checkpoints/last/model.keras")
_SAVED_MODEL = "saved_model.pb"


def is_saved_model(path):
    """Whether `path` is the folder of an exported SavedModel."""
    return (pathlib.Path(path) / _SAVED_MODEL).is_file()


def checkpoint_file(path):
    """The .keras file that `path` means: itself, or a run folder's best checkpoint (else its last).

    Raises:
      UserError: there is none.
    """
    if not path:
        raise UserError("--model is missing: give a run folder, a .keras file or an exported SavedModel folder")
    path = pathlib.Path(path)
    if path.is_file():
        return path
    if not path.exists():
        raise UserError(f"--model={path}: no such file or folder")
    for name in _CHECKPOINTS:
        if (path / name).is_file():
            return path / name
    raise UserError(f"--model={path}: neither {_CHECKPOINTS[0]} (a run folder) nor {_SAVED_MODEL} (a SavedModel) in it")


def load_method(file):
    """The method (a keras.Model, see methods.base) that a .keras file holds.

    Raises:
      UserError: the file is damaged, no .keras file, or holds another kind of model.
    """
    try:
        model = keras.saving.load_model(file, compile=False)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{file}: no readable .keras model ({reason})") from None
    if not isinstance(model, methods.Method):
        raise UserError(f"{file}: holds a {type(model).__name__}; expected a localization method saved by e2wsol.train")
    return model


def class_names(path, num_classes):
    """Class names in label order for a model file or SavedModel folder; the indices where none are known.

    They stand in dataset.json of the run folder that the model lies in, or beside the model.

    Args:
      path: a .keras file or a SavedModel folder.
      num_classes: C of the model.

    Returns:
      tuple of C names.

    Raises:
      UserError: dataset.json is broken or has another number of classes.
    """
    path = pathlib.Path(path).absolute()
    folders = [path, path.parent]
    if path.parent.parent.name == "checkpoints":
        folders.append(path.parent.parent.parent)
    file = next((folder / dataset.FILE_NAME for folder in folders if (folder / dataset.FILE_NAME).is_file()), None)
    if file is None:
        return tuple(map(str, range(num_classes)))
    names = dataset.read_document(file).get("classes", [])
    if len(names) != num_classes:
        raise UserError(f"{file}: lists {len(names)} classes, but the model {path} has {num_classes}")
    return tuple(names)
