"""Bootstrap over pictures of what all rows of a study were scored on: the same pictures are drawn for all of them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from e2wsol.localization.bootstrap import counter_of
from e2wsol.localization.pixel_metrics import pxap

DRAWS = 10_000
PIXEL_DRAWS = 1_000
SEED = 0
_ROOM = 4_000_000  # numbers of weights in memory at a time


def weights(pictures: int, draws: int) -> Iterator[np.ndarray]:
    """Yields (some draws, pictures) int64: how often each picture was drawn, always the same for the same arguments."""
    rng, at_once = np.random.default_rng(SEED), max(1, _ROOM // max(1, pictures))
    for start in range(0, draws, at_once):
        yield rng.multinomial(pictures, np.full(pictures, 1 / pictures), size=min(at_once, draws - start))


def mean_draws(values: ArrayLike) -> np.ndarray:
    """(R, DRAWS) means of the drawn pictures' values; takes (R, N) float64: many rows cost hardly more than one."""
    columns = np.asarray(values, np.float64).T
    return np.concatenate([each @ columns for each in weights(len(columns), DRAWS)]).T / len(columns)


def pxap_draws(histograms: np.ndarray) -> np.ndarray:
    """(PIXEL_DRAWS,) PxAP of the drawn groups of pictures, the mean over seeds.

    Args:
      histograms: (S, G, 2, bins) int64 of Outcomes of S seeds.
    """
    seeds, groups = histograms.shape[:2]
    flat = histograms.astype(np.float64).transpose(1, 0, 2, 3).reshape(groups, -1)  # exact below 2**53
    drawn = np.concatenate([each @ flat for each in weights(groups, PIXEL_DRAWS)])
    totals = drawn.reshape(PIXEL_DRAWS, seeds, *histograms.shape[2:])
    return np.array([np.mean([pxap(counter_of(total)) for total in each]) for each in totals])


def differences(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """(draws,) of ours less theirs, where 0 is 0: thirds, the means of three seeds, have no exact sums."""
    return np.round(ours - theirs, 12)


def p_value(draws: np.ndarray) -> float:
    """Two-sided: how often drawn differences fall on either side of 0, at least 2 / (draws + 1)."""
    lower = (np.count_nonzero(draws <= 0) + 1) / (len(draws) + 1)
    higher = (np.count_nonzero(draws >= 0) + 1) / (len(draws) + 1)
    return float(min(1, 2 * min(lower, higher)))
