"""Scores of a map's pixels against the object's outline, from histograms of a fixed size.

PxAP is the area under the pixel-wise precision-recall curve of the wsolevaluation benchmark (Choe et al., "Evaluating
Weakly Supervised Object Localization Methods Right", CVPR 2020, section 3.3); PIoU is the IoU of the pixels above the
best threshold.
"""

import numpy as np

from e2wsol.localization.compiled import compiled

# One bin for each threshold, then [1, 2) and [2, 3]; left-closed, only the last closed on the right.
EDGES = np.append(np.arange(0, 1, 0.001), (1.0, 2.0, 3.0))
_BINS_TO_ONE = 1000


@compiled
def _count(scores, labels, edges, counts):
    """np.histogram of the scores with label 0 and with label 1 into the rows of `counts`; leaves out other labels.

    A score times 1000 may round to the next bin: the edges themselves decide, as they do in NumPy.
    """
    last = len(edges) - 2
    for pixel in range(len(scores)):
        score = scores[pixel]
        # Written so that NaN is left out, as everything outside the edges is.
        if labels[pixel] > 1 or not (edges[0] <= score <= edges[last + 1]):
            continue
        index = min(int(score * _BINS_TO_ONE), _BINS_TO_ONE)
        while score < edges[index]:
            index -= 1
        while index < last and score >= edges[index + 1]:
            index += 1
        counts[labels[pixel], index] += 1


class PixelCounter:
    """Histograms of the scores on object and on background pixels, over any number of maps.

    Attributes:
      object_pixels, background_pixels: (1002,) int64 counts between EDGES.
      pictures: maps counted.
    """

    def __init__(self) -> None:
        """Starts at zero."""
        self.object_pixels = np.zeros(len(EDGES) - 1, np.int64)
        self.background_pixels = np.zeros(len(EDGES) - 1, np.int64)
        self.pictures = 0

    def update(self, score_map: np.ndarray, mask: np.ndarray) -> None:
        """Counts one map.

        Args:
          score_map: (S, S) float64 in [0, 1]; float32 scores would fall below their bin's edge.
          mask: (S, S) uint8, 0 background, 1 object; every other value is left out.
        """
        counts = np.zeros((2, len(EDGES) - 1), np.int64)
        _count(score_map.ravel(), mask.ravel(), EDGES, counts)
        self.background_pixels += counts[0]
        self.object_pixels += counts[1]
        self.pictures += 1

    def merge(self, other: "PixelCounter") -> None:
        """Adds the counts of another counter."""
        self.object_pixels += other.object_pixels
        self.background_pixels += other.background_pixels
        self.pictures += other.pictures

    def precision_recall(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns (precision, recall), each (1002,) float64 for scores >= EDGES[-2], ..., EDGES[0].

        Precision is NaN where no pixel reaches the edge, recall where no pixel is object.
        """
        found = np.cumsum(self.object_pixels[::-1])
        false = np.cumsum(self.background_pixels[::-1])
        with np.errstate(invalid="ignore"):
            return found / (found + false), found / self.object_pixels.sum()


def pxap(counter: PixelCounter) -> float:
    """PxAP in [0, 1]; NaN without an object pixel."""
    precision, recall = counter.precision_recall()
    return float(np.nansum(precision[1:] * np.diff(recall))) if counter.object_pixels.any() else float("nan")


def pixel_ious(counter: PixelCounter) -> np.ndarray:
    """(len(EDGES) - 1,) float64 IoU of the pixels at or above each of EDGES[:-1] with the objects' pixels.

    Summed over all maps before dividing; NaN without an object pixel.
    """
    found = np.cumsum(counter.object_pixels[::-1])[::-1]
    false = np.cumsum(counter.background_pixels[::-1])[::-1]
    union = counter.object_pixels.sum() + false
    return np.divide(found, union, out=np.full(len(found), np.nan), where=counter.object_pixels.sum() > 0)


def piou(counter: PixelCounter) -> float:
    """PIoU: the peak of `pixel_ious` over thresholds, in [0, 1]; NaN without an object pixel."""
    return float(pixel_ious(counter).max())


def piou_threshold(counter: PixelCounter) -> float:
    """The lowest threshold on the score map at which the peak is reached."""
    return float(EDGES[np.argmax(pixel_ious(counter))])
