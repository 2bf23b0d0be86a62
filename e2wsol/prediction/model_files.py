"""From what a --model flag names to the file of a model and to its class names."""

import dataclasses
import json
import pathlib

from e2wsol.errors import UserError
from e2wsol.training.run_folder import RunFolder

_SAVED_MODEL = "saved_model.pb"
_EXPORT_RECORD = "e2wsol.json"


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """Where a model is.

    Attributes:
      path: a .keras file, or the folder of a SavedModel.
      flags: mapping of the flags of the run that it belongs to; empty when there is none.
      classes: class names in label order; None when they are not known.
      about: what predictions say about an exported model: its protocol and threshold.
    """

    path: pathlib.Path
    flags: dict = dataclasses.field(default_factory=dict)
    classes: tuple | None = None
    about: dict = dataclasses.field(default_factory=dict)

    @property
    def is_saved_model(self):
        return self.path.is_dir()

    def class_names(self, num_classes):
        """The names of the model's classes in label order; the indices as text where none are known.

        Raises:
          UserError: the names are not `num_classes`.
        """
        if self.classes is None:
            return tuple(map(str, range(num_classes)))
        if len(self.classes) != num_classes:
            raise UserError(f"{self.path}: the model has {num_classes} classes, its data set names {len(self.classes)}")
        return self.classes


def find(path):
    """Finds the model that `path` means: a run folder (its best checkpoint), a .keras file or a SavedModel.

    Raises:
      UserError: there is none.
    """
    if not path:
        raise UserError("--model is missing: give a run folder, a .keras file or an exported SavedModel folder")
    path = pathlib.Path(path)
    if not path.exists():
        raise UserError(f"--model={path}: no such file or folder")
    if (path / _SAVED_MODEL).is_file():
        return _exported(path)
    if path.is_dir():
        run = RunFolder(path)
        if not run.flags_file.is_file():
            raise UserError(
                f"--model={path}: neither a run folder (no flags.json) nor a SavedModel (no {_SAVED_MODEL})"
            )
        return _of_run(run, run.model_file())
    run = RunFolder(path.absolute().parents[2]) if path.absolute().parents[1].name == "checkpoints" else None
    return _of_run(run, path) if run and run.flags_file.is_file() else ModelFile(path)


def _of_run(run, path):
    return ModelFile(path, run.flags(), tuple(run.classes()))


def _exported(folder):
    file = folder / _EXPORT_RECORD
    if not file.is_file():
        return ModelFile(folder)
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        about = {"protocol": record["protocol"], "threshold": record["threshold"]}
        return ModelFile(folder, classes=tuple(record["classes"]), about=about)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: not the record of an export ({error}); export the model again") from None
