"""Trained localizers as SavedModels that take plain images and give boxes: written, and run, both by TensorFlow."""

import copy
import dataclasses
import functools
import json
import os
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from e2wsol import files, quiet_tensorflow, reading
from e2wsol.data.views import BILINEAR
from e2wsol.errors import ArgumentError, UserError, choose
from e2wsol.localization import protocols, refine
from e2wsol.localization.protocols import BoxProtocol
from e2wsol.owned_files import OwnedFolder
from e2wsol.prediction.classifier import require_finite
from e2wsol.prediction.predictors import OBJECT, Localization, Predicting, refined

FILE_NAME = "saved_model.pb"
RECORD = "e2wsol.json"
_MOST_BYTES = 2 << 30  # no protocol buffer is larger, and TensorFlow crashes on such a file
_OUTPUTS = {"map", "box"}
_NAMES = (FILE_NAME, RECORD, "fingerprint.pb", "variables/variables.index", "variables/variables.data-00000-of-00001")


def write(
    model: Any,
    protocol: BoxProtocol,
    output: str | pathlib.Path,
    record: dict[str, Any],
    *,
    resize_filter: str = BILINEAR,
    replace: bool = False,
) -> None:
    """Writes the SavedModel of a method with `record` as e2wsol.json beside it.

    Args:
      model: Method.
      protocol: BoxProtocol; its default threshold is built in.
      output: its folder; other files in it stay.
      record: JSON-ready; what `read_record` gives.
      resize_filter: how the graph resizes images, one of views.RESIZE_FILTERS.
      replace: whether an earlier export in the folder may go.

    Raises:
      ArgumentError: the folder holds an earlier export and `replace` is not set, or files that are in the way; or
        another process exports into it.
      UserError: Keras does not run on TensorFlow.
    """
    quiet_tensorflow.require("export")
    import tensorflow as tf

    folder = OwnedFolder(output, "export")
    with folder.held():
        folder.check(_NAMES, replace=replace)
        module = _exported(model, protocol, resize_filter)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=folder.path) as temporary:
            signatures = {"serving_default": module.predict, "image_bytes": module.predict_bytes}
            tf.saved_model.save(module, temporary, signatures=signatures)
            files.write_text(pathlib.Path(temporary, RECORD), json.dumps(record, indent=1) + "\n")
            paths = [path for path in pathlib.Path(temporary).rglob("*") if path.is_file()]
            made = {path.relative_to(temporary).as_posix(): path for path in paths}
            folder.check(made, replace=replace)
            folder.clear()
            for name in sorted(made, key=lambda name: name == FILE_NAME):  # that by which it is known comes last
                folder.take(name, made[name])


def _exported(model: Any, protocol: BoxProtocol, resize_filter: str) -> Any:
    """A method and its box extraction as one graph: a tf.Module with `predict` and `predict_bytes`."""
    import tensorflow as tf

    from e2wsol.data import encoded_images, pipeline
    from e2wsol.localization.graph import extract_boxes

    size = model.image_size

    def localized(views, image_sizes):
        """Of views uint8 (B, S, S, 3) of images of (height, width) int32, (B, 2) or (2,)."""
        logits, maps = model.localize(views)
        score_maps, boxes = extract_boxes(maps, size=size, threshold=protocol.default_threshold, protocol=protocol)
        sides = tf.cast(tf.gather(image_sizes, [1, 0, 1, 0], axis=-1), tf.float64)
        boxes = tf.clip_by_value(tf.cast(boxes, tf.float64) * sides / size, 0.0, sides)
        classes = {} if logits is None else {"logits": logits, "probabilities": tf.nn.softmax(logits)}
        return {**classes, "map": tf.cast(score_maps, tf.float32), "box": tf.cast(boxes, tf.float32)}

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, name="images")])
    def predict(images):
        """uint8 RGB (B, H, W, 3) -> dict of logits, probabilities (of a classifier), map and box (in pixels)."""
        return localized(pipeline.whole_view(images, size, resize_filter), tf.shape(images)[1:3])

    def decoded(data):
        image = encoded_images.decode(data)
        return pipeline.whole_view(image, size, resize_filter), tf.shape(image)[:2]

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])
    def predict_bytes(image_bytes):
        """The bytes of JPEG and PNG files (B,) of any sizes -> the same, of the upright pictures, and their sizes."""
        signature = tf.TensorSpec((size, size, 3), tf.uint8), tf.TensorSpec((2,), tf.int32)
        views, image_sizes = tf.map_fn(decoded, image_bytes, fn_output_signature=signature)
        return {**localized(views, image_sizes), "image_size": image_sizes[:, ::-1]}

    module = tf.Module()
    module.model, module.predict, module.predict_bytes = model, predict, predict_bytes
    return module


