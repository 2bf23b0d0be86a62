"""A trained localizer with all that belongs to it: `e2wsol.load`.

Model, class names, view of an image, box protocol and threshold of a run are looked up here and nowhere else: every
command and the Python API ask the same object, so they cannot come to different boxes.
"""

import e2wsol.installed_keras  # noqa: F401  # isort: skip


import dataclasses
import functools
import json
import pathlib
import typing
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

from e2wsol import compute, files, model_files, quiet_tensorflow, reading
from e2wsol.config import from_arguments, from_mapping, to_mapping
from e2wsol.data import dataset
from e2wsol.data.dataset import Dataset
from e2wsol.data.views import PipelineOptions
from e2wsol.errors import ArgumentError, UserError
from e2wsol.localization import protocols
from e2wsol.localization.protocols import BoxOptions, BoxProtocol
from e2wsol.localization.refine import RefineOptions
from e2wsol.localizers import Localizer, LocalizerOptions
from e2wsol.methods import Method
from e2wsol.prediction import saved_model
from e2wsol.prediction.predictors import OBJECT, MethodPredictor, Predicting
from e2wsol.prediction.saved_model import ExportedModel
from e2wsol.training import checkpoints
from e2wsol.training.run_folder import RunFolder
from e2wsol.training.thresholds import GIVEN, PROTOCOL, RUN_FLAG, ThresholdChoice

_CHOSEN_AT = "0.5"  # IoU threshold at which evaluate's choice is taken


def load(path: str | pathlib.Path | Method, *, precision: str = "float32") -> "TrainedRun | ExportedModel":
    """Loads a trained localizer.

    Args:
      path: a run folder of e2wsol.train (its best checkpoint), a `.keras` file, or the folder of a SavedModel that
        e2wsol.export wrote; or a method in memory, after `fit`. A SavedModel is a program, which can read and write
        files: load only those that you trust. The other two hold no code.
      precision: "float32", "mixed_bfloat16" or "mixed_float16", what the network computes in; fixed in a SavedModel.

    Returns:
      TrainedRun, or ExportedModel for a SavedModel; both have `predict`, `class_names`, `protocol` and `threshold`.

    Raises:
      UserError: there is no model, or it cannot be read.

    Example:
      >>> run = e2wsol.load("runs/x")
      >>> found = run.predict("photo.jpg")
      >>> found.class_name in run.class_names, 0 <= found.score <= 1, len(found.box)
      (True, True, 4)
    """
    if isinstance(path, Method):
        return TrainedRun(None, model=path)
    path = pathlib.Path(path)
    if not path.exists():
        raise ArgumentError("model", path, "no such file or folder")
    if (path / saved_model.FILE_NAME).is_file():
        return ExportedModel(path)
    return TrainedRun.at(path, computing=compute.ComputeOptions(precision=precision))


def load_model(path: str | pathlib.Path) -> Method:
    """The method saved at `path` (.keras).

    Raises:
      UserError: no such file, or not a method of this library.
    """
    path = pathlib.Path(path)
    folder = path.parent.resolve()
    try:
        return _read_model(path, folder / path.name)
    except UserError:
        if path.parent.resolve() == folder:
            raise
        return load_model(path)  # a training has pointed best or last at its next checkpoint meanwhile


def _read_model(path: pathlib.Path, file: pathlib.Path) -> Method:
    """The method in `file`, which messages call `path`."""
    checkpoints.check(file)
    _check_archive(file)
    model = model_files.load(file, "cannot be loaded as a .keras model")
    if not isinstance(model, Method):
        raise UserError(f"{path}: a {type(model).__name__}, not a localization method of e2wsol")
    return model


def _check_archive(path: pathlib.Path) -> None:
    """Raises a UserError where a .keras file is cut or changed: Keras itself does not look at all checksums."""
    if path.suffix != ".keras" or not path.is_file():
        return  # Keras says what is wrong
    with reading.guarded(path, "damaged, or no .keras file", "; copy it again"), zipfile.ZipFile(path) as archive:
        bad = archive.testzip()
    if bad:
        raise UserError(f"{path}: damaged, the checksum of {bad} in it is wrong; copy it again")


def protocol_of(model: Method, box: BoxOptions | None = None, flags: Mapping[str, Any] | None = None) -> BoxProtocol:
    """The BoxProtocol of a method, with its threshold.

    Args:
      model: the method, whose own protocol comes last.
      box: what was asked for; what it leaves open comes from the run.
      flags: the run's flags; None for those that the model itself keeps.
    """
    box, flags = box or BoxOptions(), flags or to_mapping(model.box)
    protocol = protocols.get(box.protocol or flags.get("protocol") or model.protocol)
    threshold = box.threshold
    if threshold < 0 and not box.protocol:  # the run's threshold belongs to the run's protocol
        threshold = flags.get("threshold", -1.0)
    protocol = protocols.of_logits(protocol) if model.maps_are_logits else protocol
    return protocol if threshold < 0 else dataclasses.replace(protocol, default_threshold=threshold)


