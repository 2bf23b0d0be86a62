"""Percentile bootstrap intervals over pictures, in constant memory.

Nothing is kept of a single picture. A share of hits depends on a resampled data set only by how many of
its pictures fall into each cell (class by hit, miss or left out), and those numbers are multinomial with
the counts' shares: drawing them is the bootstrap over pictures, not an approximation of it. For figures
of pixels the pictures are dealt into GROUPS groups in turn, and groups are resampled: up to GROUPS
pictures that is the bootstrap over pictures, beyond it the bootstrap over random groups.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from e2wsol.localization.pixel_metrics import PixelCounter
from e2wsol.localization.tally import Cells, mean_share

Interval = tuple[float, float]

DRAWS = 1000
LEVEL = 0.95
SEED = 0
GROUPS = 200


def describe() -> dict[str, Any]:
    """How intervals are made, ready for JSON."""
    return {"method": "percentile bootstrap over pictures", "level": LEVEL, "draws": DRAWS, "seed": SEED}


def share_interval(cells: Cells) -> Interval:
    """(low, high) of a score in [0, 1]; (NaN, NaN) where it counts no picture.

    Args:
      cells: Cells.
    """
    if not cells.counted.any():
        return float("nan"), float("nan")
    groups = len(cells.hits)
    counts = np.concatenate([cells.hits, cells.counted - cells.hits, [cells.left_out]])
    drawn = np.random.default_rng(SEED).multinomial(counts.sum(), counts / counts.sum(), size=DRAWS).T
    return percentiles(mean_share(drawn[:groups], drawn[:groups] + drawn[groups : 2 * groups]))


def mean_interval(intervals: Iterable[Interval]) -> Interval:
    """(low, high) of the mean of several scores of the same pictures.

    Low and high are the means of the parts' ends, as if the scores moved together. Those of several IoU
    thresholds nearly do; where they do not, the true interval is narrower.
    """
    low, high = np.mean(list(intervals), axis=0)
    return float(low), float(high)


def percentiles(values: np.ndarray) -> Interval:
    """(low, high) of drawn values; a draw without any counted picture has no value, NaN, and is left out."""
    values = values[~np.isnan(values)]
    if not values.size:
        return float("nan"), float("nan")
    low, high = np.quantile(values, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


class PixelGroups:
    """Histograms of pixel scores of GROUPS groups of pictures.

    Attributes:
      histograms: (GROUPS, 2, bins) int64, object and background pixels.
      pictures: maps counted.
    """

    def __init__(self) -> None:
        """Starts at zero."""
        self.histograms = np.zeros((GROUPS, 2, len(PixelCounter().object_pixels)), np.int64)
        self.pictures = 0

    def update(self, counter: PixelCounter) -> None:
        """Counts one picture by its own PixelCounter."""
        group = self.histograms[self.pictures % GROUPS]
        group[0] += counter.object_pixels
        group[1] += counter.background_pixels
        self.pictures += counter.pictures

    def merge(self, other: "PixelGroups") -> None:
        """Adds the counts of other groups, as if their pictures came after this one's."""
        self.histograms += np.roll(other.histograms, self.pictures % GROUPS, axis=0)
        self.pictures += other.pictures

    def interval(self, figure: Callable[[PixelCounter], float]) -> Interval:
        """(low, high) of a figure.

        Args:
          figure: figure(PixelCounter) -> number.
        """
        groups = self.histograms[: min(self.pictures, GROUPS)]
        count = len(groups)
        if not count:
            return float("nan"), float("nan")
        weights = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=DRAWS)
        # In floating point, since NumPy multiplies integer matrices without BLAS; exact below 2**53.
        totals = weights.astype(np.float64) @ groups.reshape(count, -1)
        return percentiles(np.array([figure(counter_of(total)) for total in totals.reshape(DRAWS, 2, -1)]))


def counter_of(histograms: np.ndarray) -> PixelCounter:
    """The PixelCounter of (2, bins) object and background pixels; how many pictures they are of it does not know."""
    counter = PixelCounter()
    counter.object_pixels, counter.background_pixels = histograms
    return counter