def read_record(folder: pathlib.Path) -> dict[str, Any]:
    """What e2wsol.json says of an exported model: "protocol", "threshold", "classes" and more; empty without one.

    Raises:
      UserError: it is not the record of an export.
    """
    file = folder / RECORD
    if not file.is_file():
        return {}
    with reading.guarded(file, "not the record of an export", "; export the model again"):
        record = json.loads(files.read_text(file))
        classes = tuple(record["classes"])
        texts = [*classes, record["protocol"], record.get("threshold_from", "")]
        if not all(isinstance(text, str) for text in texts) or not 0 <= float(record.get("threshold", 0)) <= 1:
            raise ValueError("a value of another kind")
        return {**record, "classes": classes, "protocol": record["protocol"]}
    return {}  # never reached: for type checkers, since a context may swallow an error


class SavedModelPredictor:
    """Runs an exported SavedModel, which resizes and extracts its boxes itself.

    Args:
      folder: of the SavedModel.
      class_names: names of its classes; None for their numbers.
      protocol: BoxProtocol that is built in; None where it is not known, then boxes have no quality.

    Raises:
      ArgumentError: no readable SavedModel, or one of another program.
      UserError: no TensorFlow.
    """

    def __init__(
        self, folder: pathlib.Path, class_names: Sequence[str] | None = None, protocol: BoxProtocol | None = None
    ):
        tf = quiet_tensorflow.tensorflow("a SavedModel")
        with reading.guarded(folder, "no readable SavedModel", argument="model"):
            files.open_regular(folder / FILE_NAME).close()
            if os.path.getsize(folder / FILE_NAME) > _MOST_BYTES:
                raise ValueError(f"{FILE_NAME} is larger than {_MOST_BYTES >> 30} GB")
            # TensorFlow's reader trusts its files: a changed one can end the process, or change the weights unseen.
            if changed := [name for name in OwnedFolder(folder, "export").changed() if name != RECORD]:
                raise ValueError(f"{changed[0]} is not as it was exported")
            self._model = tf.saved_model.load(str(folder))
        self._serve = self._model.signatures.get("serving_default")
        outputs = set(self._serve.structured_outputs) if self._serve else set()
        if not outputs >= _OUTPUTS:
            missing = ", ".join(sorted(_OUTPUTS - outputs))
            raise ArgumentError(
                "model", folder, f"the SavedModel gives no {missing}; make it with python -m e2wsol.export"
            )
        self.about: dict[str, Any] = {}
        self._protocol, self._refined = protocol, refine.NONE
        probabilities = self._serve.structured_outputs.get("probabilities")
        self.num_classes = len(OBJECT) if probabilities is None else probabilities.shape[-1]
        self.class_names = tuple(
            class_names or (OBJECT if probabilities is None else map(str, range(self.num_classes)))
        )

    def refining(self, mode: str) -> "SavedModelPredictor":
        """The same predictor, whose boxes the image's colours move: outside of the graph, as without an export.

        Args:
          mode: one of refine.MODES.

        Raises:
          ArgumentError: the protocol is not known.
        """
        choose(mode, refine.MODES, "refine")
        if mode != refine.NONE and self._protocol is None:
            raise ArgumentError("refine", mode, "the export does not say its protocol; export the model again")
        other = copy.copy(self)
        other._refined = mode
        other.about = {**self.about, **({} if mode == refine.NONE else {"refine": mode})}
        return other

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """The image itself: the exported graph resizes."""
        return image

    def __call__(
        self, images: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]], labels: Sequence[int] | None = None
    ) -> list[Localization]:
        """As `MethodPredictor.__call__`, of the most probable class; images differ in size, so they go one by one."""
        if labels is not None:
            raise ArgumentError("labels", None, "an exported model localizes its most probable class alone")
        return [self._localization(image, size) for image, size in zip(images, sizes)]

    def _localization(self, image: np.ndarray, size: tuple[int, int]) -> Localization:
        import tensorflow as tf

        output = self._serve(images=tf.constant(image[None]))
        probabilities = output["probabilities"].numpy()[0] if "probabilities" in output else np.ones(1)
        require_finite(probabilities)
        label = int(probabilities.argmax())
        scores = probabilities[[label]].astype(np.float64)
        names = (self.class_names[label],)
        score_map = output["map"].numpy()[0]
        found = Localization(np.array([label]), names, scores, output["box"].numpy(), score_map, size)
        if self._protocol is None:
            return found
        view = cv2.resize(image, score_map.shape[::-1], interpolation=cv2.INTER_AREA)
        return refined(found, view, [score_map.astype(np.float64)], self._protocol, self._refined)


