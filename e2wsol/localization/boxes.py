"""Boxes from gray maps with OpenCV's contours."""

import cv2
import numpy as np

from e2wsol.localization import protocols
from e2wsol.localization.frame import Frame
from e2wsol.localization.score_map import to_gray, to_score_map


def levels_at(gray, thresholds):
    """The gray level of each threshold: int(threshold * largest gray value), product in float64.

    Args:
      gray: (H, W) uint8.
      thresholds: (T,) shares of the largest gray value in [0, 1].

    Returns:
      (T,) int32; pixels strictly above the level are foreground.
    """
    return (np.asarray(thresholds, np.float64) * float(gray.max())).astype(np.int32)


def box_at(gray, level, protocol):
    """The box of one gray level.

    It bounds the outer contour of largest cv2.contourArea among the pixels above `level`; between
    equal areas the contour whose first pixel in raster order comes last, as OpenCV lists them.
    Contours inside holes need not be looked at: they are smaller than the one around them.

    Args:
      gray: (H, W) uint8.
      level: pixels strictly above it are foreground.
      protocol: BoxProtocol, says what an empty mask gives and whether ends are clipped.

    Returns:
      (4,) int32 x0, y0, x1 = x0 + width, y1 = y0 + height in pixels of `gray`.
    """
    contours = _outer_contours((gray > level).view(np.uint8))
    if not contours:
        return np.array(protocol.empty_box, np.int32)
    x, y, width, height = cv2.boundingRect(max(contours, key=cv2.contourArea))
    box = np.array((x, y, x + width, y + height), np.int32)
    return _clip_ends(box, gray.shape) if protocol.clip_ends else box


def boxes_at_levels(gray, levels, protocol):
    """The boxes of many gray levels; levels that leave the same mask are looked at once.

    Args:
      gray: (H, W) uint8.
      levels: (L,) integers.
      protocol: BoxProtocol.

    Returns:
      (L, 4) int32, see `box_at`.
    """
    values = np.unique(gray)
    steps, inverse = np.unique(np.searchsorted(values, levels, side="right"), return_inverse=True)
    floors = np.concatenate([[-1], values]).astype(np.int32)[steps]
    return np.stack([box_at(gray, level, protocol) for level in floors])[inverse]


def extract_box(localization_map, *, image_size, threshold=None, protocol="maxboxacc", size=224):
    """One map in, one box in the picture's pixels out.

    The picture must have been resized to the network's input without a crop.

    Args:
      localization_map: (h, w) float array, any range, e.g. one of `model.localize`.
      image_size: (width, height) of the original picture in pixels.
      threshold: share of the largest gray value in [0, 1]; None takes the protocol's.
      protocol: name of a box protocol.
      size: side of the square in which the box is searched.

    Returns:
      (4,) float32 x0, y0, x1, y1 in pixels of the picture, right and bottom exclusive (with
      "maxboxacc", which clips its ends, up to 1 / size short of the right and bottom border).

    Raises:
      UserError: unknown protocol.
    """
    rules = protocols.get(protocol)
    threshold = rules.default_threshold if threshold is None else threshold
    gray = to_gray(to_score_map(localization_map, size, rules), rules)
    box = box_at(gray, levels_at(gray, [threshold])[0], rules)
    return Frame(size=size, resize=size).to_picture(box, image_size)


def _outer_contours(mask):
    # OpenCV 3 returns (image, contours, hierarchy), later majors (contours, hierarchy).
    return cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[-2]


def _clip_ends(box, shape):
    height, width = shape
    box[2:] = np.minimum(box[2:], (width - 1, height - 1))
    return box
