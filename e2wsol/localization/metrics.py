"""Localization scores over a data set, in constant memory.

Terms: a picture is a hit at an IoU threshold when the predicted box meets one of the true boxes
that well. GT-known Loc counts hits; Top-1 and Top-5 Loc count hits whose label is also the first,
or among the first five, predicted classes. The box always comes from the map of the true class:
whenever a picture counts for Top-1 Loc that is the predicted class's map as well, and for Top-5
Loc it is the map of the right one among the five. MaxBoxAcc is GT-known Loc at the best threshold.
A score is the share of all pictures, or the mean over classes of each class's share, as the protocol
averages.
"""

import dataclasses

import numpy as np

from e2wsol.localization.boxes import boxes_at_levels, to_levels
from e2wsol.localization.ground_truth import boxes_in_frame, mask_in_frame
from e2wsol.localization.iou import pairwise_iou
from e2wsol.localization.pxap import PixelCounter
from e2wsol.localization.score_map import to_score_map

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
    """How many pictures hit; `iou` and `threshold` are None for plain classification.

    Attributes:
      value: the share in [0, 1], NaN without a picture.
      average: "pictures": the share of all pictures; "classes": the mean of the classes' shares.
      hits, pictures: counts over all classes.
    """

    metric: str
    value: float
    average: str
    hits: int
    pictures: int
    iou: float | None = None
    threshold: float | None = None


class Tally:
    """Counts of some pictures.

    Attributes:
      hits: (3, K, T) int64, rows as in METRICS.
      located: pictures with a true box, the denominator of `hits`.
      classified_hits: (2,) int64, Top-1 and Top-5.
      classified: pictures, the denominator of `classified_hits`.
    """

    def __init__(self, iou_thresholds, thresholds):
        """Starts at zero; takes the numbers K and T of thresholds."""
        self.hits = np.zeros((len(METRICS), iou_thresholds, thresholds), np.int64)
        self.located = 0
        self.classified_hits = np.zeros(2, np.int64)
        self.classified = 0

    def add(self, other):
        """Adds the counts of another tally."""
        self.hits += other.hits
        self.located += other.located
        self.classified_hits += other.classified_hits
        self.classified += other.classified


