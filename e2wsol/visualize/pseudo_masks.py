"""One picture that shows what pseudo masks look like, a row a sample."""

import cv2
import numpy as np

from e2wsol.localization.pseudo_mask import targets
from e2wsol.visualize.overlay import PREDICTED_COLOR, heat_overlay

# Its file in a folder of records with pseudo masks.
SHEET = "pseudo_masks.png"
_TITLES = ("picture", "foreground", "prior", "orange: object, dark: ignored")
_TITLE_ROWS = 24
_GAP = 4


def sheet(samples, *, side=192):
    """Pictures beside their foreground, prior and training target.

    Args:
      samples: list of (picture uint8 RGB (H, W, 3), pseudo mask uint8 (H', W', 2)), not empty.
      side: of a tile, pixels; the aspect ratio is not kept, as in training.

    Returns:
      uint8 RGB picture.
    """
    rows = [_title_row(side), *(_row(*sample, side) for sample in samples)]
    return np.concatenate(rows, axis=0)


def _row(picture, mask, side):
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    foreground, prior = (np.ascontiguousarray(mask[..., channel]) for channel in (0, 1))
    tiles = small, heat_overlay(small, foreground), heat_overlay(small, prior), _target_overlay(small, mask)
    return np.concatenate([np.pad(tile, ((0, _GAP), (0, _GAP), (0, 0))) for tile in tiles], axis=1)


def _target_overlay(picture, mask):
    """The picture with its object pixels tinted and the ignored ones darkened."""
    target, weight = targets(mask, picture.shape[0])
    tinted = cv2.addWeighted(picture, 0.5, np.full_like(picture, PREDICTED_COLOR), 0.5, 0.0)
    kept = np.where(weight[..., None] == 1, picture, picture // 4)
    return np.where(target[..., None] == 1, tinted, kept)


def _title_row(side):
    row = np.full((_TITLE_ROWS, len(_TITLES) * (side + _GAP), 3), 24, np.uint8)
    for column, title in enumerate(_TITLES):
        start = column * (side + _GAP) + 4, _TITLE_ROWS - 8
        cv2.putText(row, title, start, cv2.FONT_HERSHEY_SIMPLEX, 0.38, (235, 235, 235), 1, cv2.LINE_AA)
    return row
