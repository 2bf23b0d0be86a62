"""Localization scores over a data set, in constant memory.

Terms: a picture is a hit at an IoU threshold when the predicted box meets one of the true boxes
that well. GT-known Loc counts hits; Top-1 and Top-5 Loc count hits whose label is also the first,
or among the first five, predicted classes. The box always comes from the map of the true class:
whenever a picture counts for Top-1 Loc that is the predicted class's map as well, and for Top-5
Loc it is the map of the right one among the five. MaxBoxAcc is GT-known Loc at the best threshold.
"""

import dataclasses

import numpy as np

from e2wsol.localization.boxes import boxes_at_levels, levels_at
from e2wsol.localization.ground_truth import boxes_in_frame, mask_in_frame
from e2wsol.localization.iou import pairwise_iou
from e2wsol.localization.pxap import PixelCounter
from e2wsol.localization.score_map import to_gray, to_score_map

METRICS = ("GT-known Loc", "Top-1 Loc", "Top-5 Loc")
CURVES = ("gt_known", "top1", "top5")


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a localizer says of one picture, in the frame.

    Attributes:
      boxes: (T, 4) int32 box at each of the scorer's thresholds.
      score_map: (S, S) float64 in [0, 1], or None for a localizer that has no map.
    """

    boxes: np.ndarray
    score_map: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class PictureScore:
    """One picture's outcome.

    Attributes:
      prediction: Prediction that was scored.
      true_boxes: (n, 4) float64 true boxes in the frame, as the protocol sees them.
      ious: (T,) float64 best IoU over the true boxes per threshold; NaN without a true box.
      hits: (K, T) bool, per IoU threshold and threshold.
    """

    prediction: Prediction
    true_boxes: np.ndarray
    ious: np.ndarray
    hits: np.ndarray


@dataclasses.dataclass(frozen=True)
class Score:
    """A share of pictures; `iou` and `threshold` are None for plain classification."""

    metric: str
    hits: int
    pictures: int
    iou: float | None = None
    threshold: float | None = None

    @property
    def value(self):
        """The share itself, NaN without a picture."""
        return self.hits / self.pictures if self.pictures else float("nan")


class LocalizationScorer:
    """Counts hits of one protocol over pictures.

    Pictures without a true box count for classification alone, those without a mask not for PxAP.

    Attributes:
      thresholds: (T,) float64, ascending: the protocol's grid, its default threshold and those
        that were asked for.
      iou_thresholds: (K,) tuple of float.
      hits: (3, K, T) int64, rows as in METRICS.
      located: pictures with a true box, the denominator of `hits`.
      classified: pictures; `classified_hits` (2,) int64 are Top-1 and Top-5.
      pixels: PixelCounter for PxAP.
    """

    def __init__(self, protocol, frame, *, thresholds=(), iou_thresholds=(0.5, 0.7)):
        """Starts at zero.

        Args:
          protocol: BoxProtocol.
          frame: Frame, how the pictures were resized and cropped before the network saw them.
          thresholds: further thresholds in [0, 1] to score, beside the protocol's.
          iou_thresholds: what counts as a hit.
        """
        self.protocol = protocol
        self.frame = frame
        self.thresholds = np.unique([*protocol.thresholds, protocol.default_threshold, *thresholds])
        self.iou_thresholds = tuple(iou_thresholds)
        self.hits = np.zeros((len(METRICS), len(self.iou_thresholds), len(self.thresholds)), np.int64)
        self.located = 0
        self.classified_hits = np.zeros(2, np.int64)
        self.classified = 0
        self.pixels = PixelCounter()

    def add(self, localization_map, *, boxes, image_size, label, top5, mask=None):
        """Scores one picture.

        Args:
          localization_map: (h, w) float array of the true class.
          boxes: (n, 4) true boxes in pixels of the original picture, exclusive ends; n may be 0.
          image_size: (width, height) of the original picture.
          label: true class.
          top5: predicted classes, best first, five or all there are.
          mask: None or (H, W) uint8 at the picture's size: 0 background, 1 object, 255 ignored.

        Returns:
          PictureScore.
        """
        prediction = self.locate(localization_map)
        return self.score(prediction, boxes=boxes, image_size=image_size, label=label, top5=top5, mask=mask)

    def locate(self, localization_map):
        """Returns the Prediction of a (h, w) map: its score map and its box at every threshold."""
        return self.locate_in(to_score_map(localization_map, self.frame.size, self.protocol))

    def locate_in(self, score_map):
        """Returns the Prediction of a score map that is already (S, S) float64 in [0, 1]."""
        gray = to_gray(score_map, self.protocol)
        boxes = boxes_at_levels(gray, levels_at(gray, self.thresholds), self.protocol)
        return Prediction(boxes=boxes, score_map=score_map)

    def score(self, prediction, *, boxes, image_size, label, top5, mask=None):
        """Scores a Prediction; arguments and result as in `add`."""
        ranks = np.flatnonzero(np.asarray(top5)[:5] == label)
        right = np.array([True, 0 in ranks, ranks.size > 0])
        self.classified += 1
        self.classified_hits += right[1:]
        if mask is not None and prediction.score_map is not None:
            self.pixels.add(prediction.score_map, mask_in_frame(mask, self.frame))
        true_boxes = boxes_in_frame(boxes, image_size, self.frame, self.protocol)
        ious = np.full(len(self.thresholds), np.nan)
        if len(true_boxes):
            ious = pairwise_iou(prediction.boxes, true_boxes, self.protocol.iou_extent).max(1)
            self.located += 1
        hits = self.protocol.is_hit(ious, np.array(self.iou_thresholds)[:, None])
        self.hits += right[:, None, None] & hits
        return PictureScore(prediction=prediction, true_boxes=true_boxes, ious=ious, hits=hits)

    def merge(self, other):
        """Adds the counts of another scorer, made with the same arguments, to this one."""
        if not (self._rules() == other._rules() and np.array_equal(self.thresholds, other.thresholds)):
            raise ValueError("only scorers of the same protocol, frame and thresholds can be merged")
        self.hits += other.hits
        self.located += other.located
        self.classified_hits += other.classified_hits
        self.classified += other.classified
        self.pixels.merge(other.pixels)

    def _rules(self):
        return self.protocol, self.frame, self.iou_thresholds

    def index_of(self, threshold):
        """Position of `threshold` in `thresholds`; ValueError when it is not one of them."""
        found = np.flatnonzero(self.thresholds == threshold)
        if not found.size:
            raise ValueError(f"threshold {threshold} was not scored; pass it to LocalizationScorer(thresholds=...)")
        return int(found[0])

    def scores(self, threshold):
        """The localization scores at one threshold: a list of Score, METRICS by IoU threshold."""
        column = self.index_of(threshold)
        return [
            Score(metric, int(self.hits[row, k, column]), self.located, iou, float(threshold))
            for row, metric in enumerate(METRICS)
            for k, iou in enumerate(self.iou_thresholds)
        ]

    def best(self, iou):
        """The lowest threshold with the most GT-known hits at this IoU threshold."""
        return float(self.thresholds[np.argmax(self.hits[0, self.iou_thresholds.index(iou)])])

    def max_box_acc(self, iou):
        """MaxBoxAcc at this IoU threshold: the Score of GT-known Loc at the best threshold."""
        best = self.best(iou)
        return next(s for s in self.scores(best) if s.metric == METRICS[0] and s.iou == iou)

    def classification(self):
        """(Top-1, Top-5) classification as Scores."""
        return tuple(
            Score(metric, int(hits), self.classified)
            for metric, hits in zip(("Top-1 Cls", "Top-5 Cls"), self.classified_hits)
        )

    def curves(self):
        """Scores over thresholds, ready for JSON.

        Returns:
          {"thresholds": [T floats], "gt_known_0.5": [T floats in [0, 1]], "top1_0.5": ..., ...}.
        """
        curves = {"thresholds": self.thresholds.tolist()}
        for row, name in enumerate(CURVES):
            for k, iou in enumerate(self.iou_thresholds):
                curves[f"{name}_{iou:g}"] = (self.hits[row, k] / max(self.located, 1)).tolist()
        return curves