class LocalizationScorer:
    """Counts hits of one protocol over pictures.

    Pictures without a true box count for classification alone, those without a mask not for PxAP.
    Memory grows with the classes at most, and only where the protocol averages over them.

    Attributes:
      thresholds: (T,) float64, ascending: the protocol's grid, its default threshold and those
        that were asked for.
      iou_thresholds: (K,) tuple of float.
      tallies: the groups of pictures that weigh the same, {label: Tally} or {None: Tally}.
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
        self.tallies = {}
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
        image, levels = to_levels(score_map, self.thresholds, self.protocol)
        return Prediction(boxes=boxes_at_levels(image, levels, self.protocol), score_map=score_map)

    def score(self, prediction, *, boxes, image_size, label, top5, mask=None):
        """Scores a Prediction; arguments and result as in `add`."""
        if mask is not None and prediction.score_map is not None:
            self.pixels.add(prediction.score_map, mask_in_frame(mask, self.frame))
        true_boxes = boxes_in_frame(boxes, image_size, self.frame, self.protocol)
        ious = np.full(len(self.thresholds), np.nan)
        if len(true_boxes):
            ious = pairwise_iou(prediction.boxes, true_boxes, self.protocol.iou_extent).max(1)
        hits = self.count(ious, label=label, top5=top5)
        return PictureScore(prediction=prediction, true_boxes=true_boxes, ious=ious, hits=hits)

    def count(self, ious, *, label, top5):
        """Counts one picture by the IoU of its boxes.

        Args:
          ious: (T,) best IoU at each threshold; NaN without a true box.
          label, top5: as in `add`.

        Returns:
          (K, T) bool, whether the picture hits.
        """
        tally = self._tally(int(label) if self.protocol.average == "classes" else None)
        ranks = np.flatnonzero(np.asarray(top5)[:5] == label)
        right = np.array([True, 0 in ranks, ranks.size > 0])
        hits = self.protocol.is_hit(ious, np.array(self.iou_thresholds)[:, None])
        tally.classified += 1
        tally.classified_hits += right[1:]
        tally.located += not np.isnan(ious).any()
        tally.hits += right[:, None, None] & hits
        return hits

    def merge(self, other):
        """Adds the counts of another scorer, made with the same arguments, to this one."""
        if not (self._rules() == other._rules() and np.array_equal(self.thresholds, other.thresholds)):
            raise ValueError("only scorers of the same protocol, frame and thresholds can be merged")
        for group, tally in other.tallies.items():
            self._tally(group).add(tally)
        self.pixels.merge(other.pixels)

    def _rules(self):
        return self.protocol, self.frame, self.iou_thresholds

    def _tally(self, group):
        if group not in self.tallies:
            self.tallies[group] = Tally(len(self.iou_thresholds), len(self.thresholds))
        return self.tallies[group]

    def total(self):
        """The Tally of all pictures."""
        total = Tally(len(self.iou_thresholds), len(self.thresholds))
        for tally in self.tallies.values():
            total.add(tally)
        return total

    @property
    def hits(self):
        """(3, K, T) int64 hits of all pictures, rows as in METRICS."""
        return self.total().hits

    @property
    def located(self):
        """Pictures with a true box."""
        return self.total().located

    @property
    def classified(self):
        """Pictures scored."""
        return self.total().classified

    def shares(self):
        """(3, K, T) float64 localization scores in [0, 1]; NaN without a picture that has a true box."""
        shape = len(METRICS), len(self.iou_thresholds), len(self.thresholds)
        return _mean_share([(tally.hits, tally.located) for _, tally in sorted(self.tallies.items())], shape)

    def index_of(self, threshold):
        """Position of `threshold` in `thresholds`; ValueError when it is not one of them."""
        found = np.flatnonzero(self.thresholds == threshold)
        if not found.size:
            raise ValueError(f"threshold {threshold} was not scored; pass it to LocalizationScorer(thresholds=...)")
        return int(found[0])

    def scores(self, threshold):
        """The localization scores at one threshold: a list of Score, METRICS by IoU threshold."""
        column = self.index_of(threshold)
        shares, total = self.shares(), self.total()
        return [
            Score(
                metric,
                value=float(shares[row, k, column]),
                average=self.protocol.average,
                hits=int(total.hits[row, k, column]),
                pictures=total.located,
                iou=iou,
                threshold=float(threshold),
            )
            for row, metric in enumerate(METRICS)
            for k, iou in enumerate(self.iou_thresholds)
        ]

    def best(self, iou):
        """The lowest threshold with the best GT-known Loc at this IoU threshold."""
        # Means over classes that are equal can differ in their last bits.
        values = np.round(self.shares()[0, self.iou_thresholds.index(iou)], 12)
        return float(self.thresholds[np.argmax(values)])

    def max_box_acc(self, iou):
        """MaxBoxAcc at this IoU threshold: the Score of GT-known Loc at the best threshold."""
        best = self.best(iou)
        return next(s for s in self.scores(best) if s.metric == METRICS[0] and s.iou == iou)

    def classification(self):
        """(Top-1, Top-5) classification as Scores."""
        total = self.total()
        counts = [(tally.classified_hits, tally.classified) for _, tally in sorted(self.tallies.items())]
        shares = _mean_share(counts, total.classified_hits.shape)
        return tuple(
            Score(metric, float(share), self.protocol.average, int(hits), total.classified)
            for metric, share, hits in zip(("Top-1 Cls", "Top-5 Cls"), shares, total.classified_hits)
        )

    def curves(self):
        """Scores over thresholds, ready for JSON; zeros where no picture has a true box.

        Returns:
          {"thresholds": [T floats], "gt_known_0.5": [T floats in [0, 1]], "top1_0.5": ..., ...}.
        """
        shares = np.nan_to_num(self.shares())
        curves = {"thresholds": self.thresholds.tolist()}
        for row, name in enumerate(CURVES):
            for k, iou in enumerate(self.iou_thresholds):
                curves[f"{name}_{iou:g}"] = shares[row, k].tolist()
        return curves


def _mean_share(counts, shape):
    """Mean over groups of hits / pictures, groups without a picture left out; NaN where none is left."""
    shares = [hits / pictures for hits, pictures in counts if pictures]
    return np.mean(shares, axis=0) if shares else np.full(shape, np.nan)
