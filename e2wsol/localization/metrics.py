"""Localization scores over a dataset, in one pass and constant memory.

Terms: an image is a hit at an IoU threshold when the predicted box meets one of the true boxes
that well. GT-known Loc counts hits; Top-1 and Top-5 Loc count hits whose label is also the first,
or among the first five, predicted classes. The box always comes from the map of the true class:
whenever an image counts for Top-1 Loc that is the predicted class's map as well, and for Top-5
Loc it is the map of the right one among the five. MaxBoxAcc is GT-known Loc at the best threshold;
with every contour, and averaged over IoU 0.3, 0.5 and 0.7, it is MaxBoxAccV2. A score is the share
of all images, or the mean over classes of each class's share, as the protocol averages.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from e2wsol.errors import ArgumentError
from e2wsol.localization import bootstrap
from e2wsol.localization.boxes import best_ious_at_levels, boxes_at_levels, to_levels
from e2wsol.localization.frame import Frame, boxes_in_frame, mask_in_frame
from e2wsol.localization.iou import best_iou
from e2wsol.localization.pixel_metrics import PixelCounter
from e2wsol.localization.protocols import BoxProtocol
from e2wsol.localization.score_map import to_score_map
from e2wsol.localization.tally import METRICS, Cells, Tally, mean_share, size_of

CURVES = ("gt_known", "top1", "top5")
IOU_THRESHOLDS = (0.3, 0.5, 0.7)
# Lower ends of the classes that IoUs are counted in.
OVERLAPS = tuple(step / 20 for step in range(20))


@dataclasses.dataclass(frozen=True)
class PredictedBoxes:
    """What a localizer says of one picture, in the frame.

    Attributes:
      boxes: (T, 4) int32 box at each of the scorer's thresholds.
      score_map: (S, S) float64 in [0, 1], or None for a localizer that has no map.
      empty: (T,) bool, whether no pixel is above the threshold.
      levels: (image, levels) of `boxes.to_levels` where contours beside the box count, else None.
    """

    boxes: np.ndarray
    score_map: np.ndarray | None
    empty: np.ndarray
    levels: tuple[np.ndarray, np.ndarray] | None = None


@dataclasses.dataclass(frozen=True)
class ImageScore:
    """One picture's outcome.

    Attributes:
      prediction: PredictedBoxes that were scored.
      true_boxes: (n, 4) float64 true boxes in the frame, as the protocol sees them.
      ious: (T,) float64 best IoU over the true boxes per threshold; NaN without a true box.
      hits: (K, T) bool, per IoU threshold and threshold.
      label: true class.
      top5: predicted classes or None, see `LocalizationScorer.update`.
      size: index in tally.SIZES, None without a true box.
      pixels: PixelCounter of this picture, None without a mask or a map.
    """

    prediction: PredictedBoxes
    true_boxes: np.ndarray
    ious: np.ndarray
    hits: np.ndarray
    label: int
    top5: Sequence[int] | np.ndarray | None
    size: int | None
    pixels: PixelCounter | None


@dataclasses.dataclass(frozen=True)
class Score:
    """How many pictures hit; `iou` and `threshold` are None for plain classification.

    Attributes:
      value: the share in [0, 1], NaN without a picture.
      average: "pictures": the share of all pictures; "classes": the mean of the classes' shares.
      hits, pictures: counts over all classes; `pictures` is the denominator.
      left_out: pictures with a true box that the protocol leaves out of it.
      interval: (low, high) of `value`, see bootstrap.py; None where it was not asked for.
    """

    metric: str
    value: float
    average: str
    hits: int
    pictures: int
    left_out: int = 0
    interval: tuple[float, float] | None = None
    iou: float | None = None
    threshold: float | None = None


def label_rank(top5: npt.ArrayLike, label: int) -> int:
    """Place of the label among the first five predicted classes, from 0; 5 where it is not among them."""
    found = np.flatnonzero(np.asarray(top5)[:5] == label)
    return int(found[0]) if found.size else 5


class LocalizationScorer:
    """Counts hits of one protocol over pictures.

    Pictures without a true box count for classification alone, those without a mask not for PxAP,
    those without a predicted class not for what needs one. Memory grows with the classes at most,
    and only where the protocol averages over them.

    Attributes:
      thresholds: (T,) float64, ascending: the protocol's grid, its default threshold and those
        that were asked for.
      iou_thresholds: (K,) tuple of float.
      tallies: {(group, size): Tally}: group is what weighs the same, the label or None for all, and
        size an index in tally.SIZES or None for pictures without a true box.
      overlaps: (T, len(OVERLAPS)) int64 pictures by IoU at each threshold.
      pixels: PixelCounter for PxAP and PIoU.
      pixel_groups: bootstrap.PixelGroups for their intervals.
    """

    def __init__(
        self,
        protocol: BoxProtocol,
        frame: Frame,
        *,
        thresholds: Iterable[float] = (),
        iou_thresholds: Iterable[float] = IOU_THRESHOLDS,
    ) -> None:
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
        self.tallies: dict[tuple[int | None, int | None], Tally] = {}
        self.overlaps = np.zeros((len(self.thresholds), len(OVERLAPS)), np.int64)
        self.pixels = PixelCounter()
        self.pixel_groups = bootstrap.PixelGroups()

    def update(self, localization_map: npt.ArrayLike, **facts: Any) -> ImageScore:
        """Scores one image, see `score_boxes`.

        Args:
          localization_map: (h, w) float array of the true class.
          **facts: boxes, image_size, label, top5 and mask as `score_boxes` takes them.
        """
        return self.update_boxes(self.boxes_of_map(localization_map), **facts)

    def boxes_of_map(self, localization_map: npt.ArrayLike) -> PredictedBoxes:
        """The PredictedBoxes of a (h, w) map: its score map and its box at every threshold."""
        return self.boxes_of_score_map(to_score_map(localization_map, self.frame.size, self.protocol))

    def boxes_of_score_map(self, score_map: np.ndarray) -> PredictedBoxes:
        """The PredictedBoxes of a score map that is already (S, S) float64 in [0, 1]."""
        image, levels = to_levels(score_map, self.thresholds, self.protocol)
        boxes = boxes_at_levels(image, levels, self.protocol)
        kept = (image, levels) if self.protocol.every_contour else None
        return PredictedBoxes(boxes=boxes, score_map=score_map, empty=levels >= image.max(), levels=kept)

    def update_boxes(self, prediction: PredictedBoxes, **facts: Any) -> ImageScore:
        """Scores PredictedBoxes; further arguments and result as in `update`."""
        outcome = self.score_boxes(prediction, **facts)
        self.update_scores(outcome)
        return outcome

    def score_boxes(
        self,
        prediction: PredictedBoxes,
        *,
        boxes: npt.ArrayLike,
        image_size: tuple[float, float],
        label: int,
        top5: Sequence[int] | np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> ImageScore:
        """The score of one image, not yet counted: changes nothing, so threads may share the scorer.

        Args:
          prediction: boxes of `boxes_of_map` or of another localizer.
          boxes: (n, 4) true boxes in pixels of the original image, exclusive ends; n may be 0.
          image_size: (width, height) of the original image.
          label: true class.
          top5: predicted classes, best first, five or all there are; None where none were predicted.
          mask: None or (H, W) uint8 at the image's size: 0 background, 1 object, 255 ignored.
        """
        true_boxes = boxes_in_frame(boxes, image_size, self.frame, self.protocol)
        ious = self._ious(prediction, true_boxes)
        pixels = None
        if mask is not None and prediction.score_map is not None:
            pixels = PixelCounter()
            pixels.update(prediction.score_map, mask_in_frame(mask, self.frame))
        return ImageScore(
            prediction=prediction,
            true_boxes=true_boxes,
            ious=ious,
            hits=self._hits(ious, prediction.empty),
            label=int(label),
            top5=top5,
            size=size_of(true_boxes, self.frame),
            pixels=pixels,
        )

    def _ious(self, prediction: PredictedBoxes, true_boxes: np.ndarray) -> np.ndarray:
        """(T,) float64 best IoU at each threshold; NaN without a true box."""
        if not len(true_boxes):
            return np.full(len(self.thresholds), np.nan)
        if prediction.levels is not None:
            return best_ious_at_levels(*prediction.levels, true_boxes, self.protocol)
        return best_iou(prediction.boxes, true_boxes, self.protocol)

    def _hits(self, ious: np.ndarray, empty: np.ndarray) -> np.ndarray:
        hits = self.protocol.is_hit(ious, np.array(self.iou_thresholds)[:, None])
        return hits & ~empty if self.protocol.skip_empty else hits

    def update_scores(self, outcome: ImageScore) -> None:
        """Counts an ImageScore of `score_boxes`."""
        self._count(outcome.hits, outcome.ious, outcome.prediction.empty, outcome.label, outcome.top5, outcome.size)
        if outcome.pixels is not None:
            self.pixels.merge(outcome.pixels)
            self.pixel_groups.update(outcome.pixels)

    def update_ious(
        self, ious: np.ndarray, *, label: int, top5: Sequence[int] | np.ndarray | None = None, size: int | None = None
    ) -> np.ndarray:
        """Counts one image by the IoU of its boxes.

        Args:
          ious: (T,) best IoU at each threshold; NaN without a true box.
          label: true class.
          top5: as in `score_boxes`.
          size: as in ImageScore.

        Returns:
          (K, T) bool, whether the picture hits.
        """
        empty = np.zeros(len(self.thresholds), bool)
        hits = self._hits(ious, empty)
        self._count(hits, ious, empty, int(label), top5, size)
        return hits

    def _count(
        self, hits: np.ndarray, ious: np.ndarray, empty: np.ndarray, label: int, top5: Any, size: int | None
    ) -> None:
        tally = self._tally((label if self.protocol.average == "classes" else None, size))
        tally.pictures += 1
        tally.hits[0] += hits
        if top5 is not None:
            rank = label_rank(top5, label)
            right = np.array([rank < 1, rank < 5])
            tally.classified += 1
            tally.classified_hits += right
            tally.hits[1:] += right[:, None, None] & hits
        if not np.isnan(ious).any():
            counted = ~empty if self.protocol.skip_empty else np.ones_like(empty)
            tally.located += 1
            tally.counted += counted
            classes = np.minimum((ious * len(OVERLAPS)).astype(np.int64), len(OVERLAPS) - 1)
            self.overlaps[np.arange(len(ious)), classes] += counted

    def merge(self, other: "LocalizationScorer") -> None:
        """Adds the counts of another scorer to this one.

        Raises:
          ArgumentError: it was made with other arguments.
        """
        if not (self._rules() == other._rules() and np.array_equal(self.thresholds, other.thresholds)):
            raise ArgumentError("other", None, "only scorers of the same protocol, frame and thresholds can be merged")
        for key, tally in other.tallies.items():
            self._tally(key).merge(tally)
        self.overlaps += other.overlaps
        self.pixels.merge(other.pixels)
        self.pixel_groups.merge(other.pixel_groups)

    def _rules(self) -> tuple[BoxProtocol, Frame, tuple[float, ...]]:
        return self.protocol, self.frame, self.iou_thresholds

    def _tally(self, key: tuple[int | None, int | None]) -> Tally:
        if key not in self.tallies:
            self.tallies[key] = Tally(len(self.iou_thresholds), len(self.thresholds))
        return self.tallies[key]

    def total(self) -> Tally:
        """The Tally of all pictures."""
        total = Tally(len(self.iou_thresholds), len(self.thresholds))
        for tally in self.tallies.values():
            total.merge(tally)
        return total

    @property
    def hits(self) -> np.ndarray:
        """(3, K, T) int64 hits of all pictures, rows as in METRICS."""
        return self.total().hits

    @property
    def pictures(self) -> int:
        """Pictures scored."""
        return sum(tally.pictures for tally in self.tallies.values())

    @property
    def located(self) -> int:
        """Pictures with a true box."""
        return sum(tally.located for tally in self.tallies.values())

    @property
    def classified(self) -> int:
        """Pictures whose class was predicted."""
        return sum(tally.classified for tally in self.tallies.values())

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those of METRICS that were measured: without predicted classes only the first."""
        return METRICS if self.classified else METRICS[:1]

    def shares(self, *, of_all: bool = False) -> np.ndarray:
        """(3, K, T) float64 localization scores in [0, 1]; NaN where no picture counts.

        Args:
          of_all: whether pictures that the protocol leaves out count as misses.
        """
        groups: dict[Any, tuple[Any, Any]] = {}
        for (group, _), tally in self.tallies.items():
            hits, counted = groups.get(group, (0, 0))
            pictures = np.full_like(tally.counted, tally.located) if of_all else tally.counted
            groups[group] = hits + tally.hits, counted + pictures
        if not groups:
            return np.full((len(METRICS), len(self.iou_thresholds), len(self.thresholds)), np.nan)
        hits, counted = map(np.stack, zip(*(groups[group] for group in sorted(groups))))
        return mean_share(hits, counted[:, None, None])

    def cells(self, metric: str, iou: float, threshold: float, size: int | None = None) -> Cells:
        """The Cells of one score, of all pictures or of those of one size (an index in tally.SIZES)."""
        row, (k, column) = METRICS.index(metric), self.position(iou, threshold)
        groups: dict[Any, list[int]] = {}
        located = 0
        for (group, of_size), tally in self.tallies.items():
            if size is None or of_size == size:
                counts = groups.setdefault(group, [0, 0])
                counts[0] += tally.hits[row, k, column]
                counts[1] += tally.counted[column]
                located += tally.located
        hits, counted = np.array([groups[group] for group in sorted(groups)], np.int64).reshape(-1, 2).T
        return Cells(hits=hits, counted=counted, left_out=int(located - counted.sum()))

    def index_of(self, threshold: float) -> int:
        """Position of `threshold` in `thresholds`.

        Raises:
          ArgumentError: it is not one of them.
        """
        found = np.flatnonzero(self.thresholds == threshold)
        if not found.size:
            raise ArgumentError("threshold", threshold, "was not scored; pass it to LocalizationScorer(thresholds=...)")
        return int(found[0])

    def position(self, iou: float, threshold: float) -> tuple[int, int]:
        """(k, column) of an IoU threshold and a threshold in ImageScore.hits."""
        return self.iou_thresholds.index(iou), self.index_of(threshold)

    def score_at(
        self, metric: str, iou: float, threshold: float, *, size: int | None = None, interval: bool = False
    ) -> Score:
        """One localization Score; arguments as in `cells`, and whether its interval is drawn."""
        cells = self.cells(metric, iou, threshold, size)
        return Score(
            metric,
            value=cells.value,
            average=self.protocol.average,
            hits=int(cells.hits.sum()),
            pictures=int(cells.counted.sum()),
            left_out=cells.left_out,
            interval=bootstrap.share_interval(cells) if interval else None,
            iou=iou,
            threshold=float(threshold),
        )

    def scores(self, threshold: float) -> list[Score]:
        """The localization scores at one threshold: a list of Score, METRICS by IoU threshold."""
        return [self.score_at(metric, iou, threshold) for metric in self.metrics for iou in self.iou_thresholds]

    def best(self, iou: float, metric: str = METRICS[0]) -> float:
        """The lowest threshold with the best score at this IoU threshold: the metric's own where the
        protocol chooses by metric, else that of GT-known Loc.

        Pictures that the protocol leaves out count as misses here: a threshold that leaves one easy
        picture is not the best one.
        """
        row = METRICS.index(metric) if self.protocol.best_by_metric else 0
        # Means over classes that are equal can differ in their last bits.
        values = np.round(self.shares(of_all=True)[row, self.iou_thresholds.index(iou)], 12)
        return float(self.thresholds[np.argmax(values)])

    def max_box_acc(self, iou: float, *, interval: bool = False) -> Score:
        """MaxBoxAcc at this IoU threshold: the Score of GT-known Loc at the best threshold."""
        return self.score_at(METRICS[0], iou, self.best(iou), interval=interval)

    def mean_max_box_acc(self) -> float:
        """The mean of MaxBoxAcc over the IoU thresholds: MaxBoxAccV2 where every contour counts."""
        return float(np.mean([self.max_box_acc(iou).value for iou in self.iou_thresholds]))

    def classification(self) -> tuple[Score, Score]:
        """(Top-1, Top-5) classification as Scores."""
        groups: dict[Any, tuple[np.ndarray, int]] = {}
        for (group, _), tally in self.tallies.items():
            hits, classified = groups.get(group, (np.zeros(2, np.int64), 0))
            groups[group] = hits + tally.classified_hits, classified + tally.classified
        counts = [groups[group] for group in sorted(groups)]
        hits = np.array([hits for hits, _ in counts], np.int64).reshape(-1, 2)
        pictures = np.array([classified for _, classified in counts], np.int64)
        shares = mean_share(hits, pictures[:, None])
        top1, top5 = (
            Score(metric, float(shares[row]), self.protocol.average, int(hits[:, row].sum()), int(pictures.sum()))
            for row, metric in enumerate(("Top-1 Cls", "Top-5 Cls"))
        )
        return top1, top5

    def curves(self) -> dict[str, list[float]]:
        """Scores over thresholds, ready for JSON; zeros where no picture has a true box.

        Returns:
          {"thresholds": [T floats], "gt_known_0.5": [T floats in [0, 1]], "top1_0.5": ..., ...}.
        """
        shares = np.nan_to_num(self.shares())
        curves = {"thresholds": self.thresholds.tolist()}
        for row in range(len(self.metrics)):
            for k, iou in enumerate(self.iou_thresholds):
                curves[f"{CURVES[row]}_{iou:g}"] = shares[row, k].tolist()
        return curves
