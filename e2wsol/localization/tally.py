"""Numerators and denominators of localization scores, and the sizes of objects that they are kept apart by."""

import dataclasses

import numpy as np
import numpy.typing as npt

from e2wsol.localization.frame import Frame

METRICS = ("GT-known Loc", "Top-1 Loc", "Top-5 Loc")
SIZES = ("small", "medium", "large")
# Lower bounds of the second and third size, as a share of the frame; there is no published split for localization, and
# COCO's are in pixels. With these each size holds a fair part of CUB and of ImageNet.
SIZE_BOUNDS = (0.1, 0.4)


def size_of(true_boxes: np.ndarray, frame: Frame) -> int | None:
    """The index in SIZES of the image's largest true box, or None without a box.

    Args:
      true_boxes: (n, 4) x0, y0, x1, y1 in pixels of the frame; what stands out of it does not count.
      frame: how the image was resized and cropped.
    """
    if not len(true_boxes):
        return None
    inside = np.clip(true_boxes, 0, frame.size)
    areas = np.maximum(inside[:, 2:] - inside[:, :2], 0).prod(axis=1)
    return int(np.searchsorted(SIZE_BOUNDS, areas.max() / frame.size**2, side="right"))


class Tally:
    """Counts of some pictures.

    Attributes:
      hits: (3, K, T) int64, rows as in METRICS.
      counted: (T,) int64 pictures in the denominator of `hits` at each threshold.
      located: pictures with a true box; those not counted the protocol left out.
      pictures: all pictures.
      classified_hits: (2,) int64, Top-1 and Top-5.
      classified: pictures whose class was predicted, the denominator of `classified_hits`.
    """

    def __init__(self, iou_thresholds: int, thresholds: int) -> None:
        """Starts at zero; takes the numbers K and T of thresholds."""
        self.hits = np.zeros((len(METRICS), iou_thresholds, thresholds), np.int64)
        self.counted = np.zeros(thresholds, np.int64)
        self.located = 0
        self.pictures = 0
        self.classified_hits = np.zeros(2, np.int64)
        self.classified = 0

    def merge(self, other: "Tally") -> None:
        """Adds the counts of another tally."""
        self.hits += other.hits
        self.counted += other.counted
        self.located += other.located
        self.pictures += other.pictures
        self.classified_hits += other.classified_hits
        self.classified += other.classified


@dataclasses.dataclass(frozen=True)
class Cells:
    """One score's counts, a group of pictures that weigh the same at a time.

    Attributes:
      hits: (G,) int64.
      counted: (G,) int64, the denominators.
      left_out: pictures with a true box that are in no denominator.
    """

    hits: np.ndarray
    counted: np.ndarray
    left_out: int

    @property
    def value(self) -> float:
        """The mean of the groups' shares, see `mean_share`."""
        return float(mean_share(self.hits, self.counted))


def mean_share(hits: npt.ArrayLike, counted: npt.ArrayLike) -> np.ndarray:
    """Mean over groups (axis 0) of hits / counted; groups that count nothing are left out.

    Args:
      hits: (G, ...) numbers.
      counted: of a shape that broadcasts with it.

    Returns:
      (...) float64, NaN where no group counts anything.
    """
    hits, counted = np.broadcast_arrays(hits, counted)
    shares = np.divide(hits, counted, out=np.zeros(hits.shape), where=counted > 0)
    groups = np.count_nonzero(counted, axis=0)
    return np.divide(shares.sum(axis=0), groups, out=np.full(hits.shape[1:], np.nan), where=groups > 0)
