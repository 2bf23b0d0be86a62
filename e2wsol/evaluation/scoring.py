"""Scoring the maps of a split, over threads and workers, in one pass."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from e2wsol import terminal
from e2wsol.data import pipeline
from e2wsol.errors import UserError
from e2wsol.evaluation.maps import ImageMaps, MapSource
from e2wsol.localization.baselines import Baselines
from e2wsol.localization.frame import Frame
from e2wsol.localization.metrics import ImageScore, LocalizationScorer
from e2wsol.localization.parallel import in_order
from e2wsol.training.workers import Workers

_CHUNK = 16  # images that a thread is handed at a time; fewer where each has many maps, whose scores are large


@dataclasses.dataclass(frozen=True)
class ScoredImage:
    """One image of the split.

    Attributes:
      source_id: its id in the records.
      image: the network's view, uint8 (S, S, 3).
      maps: ImageMaps.
      annotations: boxes, image_size, label, top5 and mask, as LocalizationScorer.update takes them.
    """

    source_id: str
    image: np.ndarray
    maps: ImageMaps
    annotations: dict[str, Any]


class Evaluation:
    """Scores splits of a data set.

    Args:
      info: Dataset.
      view: PipelineOptions, how images come to the network.
      protocol: BoxProtocol.
      maps: where maps come from.
      predictions: PredictedClasses that count instead of what `maps` predicts, or None.
      batch: images a batch.
      threads: that look for boxes and score them.
      workers: Workers that share the images out, all of which call the same; None for this process alone.
    """

    def __init__(self, info, view, protocol, maps: MapSource, *, batch, threads, predictions=None, workers=None):
        self.info, self.view, self.protocol, self.maps, self.predictions = info, view, protocol, maps, predictions
        self.batch, self.threads, self.workers = batch, threads, workers or Workers()
        self.frame = Frame.of_view(view)

    def score(
        self,
        split: str,
        *,
        limit: int = 0,
        crops: int = 1,
        classify: bool = True,
        thresholds: Iterable[float] = (),
        keepers: Mapping[str, Sequence[Any]] | None = None,
        without_boxes: bool = False,
    ) -> tuple[dict[str, LocalizationScorer], Baselines]:
        """Scores all maps of a split, each by its own scorer.

        Args:
          split: its name.
          limit: first images only; 0 for all.
          crops: views that an image's class is predicted from, 1 or 10.
          classify: whether predicted classes are scored.
          thresholds: further thresholds to score.
          keepers: {name of maps: SampleKeepers and the like that are shown every image}.
          without_boxes: whether a split without any true box will do, for its classes and keepers.

        Returns:
          ({name of maps: LocalizationScorer}, Baselines) of all images, whichever worker saw them; so is what keepers
          then hold.

        Raises:
          UserError: the split has nothing to score against, or a record or map cannot be read.
        """
        rules = {"protocol": self.protocol, "frame": self.frame, "thresholds": tuple(thresholds)}
        scorers = {name: LocalizationScorer(**rules) for name in self.maps.names}
        baselines, keepers = Baselines(**rules), keepers or {}
        all_keepers = [keeper for each in keepers.values() for keeper in each]
        part = self._part(split, limit)
        for keeper in all_keepers:  # to this worker's first image
            keeper.skip(part.start)

        def scores(image: ScoredImage) -> tuple[dict[str, ImageScore], dict[str, ImageScore]]:
            found = {
                name: scorer.score_boxes(image.maps.maps[name].boxes(scorer), **image.annotations)
                for name, scorer in scorers.items()
            }
            return found, baselines.score(**image.annotations)

        for image, (found, others) in self._each(split, part, scores, crops, classify):
            baselines.update_scores(others)
            for name, score in found.items():
                scorers[name].update_scores(score)
                for keeper in keepers.get(name, ()):
                    keeper.update(image, score, scorers[name])
        baselines, *counts = self._merged([baselines, *scorers.values()], all_keepers)
        if not without_boxes:
            self._check_scored(counts[0], split)
        return dict(zip(scorers, counts)), baselines

    def _merged(self, counts: list[Any], keepers: list[Any]) -> list[Any]:
        """The scorers and baselines of this worker's images with what the others counted, in the images' order."""
        parts = self.workers.gather((counts, keepers))
        wholes = parts[0][0]
        for others, _ in parts[1:]:
            for whole, other in zip(wholes, others):
                whole.merge(other)
        for index in set(range(len(parts))) - {self.workers.index}:
            for keeper, other in zip(keepers, parts[index][1]):
                keeper.merge(other)
        return wholes

    def _part(self, split: str, limit: int) -> range:
        """The images of this worker: whole batches, the same as one process makes of the split."""
        count = self.info.split(split).count
        count = min(limit or count, count)
        batches, one = -(-count // self.batch), self.workers
        first, end = (self.batch * (batches * index // one.count) for index in (one.index, one.index + 1))
        return range(first, min(end, count))

    def _each(self, split, part, scores, crops, classify) -> Iterator[tuple[ScoredImage, Any]]:
        """Yields (image, scores(image)) in order, scored in threads; a bar shows the progress."""
        images = self._images(split, part, crops, classify) if part else ()
        chunk = max(1, _CHUNK // len(self.maps.names))
        found = in_order(lambda image: (image, scores(image)), images, self.threads, chunk)
        hidden = not self.workers.chief
        with self.info.reading(split), terminal.ProgressBar(len(part), split, "picture", disable=hidden) as bar:
            for each in found:
                yield each
                bar.update()

    def _check_scored(self, scorer: LocalizationScorer, split: str) -> None:
        if not scorer.located and not scorer.pixels.pictures:
            raise UserError(f"{self.info.folder}: split {split} has no box and no mask to score against")

    def _images(self, split, part, crops, classify) -> Iterator[ScoredImage]:
        batches = pipeline.eval_dataset(
            self.info, self.view, split=split, batch=self.batch, start=part.start, limit=len(part), crops=crops
        )
        for batch in batches:
            found = self.maps.of_batch(batch)
            batch = {name: value.numpy() for name, value in batch.items() if name != "crops"}
            for index, maps in enumerate(found):
                source_id = batch["source_id"][index].decode(errors="replace")
                top5 = None
                if classify:
                    top5 = maps.top5 if self.predictions is None else self.predictions.of(source_id)
                yield ScoredImage(source_id, batch["image"][index], maps, _annotations(batch, index, top5))


def _annotations(batch, index, top5):
    height, width = batch["size"][index]
    return {
        "boxes": batch["boxes"][index, : batch["num_boxes"][index]],
        "image_size": (width, height),
        "label": int(batch["label"][index]),
        "top5": top5,
        "mask": _mask(batch["mask"][index], batch["source_id"][index].decode(errors="replace")),
    }


def _mask(png, source_id):
    """The mask (H, W) uint8 in a record's PNG bytes, None where there are none."""
    if not png:
        return None
    mask = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise UserError(f"{source_id}: its record holds no readable mask; run the builder again")
    return mask