class TrainedRun(Predicting):
    """A run of e2wsol.train, or a lone `.keras` file.

    Attributes:
      folder: RunFolder; None for a lone file.
      model_file: path of the `.keras` file; None for a model in memory.
      flags: the run's flags; empty for a lone file.
    """

    def __init__(
        self,
        model_file: pathlib.Path | None,
        folder: RunFolder | None = None,
        *,
        model: Method | None = None,
        computing: compute.ComputeOptions | None = None,
    ):
        self.model_file, self.folder = model_file, folder
        self.flags: dict[str, Any] = folder.flags() if folder else {}
        self._computing = computing or compute.ComputeOptions()
        self._localizers: dict[LocalizerOptions, Localizer] = {}
        self._predictors: dict[Any, MethodPredictor] = {}
        if model is not None:
            self.model = model

    @classmethod
    def at(cls, path: str | pathlib.Path, *, computing: compute.ComputeOptions | None = None) -> "TrainedRun":
        """The run of a folder, or of a `.keras` file, which may lie in a run folder's checkpoints."""
        path = pathlib.Path(path)
        if path.is_dir():
            if not RunFolder(path).flags_file.is_file():
                raise ArgumentError(
                    "model", path, f"neither a run folder (no flags.json) nor a SavedModel (no {saved_model.FILE_NAME})"
                )
            return cls.in_folder(path, computing=computing)
        around = path.absolute().parents
        folder = RunFolder(around[2]) if len(around) > 2 and around[1].name == "checkpoints" else None
        return cls(path, folder if folder and folder.flags_file.is_file() else None, computing=computing)

    @classmethod
    def in_folder(
        cls, path: str | pathlib.Path, *, checkpoint: str = "", computing: compute.ComputeOptions | None = None
    ) -> "TrainedRun":
        """The run of a folder.

        Args:
          path: a run folder of e2wsol.train.
          checkpoint: a `.keras` file to take instead of its best checkpoint, or its last without validation.
          computing: how its network computes.

        Raises:
          UserError: no run folder, or no checkpoint in it yet.
        """
        folder = RunFolder(path)
        folder.flags()  # first of all: a path that is no run
        return cls(pathlib.Path(checkpoint or folder.model_file()), folder, computing=computing)

    @property
    def run_folder(self) -> RunFolder:
        """`folder` of a run that has one.

        Raises:
          ArgumentError: a lone model.
        """
        if self.folder is None:
            raise ArgumentError("run_dir", self.model_file, "a lone model; give the folder of a run")
        return self.folder

    @functools.cached_property
    def model(self) -> Method:
        """The trained method, loaded when it is first asked for."""
        compute.use(self._computing)
        return load_model(typing.cast(pathlib.Path, self.model_file))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in label order, of the run or its model, else numbers as text; ("object",) where no class is known.

        Raises:
          UserError: the run's data set has another number of classes than the model.
        """
        if not self.model.classifies:
            return OBJECT
        count = self.model.num_classes
        if self.folder is None:
            return self.model.class_names or tuple(map(str, range(count)))
        names = tuple(self.folder.classes())
        if len(names) != count:
            raise UserError(f"{self.model_file}: the model has {count} classes, its data set names {len(names)}")
        return names

    @property
    def view(self) -> PipelineOptions:
        """How images came to the network in training and come to it in evaluation."""
        return from_mapping(PipelineOptions, self.flags)

    @property
    def resize_filter(self) -> str:
        """How images are resized: as the run's pictures were in training, or as its model says where it has no folder.

        One of views.RESIZE_FILTERS.
        """
        return self.view.resize_filter if self.folder else self.model.resize_filter

    def box_protocol(self, box: BoxOptions | None = None) -> BoxProtocol:
        """The run's BoxProtocol, `box` where that says otherwise, without what evaluate chose."""
        return protocol_of(self.model, box, self.flags)

    def chosen_protocol(
        self, box: BoxOptions | None = None, localizer: str = ""
    ) -> tuple[BoxProtocol, ThresholdChoice]:
        """The BoxProtocol that boxes are made with, its default threshold the one to use, and where that is from.

        A given threshold comes first, then the one that e2wsol.evaluate chose on a split that it did not score (for
        GT-known Loc at IoU 0.5, under the same protocol), then the run's flag, then the protocol's.

        Args:
          box: what was asked for.
          localizer: name of a Localizer's maps, such as "gradcam/conv5_3"; empty for the method's own.
        """
        box = box or BoxOptions()
        protocol = self.box_protocol(box)
        if box.threshold >= 0:
            return protocol, ThresholdChoice(box.threshold, GIVEN)
        chosen = self._evaluated_threshold(protocol.name, localizer)
        if chosen is not None:
            return dataclasses.replace(protocol, default_threshold=chosen.value), chosen
        of_run = not box.protocol and (self.flags or to_mapping(self.model.box)).get("threshold", -1.0) >= 0
        source = ((not self.folder and self.model.threshold_from) or RUN_FLAG) if of_run else PROTOCOL
        return protocol, ThresholdChoice(protocol.default_threshold, source)

    @property
    def protocol(self) -> str:
        """Name of the box protocol."""
        return self.box_protocol().name

    @property
    def threshold(self) -> float:
        """The threshold that boxes are made with unless another is asked for, see `chosen_protocol`."""
        return self.chosen_protocol()[1].value

    @property
    def threshold_from(self) -> str:
        """Where `threshold` comes from."""
        return self.chosen_protocol()[1].source

    def _evaluated_threshold(self, protocol: str, localizer: str) -> ThresholdChoice | None:
        if self.folder is None:
            return None
        if choice := self.folder.thresholds.chosen(protocol, localizer):
            return choice
        # Of an evaluation that is older than thresholds.json.
        file = self.folder.path / "localizers" / localizer / "result.json" if localizer else self.folder.result_file
        if not file.is_file():
            return None
        with reading.guarded(file, "not a result of python -m e2wsol.evaluate", "; evaluate again"):
            result = json.loads(files.read_text(file))
            thresholds = result["thresholds"]["validation"]
            if thresholds is None or result["protocol"] != protocol:
                return None
            return ThresholdChoice(float(thresholds[_CHOSEN_AT]), f"chosen on split {result['threshold_split']}")
        return None  # never reached: for type checkers, since a context may swallow an error

    def records(self, data_dir: str = "", on_bad_record: str = "error") -> Dataset:
        """The records to use the run on.

        Args:
          data_dir: folder of records; empty for those of the training.
          on_bad_record: "skip" lets damaged shards pass.

        Raises:
          UserError: no records, or records of other classes than the run's.
        """
        info = dataset.load(data_dir or self._trained_on(), on_bad_record=on_bad_record)
        if self.folder and list(info.classes) != self.folder.classes():
            raise ArgumentError(
                "data_dir", info.folder, f"other classes than those of the run ({self.folder.dataset_file})"
            )
        return info

    def _trained_on(self) -> str:
        """The folder of records that the run was trained on: as its flags say, from here or from where it was made.

        Raises:
          ArgumentError: it is in neither place.
        """
        recorded = self.view.data_dir
        places = [pathlib.Path(recorded).absolute()]
        run_dir = pathlib.Path(self.flags.get("run_dir", ""))
        here = self.folder.path.resolve() if self.folder else pathlib.Path()
        depth = len(run_dir.parts)
        if depth and not run_dir.is_absolute() and here.parts[-depth:] == run_dir.parts:
            places.append(pathlib.Path(*here.parts[:-depth]) / recorded)
        for place in places:
            if recorded and (place / dataset.FILE_NAME).exists():
                return recorded if place == places[0] else str(place)
        looked = " and ".join(str(place / dataset.FILE_NAME) for place in dict.fromkeys(places))
        problem = f"the run was trained on {recorded}, but there is no {looked}" if recorded else "the run names none"
        raise ArgumentError("data_dir", None, f"{problem}; give the folder of the records")

    def localizer(self, options: LocalizerOptions) -> Localizer:
        """The model under other localizers than its own maps; made once for the same options."""
        if options not in self._localizers:
            self._localizers[options] = Localizer(self.model, options)
        return self._localizers[options]

    def predictor(
        self,
        *,
        top_k: int = 1,
        protocol: str = "",
        threshold: float = -1.0,
        jit: bool = False,
        localizer: LocalizerOptions | str | Iterable[str] = (),
        refine: str = "none",
        **localizer_settings: Any,
    ) -> MethodPredictor:
        """A predictor of single batches.

        Args:
          top_k: classes to localize for each image.
          protocol: box protocol; empty for the run's.
          threshold: in [0, 1]; -1 for the run's, see `chosen_protocol`.
          jit: whether XLA compiles the network.
          refine: how the image's colours move boxes: "none", "grabcut" or "auto", see RefineOptions.
          localizer: a localizer, such as "gradcam", in place of the method's own maps.
          localizer_settings: its further settings, the fields of LocalizerOptions, such as layer="conv5_3".

        Raises:
          UserError: an unknown protocol, localizer or layer.
        """
        options = localizer
        if not isinstance(options, LocalizerOptions):
            given = {"localizer": localizer, **localizer_settings} if localizer or localizer_settings else {}
            options = from_arguments(LocalizerOptions, given)
        options.check()
        model: Any = self.model
        if options.localizer:
            model = self.localizer(options)
            model.check_single()
        rules, choice = self.chosen_protocol(
            BoxOptions(protocol=protocol, threshold=threshold), model.names[0] if options.localizer else ""
        )
        about: dict[str, Any] = {
            "protocol": rules.name,
            "threshold": choice.value,
            "threshold_from": choice.source,
        }
        about |= {} if refine == "none" else {"refine": refine}
        key = (options, rules, top_k, jit, refine)  # graphs are made once, however often `predict` is called
        if key not in self._predictors:
            self._predictors[key] = MethodPredictor(
                model,
                rules,
                self.class_names,
                top_k=top_k,
                jit=jit,
                resize_filter=self.resize_filter,
                refined=refine,
            )
        self._predictors[key].about = about
        return self._predictors[key]

    def save(self, path: str | pathlib.Path) -> None:
        """Writes one `.keras` file that knows class names, protocol, threshold and resizing, for `load` anywhere.

        Args:
          path: the file, ending in .keras.
        """
        protocol, choice = self.chosen_protocol()
        kept = ("class_names", "box", "resize_filter", "threshold_from")
        before = {name: getattr(self.model, name) for name in kept}
        self.model.resize_filter = self.resize_filter
        self.model.class_names = self.class_names if self.model.classifies else None
        self.model.box = BoxOptions(protocol=protocol.name, threshold=choice.value)
        self.model.threshold_from = choice.source
        try:
            with files.replacing(path) as temporary:
                model_files.save(self.model, temporary)
        finally:
            for name, value in before.items():
                setattr(self.model, name, value)

    def export(
        self,
        output: str | pathlib.Path = "",
        *,
        protocol: str = "",
        threshold: float = -1.0,
        replace: bool = False,
    ) -> pathlib.Path:
        """Writes the localizer as a SavedModel that needs no e2wsol; see e2wsol.export for its signature.

        Args:
          output: its folder; empty for `export` in the run folder.
          protocol: as for `predictor`.
          threshold: likewise.
          replace: whether an earlier export in the folder may go.

        Returns:
          The folder.

        Raises:
          UserError: the folder holds an earlier export and `replace` is not set, or files that are in the way; or a
            lone file has none.
        """
        if output:
            folder = pathlib.Path(output)
        elif self.folder:
            folder = self.folder.path / "export"
        else:
            raise ArgumentError("output", None, "is missing: a lone .keras file has no run folder to export into")
        rules, choice = self.chosen_protocol(BoxOptions(protocol=protocol, threshold=threshold))
        record = {
            "method": self.model.key,
            "checkpoint": str(self.model_file),
            "protocol": rules.name,
            "threshold": choice.value,
            "threshold_from": choice.source,
            "image_size": self.model.image_size,
            "resize_filter": self.resize_filter,
            "classes": self.class_names,
        }
        saved_model.write(self.model, rules, folder, record, resize_filter=self.resize_filter, replace=replace)
        return folder

    def evaluate(
        self, data_dir: str = "", *, protocol: str = "", threshold: float = -1.0, refine: str = "none", **settings: Any
    ) -> dict[str, Any]:
        """Scores the run's boxes on annotated records, as `python -m e2wsol.evaluate` does.

        Args:
          data_dir: folder of records; empty for those of the training.
          protocol: box protocol; empty for the run's.
          threshold: in [0, 1]; -1 for the run's or the protocol's, which result.json calls the protocol's.
          refine: "grabcut" or "auto" scores boxes that colours move too, in rows of their own.
          settings: further options of e2wsol.evaluate by their names, such as split="test".

        Returns:
          What result.json holds; it is written into the run folder, and `predict` uses the threshold in it.
        """
        quiet_tensorflow.require("evaluate")
        from e2wsol.evaluation.of_run import EvaluateOptions, evaluate_run

        options = from_arguments(EvaluateOptions, {"data_dir": data_dir, **settings})
        box = from_arguments(BoxOptions, {"protocol": protocol, "threshold": threshold})
        refining = from_arguments(RefineOptions, {"refine": refine})
        return evaluate_run(self, options, box, computing=self._computing, refining=refining)[0]
