"""Scoring the maps of a split: by a model or from files, over threads, in one pass."""

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np
from tqdm import tqdm

from e2wsol.data import broken_records, pipeline
from e2wsol.errors import UserError
from e2wsol.localization.baselines import Baselines
from e2wsol.localization.frame import Frame
from e2wsol.localization.metrics import LocalizationScorer
from e2wsol.localization.parallel import in_order
from e2wsol.prediction.classes import Classifier, ranking
from e2wsol.prediction.fixed_batch import FixedBatch
from e2wsol.training.workers import Workers


class ModelMaps:
    """Maps and predicted classes that a network makes.

    Args:
      model: Method.
      ten_crop_mean: "probabilities" or "logits", what is averaged where a batch brings ten crops.
      localize: what gives (logits, maps) of (images, labels); by default the model's.
      jit: whether XLA compiles that.
    """

    def __init__(self, model, ten_crop_mean="probabilities", *, localize=None, jit=False):
        self._localize = FixedBatch(localize or model.localize, jit=jit)
        self._classifier = Classifier(model, ten_crop_mean) if model.classifies else None

    def look(self, batch):
        """[(find, predicted classes or None)] of the pictures of a batch; find(scorer) returns a Prediction."""
        logits, maps = self._localize(batch["image"], batch["label"])
        found = self.finders(maps)
        if self._classifier is None:
            classes = [None] * len(found)
        elif "crops" in batch:
            classes = ranking(self._classifier.probabilities(batch))
        else:
            classes = ranking(logits.numpy())
        return list(zip(found, classes))

    def finders(self, maps):
        """find(scorer) of each picture, from maps (B, h, w)."""
        return [_finder(one) for one in maps.numpy()]


def _finder(localization_map):
    return lambda scorer: scorer.locate(localization_map)


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture to score: find(scorer) gives the Prediction, `facts` are the scorer's further arguments."""

    source_id: str
    image: np.ndarray
    find: Callable
    facts: dict


class Evaluation:
    """Scores splits of a data set.

    Args:
      info: DatasetInfo.
      view: PipelineOptions, how pictures come to the network.
      protocol: BoxProtocol.
      maps: where maps come from, ModelMaps or StoredMaps.
      predictions: PredictedClasses that count instead of what `maps` predicts, or None.
      batch: pictures a batch.
      threads: that look for boxes and score them.
      workers: Workers that share the pictures out, all of which call the same; None for this process alone.
    """

    def __init__(self, info, view, protocol, maps, *, batch, threads, predictions=None, workers=None):
        self.info, self.view, self.protocol, self.maps, self.predictions = info, view, protocol, maps, predictions
        self.batch, self.threads, self.workers = batch, threads, workers or Workers()
        self.frame = Frame.of_view(view)

    def score(self, split, *, limit=0, crops=1, classify=True, thresholds=(), keepers=()):
        """Scores a split.

        Args:
          split: its name.
          limit: first pictures only; 0 for all.
          crops: views that a picture's class is predicted from, 1 or 10.
          classify: whether predicted classes are scored.
          thresholds: further thresholds to score.
          keepers: SampleKeepers and the like that are offered every picture.

        Returns:
          (LocalizationScorer, Baselines) of all pictures, whichever worker saw them; so is what keepers then hold.

        Raises:
          UserError: the split has nothing to score against, or a record or map cannot be read.
        """
        scorer = LocalizationScorer(self.protocol, self.frame, thresholds=thresholds)
        baselines = Baselines(self.protocol, self.frame, thresholds=thresholds)

        def outcomes(picture):
            found = scorer.outcome(picture.find(scorer), **picture.facts)
            return found, baselines.outcomes(**picture.facts)

        self.start_keepers(keepers, split, limit)
        for picture, (outcome, others) in self.each(split, outcomes, limit=limit, crops=crops, classify=classify):
            scorer.take(outcome)
            baselines.take(others)
            for keeper in keepers:
                keeper.offer(picture, outcome, scorer)
        scorer, baselines = self.joined([scorer, baselines], keepers)
        self.check_scored(scorer, split)
        return scorer, baselines

    def start_keepers(self, keepers, split, limit=0):
        """Takes keepers to this worker's first picture."""
        for keeper in keepers:
            keeper.skip(self._part(split, limit).start)

    def joined(self, counts, keepers=()):
        """Brings together what the workers counted and kept.

        Args:
          counts: list of scorers and the like of this worker's part.
          keepers: this worker's; they get what the others kept.

        Returns:
          The same list for all pictures, counted in their order.
        """
        parts = self.workers.gather((counts, keepers))
        wholes = parts[0][0]
        for others, _ in parts[1:]:
            for whole, other in zip(wholes, others):
                whole.merge(other)
        for index in set(range(len(parts))) - {self.workers.index}:
            for keeper, other in zip(keepers, parts[index][1]):
                keeper.merge(other)
        return wholes

    def _part(self, split, limit):
        """The range of this worker's pictures: whole batches, the same as one process makes of the split."""
        count = self.info.split(split).count
        count = min(limit or count, count)
        batches, one = -(-count // self.batch), self.workers
        first, end = (self.batch * (batches * index // one.count) for index in (one.index, one.index + 1))
        return range(first, min(end, count))

    def each(self, split, function, *, limit=0, crops=1, classify=True, chunk=16):
        """Calls function(Picture) for every picture of this worker's part of a split, in threads.

        Args:
          split, limit, crops, classify: as in `score`.
          chunk: pictures that a thread is handed at a time.

        Yields:
          (Picture, what the function gave), in order; a bar shows the progress.
        """
        part = self._part(split, limit)
        pictures = self._pictures(split, part, crops, classify) if part else ()
        found = in_order(lambda picture: (picture, function(picture)), pictures, self.threads, chunk)
        with broken_records.guard(self.info, split):
            yield from tqdm(found, total=len(part), desc=split, unit="picture", disable=not self.workers.chief)

    def check_scored(self, scorer, split):
        """Raises a UserError where a scorer met nothing to score against."""
        if not scorer.located and not scorer.pixels.pictures:
            raise UserError(f"{self.info.folder}: split {split} has no box and no mask to score against")

    def _pictures(self, split, part, crops, classify):
        """Yields the Pictures of a range of the split one by one."""
        batches = pipeline.eval_dataset(
            self.info, self.view, split=split, batch=self.batch, start=part.start, limit=len(part), crops=crops
        )
        for batch in batches:
            found = self.maps.look(batch)
            batch = {name: value.numpy() for name, value in batch.items() if name != "crops"}
            for index, (find, classes) in enumerate(found):
                source_id = batch["source_id"][index].decode(errors="replace")
                if self.predictions is not None and classify:
                    classes = self.predictions.of(source_id)
                facts = _facts(batch, index, classes if classify else None)
                yield Picture(source_id, batch["image"][index], find, facts)


def _facts(batch, index, classes):
    height, width = batch["size"][index]
    return {
        "boxes": batch["boxes"][index, : batch["num_boxes"][index]],
        "image_size": (width, height),
        "label": int(batch["label"][index]),
        "top5": classes,
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
