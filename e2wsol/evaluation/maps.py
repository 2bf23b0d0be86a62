"""Where the maps that are scored come from: a network, other localizers on it, or files of another program."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from e2wsol import reading
from e2wsol.errors import ArgumentError, UserError
from e2wsol.localization.metrics import LocalizationScorer, PredictedBoxes
from e2wsol.prediction.classifier import Classifier, ranking, require_finite
from e2wsol.prediction.fixed_batch import FixedBatch

VALUES = ("scores", "raw")
OWN_MAPS = "own maps"


class LocalizationMap(Protocol):
    """A map of one image that knows how a scorer has to read it."""

    def boxes(self, scorer: LocalizationScorer) -> PredictedBoxes:
        """The scorer's boxes of the map; may be called in any thread."""

    @property
    def is_flat(self) -> bool:
        """Whether all of its values are the same, or some are no numbers: then its boxes say nothing."""


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkMap:
    """A map (h, w) of any range, as a network gives it."""

    values: np.ndarray

    def boxes(self, scorer: LocalizationScorer) -> PredictedBoxes:
        """Resized and normalised as the scorer's protocol does."""
        return scorer.boxes_of_map(self.values)

    @property
    def is_flat(self) -> bool:
        """See LocalizationMap."""
        return not self.values.min() < self.values.max() < np.inf


@dataclasses.dataclass(frozen=True)
class ImageMaps:
    """What is known of one image before it is scored.

    Attributes:
      maps: {localizer's name: LocalizationMap}.
      top5: classes that were predicted, best first; None where none were.
    """

    maps: dict[str, LocalizationMap]
    top5: np.ndarray | None


class MapSource(Protocol):
    """Maps of the images of a split.

    Attributes:
      names: the localizers' names, those of every ImageMaps.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    def of_batch(self, batch: dict[str, Any]) -> list[ImageMaps]:
        """The maps of a batch of e2wsol.data.pipeline.eval_dataset."""


class NetworkMaps:
    """Maps and predicted classes of a method.

    Args:
      model: Method.
      name: how results call its maps.
      ten_crop_mean: "probabilities" or "logits", what is averaged where a batch brings ten crops.
      localizer: a Localizer of the method, whose maps come beside the method's own, which are then called
        OWN_MAPS; None for the method's own alone.
      jit: whether XLA compiles the network.
    """

    def __init__(
        self,
        model: Any,
        name: str = OWN_MAPS,
        ten_crop_mean: str = "probabilities",
        *,
        localizer: Any = None,
        jit: bool = False,
    ):
        self.names = (*localizer.names, OWN_MAPS) if localizer else (name,)
        self._localize = FixedBatch(self._all_maps(model, name, localizer), jit=jit)
        self._classifier = Classifier(model, ten_crop_mean) if model.classifies else None

    @staticmethod
    def _all_maps(model: Any, name: str, localizer: Any) -> Callable:
        def own(images, labels):
            logits, maps = model.localize(images, labels)
            return logits, {name: maps}

        def others(images, labels):
            logits, maps = localizer.localize_layers(images, labels)
            return logits, {**maps, OWN_MAPS: model.localize(images, labels)[1]}

        return others if localizer else own

    def of_batch(self, batch: dict[str, Any]) -> list[ImageMaps]:
        """The maps of the true classes, and the predicted classes of the images or of their ten crops."""
        logits, maps = self._localize(batch["image"], batch["label"])
        require_finite(next(iter(maps.values())) if logits is None else logits)
        count = len(batch["label"])
        if self._classifier is None:
            classes: Any = [None] * count
        elif "crops" in batch:
            classes = ranking(self._classifier.probabilities(batch))
        else:
            classes = ranking(logits)
        return [
            ImageMaps({name: NetworkMap(each[index]) for name, each in maps.items()}, classes[index])
            for index in range(count)
        ]


@dataclasses.dataclass(frozen=True)
class StoredMap:
    """A map in a .npy file, read when it is scored."""

    source: "StoredMaps"
    source_id: str
    filename: str

    @functools.cached_property
    def _values(self) -> np.ndarray:
        return self.source.read(self.source_id, self.filename)

    def boxes(self, scorer: LocalizationScorer) -> PredictedBoxes:
        """Taken as scores, or resized and normalised as the scorer's protocol does, as `source.values` says."""
        is_scores = self.source.values == "scores"
        return scorer.boxes_of_score_map(self._values) if is_scores else scorer.boxes_of_map(self._values)

    @property
    def is_flat(self) -> bool:
        """See LocalizationMap."""
        return bool(self._values.min() == self._values.max())


class FlatMapCounter:
    """Counts the maps without any contrast, as a keeper of `Evaluation.score`.

    Args:
      name: which of an image's maps.

    Attributes:
      count: how many it was shown.
    """

    def __init__(self, name: str):
        self.name, self.count = name, 0

    def skip(self, pictures: int) -> None:
        """Leaves out images that another counter is shown."""

    def merge(self, other: "FlatMapCounter") -> None:
        """Adds what another counter was shown."""
        self.count += other.count

    def update(self, image: Any, score: Any, scorer: Any) -> None:
        """Shows it one ScoredImage."""
        self.count += image.maps.maps[self.name].is_flat


