"""Boxes from score maps: of one threshold by OpenCV, of many by the component tree, which gives the same."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from e2wsol.localization import arguments, component_tree, protocols
from e2wsol.localization.compiled import compiled
from e2wsol.localization.frame import Frame
from e2wsol.localization.iou import best_iou
from e2wsol.localization.protocols import BoxProtocol
from e2wsol.localization.score_map import to_gray, to_score_map


def to_levels(score_map: np.ndarray, thresholds: npt.ArrayLike, protocol: BoxProtocol) -> tuple[np.ndarray, np.ndarray]:
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
    return ranks(score_map, bounds), levels.astype(np.int32)


def ranks(scores: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """The number of bounds below each score: np.searchsorted for scores and bounds that lie in [0, 1].

    Args:
      scores: (H, W) float64.
      bounds: (n,) float64, ascending.

    Returns:
      (H, W) int32.
    """
    cells = np.searchsorted(bounds, np.arange(_CELLS + 1) / _CELLS).astype(np.int32)
    found = np.empty(scores.shape, np.int32)
    _rank(scores.ravel(), np.append(bounds, np.inf), cells, found.reshape(-1))
    return found


# A power of two: scores times it, and its share of 1, are exact.
_CELLS = 1024


@compiled
def _rank(scores, bounds, cells, found):
    """Looks from the first bound of a score's cell onwards."""
    for index in range(len(scores)):
        rank = cells[int(min(max(scores[index], 0.0), 1.0) * _CELLS)]
        while bounds[rank] < scores[index]:
            rank += 1
        found[index] = rank


def levels_at(gray: np.ndarray, thresholds: npt.ArrayLike, *, relative: bool = True) -> np.ndarray:
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


def box_at(image: np.ndarray, level: int, protocol: BoxProtocol) -> np.ndarray:
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


def boxes_at_levels(image: np.ndarray, levels: npt.ArrayLike, protocol: BoxProtocol) -> np.ndarray:
    """The boxes of many levels, from one pass over the image.

    Args:
      image: (H, W) integers, 0 or more, none so large that component_tree.MOST_LEVELS is passed.
      levels: (L,) integers.
      protocol: BoxProtocol.

    Returns:
      (L, 4) int32, see `box_at`.
    """
    boxes = component_tree.largest_boxes(image, protocol.component)
    if protocol.clip_ends:
        boxes = _clip_ends(boxes, image.shape)
    nothing = protocol.box_of_nothing(image.shape)
    return np.concatenate([boxes, nothing[None]])[_rows(levels, len(boxes))]


def best_ious_at_levels(
    image: np.ndarray, levels: npt.ArrayLike, true_boxes: np.ndarray, protocol: BoxProtocol
) -> np.ndarray:
    """The best IoU at each level of any contour, outer or of a hole, with any true box.

    Args:
      image: (H, W) integers as in `boxes_at_levels`.
      levels: (L,) integers.
      true_boxes: (n, 4), n at least 1, in pixels of `image`.
      protocol: BoxProtocol; its component is not looked at.

    Returns:
      (L,) float64; at levels that leave nothing it is the IoU of the protocol's empty box.
    """
    boxes, ranges = component_tree.contour_boxes(image)
    if protocol.clip_ends:
        boxes = _clip_ends(boxes, image.shape)
    count = int(image.max()) + 1
    boxes = np.concatenate([boxes, protocol.box_of_nothing(image.shape)[None]])
    ious = best_iou(boxes, true_boxes, protocol)
    highest = component_tree.highest_at_levels(ious[:-1], ranges, count)
    return np.append(highest, ious[-1])[_rows(levels, count)]


def _rows(levels: npt.ArrayLike, count: int) -> np.ndarray:
    """Rows of the levels in a table of `count` rows from level -1, and one more for those above."""
    return np.minimum(np.maximum(np.asarray(levels, np.int64) + 1, 0), count)  # np.clip takes thrice as long


