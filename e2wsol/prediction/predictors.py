"""Boxes for images of any size, from a method."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from e2wsol.data import picture_files, views
from e2wsol.errors import ArgumentError, choose
from e2wsol.localization import arguments, boxes, refine, score_map
from e2wsol.localization.protocols import BoxProtocol
from e2wsol.localization.refine import Polygon
from e2wsol.prediction import inputs
from e2wsol.prediction.classifier import require_finite, softmax
from e2wsol.prediction.fixed_batch import FixedBatch

# The one class of a method that predicts none.
OBJECT = ("object",)


@dataclasses.dataclass(frozen=True, eq=False)
class Localization:
    """What was found in one image, the most probable class first.

    Attributes:
      labels: (k,) int, classes.
      class_names: their k names.
      scores: (k,) float64 softmax probabilities.
      boxes: (k, 4) float32 x0, y0, x1, y1 in pixels of the image, right and bottom edges exclusive.
      map: (S, S) float in [0, 1], the score map of the first class over the whole image.
      image_size: (width, height) of the upright image.
      image: the image: its file, or its pixels.
      qualities: (k,) float64 in [0, 1], estimates of the boxes' IoU with the object; None where there are none.
      masks: the object's pixels in each box where it was cut out, (s, s) bool over the whole image, else None.

    Example:
      >>> found = e2wsol.load("runs/x").predict("photo.jpg", top_k=2)
      >>> found.boxes.shape, found.map.shape, len(found.class_names)
      ((2, 4), (32, 32), 2)
    """

    labels: np.ndarray
    class_names: tuple[str, ...]
    scores: np.ndarray
    boxes: np.ndarray
    map: np.ndarray
    image_size: tuple[int, int]
    image: Any = dataclasses.field(default=None, repr=False)
    qualities: np.ndarray | None = None
    masks: tuple[np.ndarray | None, ...] = dataclasses.field(default=(), repr=False)

    @property
    def is_flat(self) -> bool:
        """Whether the first class's map has no contrast at all, so that its box says nothing."""
        return bool(self.map.min() == self.map.max())

    @property
    def label(self) -> int:
        """The first class's number."""
        return int(self.labels[0])

    @property
    def class_name(self) -> str:
        """The first class's name."""
        return self.class_names[0]

    @property
    def score(self) -> float:
        """The first class's probability in [0, 1]; it says nothing of the box."""
        return float(self.scores[0])

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The first class's box, x0, y0, x1, y1 in pixels of the image, right and bottom edges exclusive."""
        x0, y0, x1, y1 = self.boxes[0].tolist()
        return x0, y0, x1, y1

    @property
    def quality(self) -> float | None:
        """An estimate of the first box's IoU with the object, in [0, 1]; the class's probability is `score`."""
        return None if self.qualities is None else float(self.qualities[0])

    @property
    def outlines(self) -> tuple[tuple[Polygon, ...] | None, ...]:
        """Each object's outline: polygons of (x, y) in pixels of the image; None where none was cut out."""
        masks = self.masks or (None,) * len(self.boxes)
        return tuple(None if mask is None else refine.outline(mask, self.image_size) for mask in masks)

    def plot(self, side: int = 480) -> Any:
        """The image with its box drawn in, beside its map.

        Args:
          side: longest side of the image in the picture, pixels.

        Returns:
          PIL.Image.Image, RGB; a notebook shows it, `save(path)` writes it.
        """
        from PIL import Image

        from e2wsol.data import images
        from e2wsol.visualize import overlay

        pixels = self.image
        if isinstance(pixels, pathlib.Path):
            pixels, _ = images.decode(picture_files.read(pixels), pixels)
        return Image.fromarray(overlay.of_localization(images.shrink(pixels, side), self, side=side))


