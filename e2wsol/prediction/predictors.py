"""Boxes for pictures of any size, from a method or from an exported SavedModel."""

import dataclasses

import numpy as np
import tensorflow as tf

from e2wsol import compute
from e2wsol.data import pipeline
from e2wsol.errors import UserError
from e2wsol.localization import boxes, score_map
from e2wsol.localizers import Localizer, LocalizerOptions
from e2wsol.prediction import model_files, models
from e2wsol.prediction.fixed_batch import FixedBatch

_OUTPUTS = {"map", "box"}


@dataclasses.dataclass(frozen=True, eq=False)
class Localization:
    """What a predictor found in one picture.

    Attributes:
      labels: (k,) int, most probable class first.
      scores: (k,) float64 softmax probabilities.
      boxes: (k, 4) float32 in pixels of the original picture, exclusive ends.
      score_map: (S, S) float in [0, 1] over the whole picture, of the first class.
    """

    labels: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    score_map: np.ndarray


class MethodPredictor:
    """Runs a method and reads the boxes off its maps.

    Pictures are resized straight to the network's input, without a crop, so a box can reach every
    part of the picture. A method that predicts no class finds the one class models.OBJECT.

    Args:
      model: a method, or a Localizer on one: `localize`, `image_size`, `num_classes` and `classifies` as in
        methods.base.Method.
      protocol: BoxProtocol; its default threshold counts.
      top_k: classes to localize for each picture.
      jit: whether XLA compiles it.

    Attributes:
      num_classes: C of the model.
      about: what a file of predictions says about how its boxes were made.
    """

    def __init__(self, model, protocol, *, top_k=1, jit=False):
        self.num_classes = model.num_classes if model.classifies else len(models.OBJECT)
        if top_k > self.num_classes:
            raise UserError(f"--top_k={top_k}: the model knows {self.num_classes} classes only")
        self.about = {"protocol": protocol.name, "threshold": protocol.default_threshold}
        self._protocol = protocol
        self._top_k = top_k
        self._size = model.image_size
        self._view = pipeline.PipelineOptions(image_size=self._size, resize_size=self._size, eval_crop="none")
        self._localize = FixedBatch(self._graph(model), jit=jit)

    def _graph(self, model):
        def localize(images):
            if self._top_k == 1:
                logits, maps = model.localize(images)
                logits = tf.zeros((tf.shape(maps)[0], 1)) if logits is None else logits
                return logits, tf.argmax(logits, axis=-1)[:, None], maps[:, None]
            labels = tf.math.top_k(model(images, training=False)["logits"], self._top_k).indices
            logits, maps = model.localize(images, labels)
            return logits, labels, maps

        return localize

    def prepare(self, picture):
        """What is kept of a picture until its batch is full: the network's view, uint8 (S, S, 3)."""
        return pipeline.eval_view(picture, self._view).numpy()

    def __call__(self, views, sizes):
        """Localizes one batch.

        Args:
          views: list of what `prepare` gave.
          sizes: list of (width, height) of the original pictures.

        Returns:
          list of Localization.
        """
        logits, labels, maps = (np.asarray(tensor) for tensor in self._localize(tf.constant(np.stack(views))))
        probabilities = _softmax(logits)
        return [
            self._localization(labels[i], probabilities[i, labels[i]], maps[i], sizes[i]) for i in range(len(views))
        ]

    def _localization(self, labels, scores, maps, image_size):
        found = [
            boxes.extract_box(
                localization_map,
                image_size=image_size,
                threshold=self._protocol.default_threshold,
                protocol=self._protocol.name,
                size=self._size,
            )
            for localization_map in maps
        ]
        shown = score_map.to_score_map(maps[0], self._size, self._protocol)
        return Localization(labels, scores, np.stack(found), shown)


class SavedModelPredictor:
    """Runs a SavedModel of e2wsol.export, which resizes and extracts its boxes itself."""

    def __init__(self, folder, about):
        self.about = about
        try:
            self._model = tf.saved_model.load(str(folder))
        except (ValueError, OSError, tf.errors.OpError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"--model={folder}: no readable SavedModel ({reason})") from None
        self._serve = self._model.signatures.get("serving_default")
        outputs = set(self._serve.structured_outputs) if self._serve else set()
        if not outputs >= _OUTPUTS:
            missing = ", ".join(sorted(_OUTPUTS - outputs))
            raise UserError(
                f"--model={folder}: the SavedModel gives no {missing}; make it with python -m e2wsol.export"
            )
        probabilities = self._serve.structured_outputs.get("probabilities")
        self.num_classes = len(models.OBJECT) if probabilities is None else probabilities.shape[-1]

    def prepare(self, picture):
        """The picture itself: the exported graph resizes."""
        return picture

    def __call__(self, pictures, sizes):
        """As `MethodPredictor.__call__`; pictures differ in size, so they go one by one."""
        return [self._localization(picture) for picture in pictures]

    def _localization(self, picture):
        output = self._serve(images=tf.constant(picture[None]))
        probabilities = output["probabilities"].numpy()[0] if "probabilities" in output else np.ones(1)
        label = probabilities.argmax()
        scores = probabilities[[label]].astype(np.float64)
        return Localization(np.array([label]), scores, output["box"].numpy(), output["map"].numpy()[0])


def load(path, box, *, top_k=1, looking=None, computing=None):
    """The predictor of a --model flag and the names of its classes.

    Args:
      path: run folder, .keras file or SavedModel folder.
      box: protocols.BoxOptions; a SavedModel has them built in.
      top_k: see MethodPredictor; a SavedModel localizes one class.
      looking: LocalizerOptions; with a localizer the maps are its instead of the method's.
      computing: ComputeOptions; a SavedModel has these built in too.

    Returns:
      (predictor, tuple of class names).

    Raises:
      UserError: no such model, or an option that the model cannot follow.
    """
    looking, computing = looking or LocalizerOptions(), computing or compute.ComputeOptions()
    looking.check()
    file = model_files.find(path)
    if file.is_saved_model:
        for flag, value, built_in in (
            ("protocol", box.protocol, ""),
            ("threshold", box.threshold, -1),
            ("top_k", top_k, 1),
            ("localizer", ",".join(looking.localizer), ""),
            ("precision", computing.precision, "float32"),
            ("jit", computing.jit, False),
        ):
            if value != built_in:
                raise UserError(
                    f"--{flag}={value}: fixed when a SavedModel is exported; give the run folder as --model"
                )
        predictor = SavedModelPredictor(file.path, file.about)
    else:
        compute.use(computing)
        model = models.load_model(file.path)
        protocol = models.box_protocol(box, file.flags, model)
        classifies = model.classifies
        if looking.localizer:
            model = Localizer(model, looking)
            model.check_single()
        predictor = MethodPredictor(model, protocol, top_k=top_k, jit=computing.jit)
        if not classifies:
            return predictor, models.OBJECT
    return predictor, file.class_names(predictor.num_classes)


def _softmax(logits):
    logits = np.asarray(logits, np.float64)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