def extract_box(
    localization_map: Any,
    *,
    image_size: tuple[float, float],
    threshold: float | None = None,
    protocol: str | BoxProtocol = "maxboxacc",
    size: int = 224,
) -> np.ndarray:
    """The box of one localization map, in pixels of the image.

    The map is resized to `size` x `size` and normalised, its pixels strictly above the threshold make components, and
    the largest one's bounds are the box. It takes neither TensorFlow nor Keras. The image must have been resized to the
    network's input without a crop.

    Args:
      localization_map: (h, w) numbers, any size and range: an array, lists, or a framework's tensor in the computer's
        memory, such as one map of `model.localize`.
      image_size: (width, height) of the original image in pixels.
      threshold: in [0, 1]: a share of the map's maximum or a score as such, as the protocol reads it; None for the
        protocol's own.
      protocol: name of a box protocol, or a BoxProtocol such as that of a trained run.
      size: side of the square in which the box is searched, in pixels.

    Returns:
      (4,) float32 x0, y0, x1, y1 in pixels of the image, right and bottom exclusive, inside the image. With the
      protocols of the wsolevaluation benchmark ("maxboxacc" and others), which clip their ends, a box stops up to
      1 / size short of the right and bottom border. Where no pixel is above the threshold it is the protocol's empty
      box, such as zeros.

    Raises:
      ArgumentError: a map that is not (h, w), is empty, or holds NaN or infinity; an unknown protocol; a number out of
        its range.

    Source: each protocol reproduces published code, see `BoxProtocol.source`; "maxboxacc" is that of Choe et al.,
    "Evaluating Weakly Supervised Object Localization Methods Right", CVPR 2020, section 3.3.

    Example:
      >>> import numpy as np
      >>> from e2wsol.localization.boxes import extract_box
      >>> localization_map = np.zeros((14, 14))
      >>> localization_map[4:10, 2:8] = 1
      >>> extract_box(localization_map, image_size=(448, 224), threshold=0.5, protocol="bas").tolist()
      [64.0, 64.0, 256.0, 160.0]
    """
    rules = protocols.get(protocol)
    threshold = rules.default_threshold if threshold is None else arguments.as_share(threshold, "threshold")
    image_size, size = arguments.as_image_size(image_size), arguments.as_side(size, "size")
    score_map = to_score_map(arguments.as_map(localization_map, "localization_map"), size, rules)
    return box_of_score_map(score_map, image_size, threshold, rules)


def box_of_score_map(
    score_map: np.ndarray, image_size: tuple[float, float], threshold: float, protocol: BoxProtocol
) -> np.ndarray:
    """The second half of `extract_box`: the box of a score map (S, S) float64 in [0, 1] over the whole image."""
    image, levels = to_levels(score_map, [threshold], protocol)
    box = box_at(image, levels[0], protocol)
    return Frame(size=len(score_map), resize=len(score_map)).to_picture(box, image_size)


def _largest_contour(mask: np.ndarray) -> Sequence[int]:
    """Bounds of the outer contour of largest cv2.contourArea in a (H, W) uint8 mask that is not empty.

    Between equal areas it is the contour whose first pixel in raster order comes last, as OpenCV
    lists them. Contours inside holes need not be looked at: they are smaller than the one around them.
    """
    # OpenCV 3 returns (image, contours, hierarchy), later majors (contours, hierarchy).
    contours = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[-2]
    return cv2.boundingRect(max(contours, key=cv2.contourArea))


def _most_pixels(mask: np.ndarray) -> Any:
    """Bounds of the component with the most pixels; between equal ones, of the first in raster order."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    counts = statistics[:, cv2.CC_STAT_AREA]
    counts[0] = 0  # the background
    # Not simply the first label: OpenCV numbers components in order of 2x2 blocks.
    first = np.argmax(counts[labels] == counts.max())
    return statistics[labels.ravel()[first], : cv2.CC_STAT_AREA]


_COMPONENT_BOUNDS: dict[str, Callable[[np.ndarray], Sequence[int]]] = {
    "contour_area": _largest_contour,
    "pixel_count": _most_pixels,
}


def _clip_ends(boxes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(..., 4) boxes whose ends are inside a (height, width) image."""
    boxes = boxes.copy()
    for side, size in ((2, shape[1]), (3, shape[0])):  # NumPy is slow over a short last axis
        np.minimum(boxes[..., side], size - 1, out=boxes[..., side])
    return boxes