class ExportedModel(Predicting):
    """A SavedModel of e2wsol.export, whose protocol and threshold are built in.

    Attributes:
      folder: its folder.
      record: what e2wsol.json says of it; empty where there is none.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder, self.record = folder, read_record(folder)

    @functools.cached_property
    def _predictor(self) -> SavedModelPredictor:
        predictor = SavedModelPredictor(self.folder, self.record.get("classes"), self._box_protocol())
        if len(predictor.class_names) != predictor.num_classes:
            raise UserError(
                f"{self.folder}: the model has {predictor.num_classes} classes, its data set names "
                f"{len(predictor.class_names)}"
            )
        predictor.about = {name: self.record[name] for name in ("protocol", "threshold") if name in self.record}
        if "threshold" in self.record:
            predictor.about["threshold_from"] = self.threshold_from
        return predictor

    def _box_protocol(self) -> BoxProtocol | None:
        if self.protocol not in protocols.names() or self.threshold is None:
            return None
        return dataclasses.replace(protocols.get(self.protocol), default_threshold=self.threshold)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in label order."""
        return self._predictor.class_names

    @property
    def protocol(self) -> str | None:
        """Name of the box protocol that is built in; None where the export does not say."""
        return self.record.get("protocol")

    @property
    def threshold(self) -> float | None:
        """The threshold that is built in; None where the export does not say."""
        return self.record.get("threshold")

    @property
    def threshold_from(self) -> str:
        """Where `threshold` comes from."""
        return self.record.get("threshold_from", "the export")

    def predictor(self, refine: str = "none", **settings: Any) -> SavedModelPredictor:
        """The predictor; whatever was fixed when the model was exported cannot be set.

        Args:
          refine: how the image's colours move boxes, as in TrainedRun.predictor.
          settings: others, which must be as they were exported.

        Raises:
          ArgumentError: a setting that is built in.
        """
        built_in = {
            "protocol": "",
            "threshold": -1.0,
            "top_k": 1,
            "jit": False,
            "localizer": (),
            "precision": "float32",
        }
        for name, value in settings.items():
            value = getattr(value, "localizer", value)  # of LocalizerOptions
            if value != built_in.get(name, object()):
                raise ArgumentError(name, value, "fixed when a SavedModel is exported; give the run folder as model")
        return self._predictor.refining(refine)
