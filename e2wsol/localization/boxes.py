"""Boxes from score maps, with OpenCV's contours and connected components."""

import cv2
import numpy as np

from e2wsol.localization import protocols
from e2wsol.localization.frame import Frame
from e2wsol.localization.score_map import to_gray, to_score_map


def to_levels(score_map, thresholds, protocol):
    """An integer image for a score map, and a level for each threshold.

    The pixels of the image strictly above a level are those that the threshold leaves. Where the
    protocol thresholds the scores themselves, a pixel's value is the number of thresholds below it.

    Args:
      score_map: (S, S) float64 in [0, 1].
      thresholds: (T,) in [0, 1].
      protocol: BoxProtocol.

    Returns:
      (image (S, S) uint8 or int32, levels (T,) int32).
    """
    if protocol.gray_steps is not None:
        gray = to_gray(score_map, protocol)
        return gray, levels_at(gray, thresholds, relative=protocol.relative_threshold)
    top = score_map.max() if protocol.relative_threshold else 1.0
    bounds, levels = np.unique(protocol.rounded(protocol.rounded(thresholds) * top), return_inverse=True)
    return np.searchsorted(bounds, score_map).astype(np.int32), levels.astype(np.int32)


def levels_at(gray, thresholds, *, relative=True):
    """The gray level of each threshold: int(threshold * largest gray value), product in float64.

    Args:
      gray: (H, W) uint8.
      thresholds: (T,) in [0, 1].
      relative: whether the largest gray value is that of this map rather than 255.

    Returns:
      (T,) int32; pixels strictly above the level are foreground.
    """
    top = float(gray.max()) if relative else 255.0
    return (np.asarray(thresholds, np.float64) * top).astype(np.int32)


def box_at(image, level, protocol):
    """The box of one level: the bounds of the protocol's component among the pixels above it.

    Args:
      image: (H, W) integers.
      level: pixels strictly above it are foreground.
      protocol: BoxProtocol, says which component counts, what an empty mask gives and whether ends
        are clipped.

    Returns:
      (4,) int32 x0, y0, x1 = x0 + width, y1 = y0 + height in pixels of `image`.
    """
    mask = image > level
    if not mask.any():
        return protocol.box_of_nothing(image.shape)
    x, y, width, height = _COMPONENT_BOUNDS[protocol.component](mask.view(np.uint8))
    box = np.array((x, y, x + width, y + height), np.int32)
    return _clip_ends(box, image.shape) if protocol.clip_ends else box


def boxes_at_levels(image, levels, protocol):
    """The boxes of many levels; levels that leave the same mask are looked at once.

    Args:
      image: (H, W) integers, 0 or more.
      levels: (L,) integers.
      protocol: BoxProtocol.

    Returns:
      (L, 4) int32, see `box_at`.
    """
    values = np.unique(image)
    steps, inverse = np.unique(np.searchsorted(values, levels, side="right"), return_inverse=True)
    floors = np.concatenate([[-1], values]).astype(np.int32)[steps]
    return np.stack([box_at(image, level, protocol) for level in floors])[inverse]


def extract_box(localization_map, *, image_size, threshold=None, protocol="maxboxacc", size=224):
    """One map in, one box in the picture's pixels out.

    The picture must have been resized to the network's input without a crop.

    Args:
      localization_map: (h, w) float array, any range, e.g. one of `model.localize`.
      image_size: (width, height) of the original picture in pixels.
      threshold: in [0, 1], read as the protocol does; None takes the protocol's own.
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
    image, levels = to_levels(to_score_map(localization_map, size, rules), [threshold], rules)
    box = box_at(image, levels[0], rules)
    return Frame(size=size, resize=size).to_picture(box, image_size)


def _largest_contour(mask):
    """Bounds of the outer contour of largest cv2.contourArea in a (H, W) uint8 mask that is not empty.

    Between equal areas it is the contour whose first pixel in raster order comes last, as OpenCV
    lists them. Contours inside holes need not be looked at: they are smaller than the one around them.
    """
    # OpenCV 3 returns (image, contours, hierarchy), later majors (contours, hierarchy).
    contours = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[-2]
    return cv2.boundingRect(max(contours, key=cv2.contourArea))


def _most_pixels(mask):
    """Bounds of the component with the most pixels; between equal ones, of the first in raster order."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    counts = statistics[:, cv2.CC_STAT_AREA]
    counts[0] = 0  # the background
    # Not simply the first label: OpenCV numbers components in order of 2x2 blocks.
    first = np.argmax(counts[labels] == counts.max())
    return statistics[labels.ravel()[first], : cv2.CC_STAT_AREA]


_COMPONENT_BOUNDS = {"contour_area": _largest_contour, "pixel_count": _most_pixels}


def _clip_ends(box, shape):
    height, width = shape
    box[2:] = np.minimum(box[2:], (width - 1, height - 1))
    return box