class StoredMaps:
    """Maps as .npy files named by image, as the wsolevaluation benchmark stores them.

    The map of image `a/b.jpg` is `a/b.jpg.npy` in the folder; `a/b.npy` will do too. Besides its id
    the image's file name in the records is tried. A file is the map of one image alone, see `check`.

    Args:
      folder: where the files are, at any depth.
      size: side of the frame in pixels.
      values: "scores": a map is (size, size) in [0, 1] already and is taken as it is; "raw": a map of
        any size and range, resized and normalised as the protocol does.

    Raises:
      UserError: there is no such folder.
    """

    def __init__(self, folder: str | pathlib.Path, *, size: int, values: str):
        self.folder, self.size, self.values = pathlib.Path(folder), size, values
        if not self.folder.is_dir():
            raise ArgumentError("maps", folder, "no such folder; give the one that holds a .npy file a picture")
        self.names = (self.folder.resolve().name,)

    def check(self, images: Iterable[tuple[str, str]]) -> list[str]:
        """Looks for the files of all images that will be scored, before any is.

        Args:
          images: (id, file name) of each in the records.

        Returns:
          The .npy files that belong to none of them, as paths below the folder, in order.

        Raises:
          UserError: one file would serve two images.
        """
        alike: dict[str, dict[pathlib.Path, str]] = {}  # {path: id} of those that differ in capitals at most
        for source_id, filename in images:
            path = self._find(source_id, filename)
            if path is None:
                continue
            owners = alike.setdefault(str(path).casefold(), {})
            for other, owner in owners.items():
                if owner != source_id and (other == path or other.samefile(path)):
                    raise UserError(
                        f"{path}: would be the map of two pictures, {owner} and {source_id}; name maps by picture id: "
                        f"{owner}.npy and {source_id}.npy"
                    )
            owners[path] = source_id
        used = {path for owners in alike.values() for path in owners}
        return sorted(path.relative_to(self.folder).as_posix() for path in self._stored() if path not in used)

    def _stored(self) -> Iterable[pathlib.Path]:
        for folder, _, names in os.walk(self.folder):
            yield from (pathlib.Path(folder, name) for name in names if name.endswith(".npy"))

    def of_batch(self, batch: dict[str, Any]) -> list[ImageMaps]:
        """The maps of the images of a batch of records; no class is predicted."""
        ids, names = (np.asarray(batch[key]).tolist() for key in ("source_id", "filename"))
        return [
            ImageMaps({self.names[0]: StoredMap(self, *(text.decode(errors="replace") for text in pair))}, None)
            for pair in zip(ids, names)
        ]

    def read(self, source_id: str, filename: str = "") -> np.ndarray:
        """The map of one image: float64 (size, size) in [0, 1], or (h, w) where values are raw.

        Raises:
          UserError: no file of the image, or not such a map in it.
        """
        path = self._path(source_id, filename)
        try:
            stored = reading.array(path)
        except FileNotFoundError:
            raise UserError(f"{path}: has vanished") from None
        if stored.ndim != 2 or not stored.size or stored.dtype.kind not in "fiu":
            found = f"{stored.dtype} {stored.shape}"
            raise UserError(f"{path}: holds {found}; expected one map, numbers of shape (height, width)")
        stored = stored.astype(np.float64)
        if self.values == "scores":
            self._check_scores(path, stored)
        return stored

    def _check_scores(self, path: pathlib.Path, stored: np.ndarray) -> None:
        way_out = "map_values=raw resizes and normalises maps as the protocol does"
        if stored.shape != (self.size, self.size):
            found = "x".join(map(str, stored.shape))
            raise UserError(f"{path}: {found} values, expected {self.size}x{self.size} (map_size); {way_out}")
        if not (stored.min() >= 0 and stored.max() <= 1):  # NaN is neither
            found = f"{stored.min():g} to {stored.max():g}"
            raise UserError(f"{path}: values from {found}, expected scores from 0 to 1; {way_out}")

    def _path(self, source_id: str, filename: str) -> pathlib.Path:
        path = self._find(source_id, filename)
        if path is None:
            first, *others = dict.fromkeys(_file_names(source_id, filename))
            raise UserError(
                f"{self.folder / first}: no map of picture {source_id} (nor {', '.join(others)} in {self.folder})"
            )
        return path

    def _find(self, source_id: str, filename: str) -> pathlib.Path | None:
        paths = (self.folder / name for name in _file_names(source_id, filename))
        return next((path for path in paths if os.path.isfile(path)), None)


def _file_names(source_id: str, filename: str) -> list[str]:
    """What the file of an image's map may be called, the best name first."""
    names = [name for name in (source_id, filename) if name]
    return [f"{stem}.npy" for name in names for stem in (name, os.path.splitext(name)[0])]