class MethodPredictor:
    """Runs a method and reads the boxes off its maps.

    Images are resized straight to the network's input, without a crop, so a box can reach every
    part of the image. A method that predicts no class finds the one class OBJECT.

    Args:
      model: a method, or a Localizer on one: `localize`, `image_size`, `num_classes` and `classifies` as in
        methods.base.Method.
      protocol: BoxProtocol; its default threshold counts.
      class_names: names of the model's classes; None for their numbers.
      top_k: classes to localize for each image.
      jit: whether XLA compiles it.
      resize_filter: how images are resized, one of views.RESIZE_FILTERS.
      refined: how the image's colours move boxes, one of refine.MODES.

    Attributes:
      class_names: as given.
      about: what a file of predictions says about how its boxes were made.

    Raises:
      ArgumentError: the model has fewer classes than `top_k`.
    """

    def __init__(
        self,
        model: Any,
        protocol: BoxProtocol,
        class_names: Sequence[str] | None = None,
        *,
        top_k: int = 1,
        jit: bool = False,
        resize_filter: str = views.AUTO,
        refined: str = refine.NONE,
    ):
        count = model.num_classes if model.classifies else len(OBJECT)
        if top_k > count:
            raise ArgumentError("top_k", top_k, f"the model knows {count} classes only")
        self.about: dict[str, Any] = {}
        self.class_names = tuple(class_names or (map(str, range(count)) if model.classifies else OBJECT))
        self._protocol = protocol
        self._top_k = top_k
        self._refined = choose(refined, refine.MODES, "refine")
        self._size = model.image_size
        self._classifies = model.classifies
        self._view = views.PipelineOptions(
            image_size=self._size, resize_size=self._size, eval_crop="none", resize_filter=resize_filter
        )
        variables = getattr(model, "variables", ())  # a Localizer has none: its weights stay as they are
        self._localize = FixedBatch(self._maps_of(model), variables, jit=jit)

    def _maps_of(self, model: Any) -> Callable:
        def localize(images, labels=None):
            if labels is None and self._top_k > 1:  # argsort is stable: of equal logits the lower class comes first
                labels = ops.argsort(-model(images, training=False)["logits"], axis=-1)[:, : self._top_k]
            return labels, *model.localize(images, labels)

        return localize

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """What is kept of an image until its batch is full: the network's view, uint8 (S, S, 3)."""
        return views.eval_view(image, self._view)

    def __call__(
        self,
        images: Sequence[np.ndarray],
        sizes: Sequence[tuple[int, int]],
        labels: Sequence[int] | None = None,
    ) -> list[Localization]:
        """Localizes one batch.

        Args:
          images: what `prepare` gave.
          sizes: (width, height) of the original images.
          labels: the class to localize in each; None for the most probable ones.
        """
        batch = np.stack(images)
        given = [] if labels is None else [np.asarray(labels, np.int32)]
        chosen, logits, maps = self._localize(batch, *given)
        require_finite(maps if logits is None else logits)
        logits = np.zeros((len(batch), 1)) if logits is None else logits
        if chosen is None or not self._classifies:
            chosen = logits.argmax(axis=-1)
        if chosen.ndim == 1:
            chosen, maps = chosen[:, None], maps[:, None]
        probabilities = softmax(logits.astype(np.float64))
        return [
            self._localization(batch[i], chosen[i], probabilities[i, chosen[i]], maps[i], sizes[i])
            for i in range(len(batch))
        ]

    def _localization(self, view, labels, scores, maps, image_size):
        rules = self._protocol
        checked = [arguments.as_map(each, "localization_map") for each in maps]
        score_maps = [score_map.to_score_map(each, self._size, rules) for each in checked]
        plain = [boxes.box_of_score_map(each, image_size, rules.default_threshold, rules) for each in score_maps]
        names = tuple(self.class_names[label] for label in labels)
        found = Localization(labels, names, scores, np.stack(plain), score_maps[0], image_size)
        return refined(found, view, score_maps, rules, self._refined)


def refined(
    found: Localization, view: np.ndarray, score_maps: Sequence[np.ndarray], protocol: BoxProtocol, mode: str
) -> Localization:
    """A localization with the boxes' quality, and moved by the image's colours.

    Args:
      found: with the maps' boxes.
      view: uint8 RGB (S, S, 3), the whole image.
      score_maps: those of its classes, (S, S) in [0, 1].
      protocol: BoxProtocol of the boxes.
      mode: one of refine.MODES.
    """
    each = [refine.refine(view, score_map, protocol, mode) for score_map in score_maps]
    sides = np.tile(np.asarray(found.image_size, np.float64), 2)
    moved = [
        plain if one.name == refine.PLAIN else (one.box * sides).astype(np.float32)
        for plain, one in zip(found.boxes, each)
    ]
    return dataclasses.replace(
        found,
        boxes=np.stack(moved),
        qualities=np.array([one.quality for one in each]),
        masks=tuple(one.mask for one in each),
    )


class Predicting:
    """What can be asked of every model that finds boxes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in label order."""
        raise NotImplementedError

    def predictor(self, **settings: Any) -> Any:
        """A predictor, see e2wsol.prediction.predictors."""
        raise NotImplementedError

    def predict(
        self,
        images: Any,
        labels: Any = None,
        *,
        batch_size: int = 8,
        **settings: Any,
    ) -> Localization | list[Localization]:
        """Finds the object in images.

        Args:
          images: an image file, a folder of them (searched all the way down, in sorted order), a uint8 RGB array
            (H, W, 3), or a list of files and arrays. Images may have any size; files are turned upright as
            their EXIF tag says.
          labels: the class to localize, or one for each image: numbers or names; None for the most probable one.
          batch_size: images that go through the network at once.
          settings: further arguments of `predictor`.

        Returns:
          Localization of one image; a list of them for a folder or a list.

        Raises:
          UserError: an image that does not exist or cannot be read, a class that the model does not know.

        Example:
          >>> found = e2wsol.load("runs/x").predict(np.zeros((48, 64, 3), np.uint8))
          >>> found.image_size
          (64, 48)
        """
        several, readers = inputs.image_inputs(images)
        predictor = self.predictor(**settings)
        wanted = self._labels(labels, len(readers))
        found: list[Localization] = []
        for start in range(0, len(readers), batch_size):
            chunk = readers[start : start + batch_size]
            pixels = [reader.read() for reader in chunk]
            views = [predictor.prepare(each) for each in pixels]
            sizes = [(each.shape[1], each.shape[0]) for each in pixels]
            batch = None if wanted is None else wanted[start : start + batch_size]
            found += [
                dataclasses.replace(each, image=reader.image)
                for each, reader in zip(predictor(views, sizes, batch), chunk)
            ]
        return found if several else found[0]

    def _labels(self, labels: Any, count: int) -> list[int] | None:
        if labels is None:
            return None
        one = isinstance(labels, str) or np.ndim(labels) == 0
        given = [labels] * count if one else list(labels)
        if len(given) != count:
            raise ArgumentError("labels", None, f"{len(given)} classes for {count} images")
        return [self._label(each) for each in given]

    def _label(self, label: Any) -> int:
        if isinstance(label, str):
            if label not in self.class_names:
                raise ArgumentError("labels", label, f"no such class; the model knows {', '.join(self.class_names)}")
            return self.class_names.index(label)
        if not 0 <= int(label) < len(self.class_names):
            raise ArgumentError("labels", label, f"no such class; numbers go from 0 to {len(self.class_names) - 1}")
        return int(label)
