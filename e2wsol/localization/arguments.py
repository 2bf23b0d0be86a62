"""What callers hand to the public functions, checked and as NumPy arrays."""

from typing import Any

import numpy as np

from e2wsol.errors import ArgumentError


def as_map(value: Any, argument: str) -> np.ndarray:
    """(h, w) float64 of one map, an array or a framework's tensor.

    Raises:
      ArgumentError: not two axes, nothing in it, or a value that is NaN or infinite.
    """
    scores = _as_numbers(value, argument)
    if scores.ndim != 2 or not scores.size:
        raise ArgumentError(argument, None, f"must be one map of shape (height, width), not of {scores.shape}")
    _check_finite(scores, argument)
    return scores


def as_score_map(value: Any, size: int, argument: str) -> np.ndarray:
    """(size, size) float64 of one map of scores in [0, 1].

    Raises:
      ArgumentError: another shape, or a value outside of [0, 1].
    """
    scores = as_map(value, argument)
    if scores.shape != (size, size):
        raise ArgumentError(argument, None, f"must be of shape {(size, size)}, not {scores.shape}")
    if scores.min() < 0 or scores.max() > 1:
        raise ArgumentError(argument, None, f"must lie in [0, 1], not from {scores.min():g} to {scores.max():g}")
    return scores


def as_boxes(value: Any, argument: str) -> np.ndarray:
    """(n, 4) float64 x0, y0, x1, y1; takes one box (4,) and an empty list too.

    Raises:
      ArgumentError: another shape, a value that is NaN or infinite, or an end before its start.
    """
    boxes = _as_numbers(value, argument)
    if boxes.size and (boxes.ndim > 2 or boxes.shape[-1] != 4):
        raise ArgumentError(argument, None, f"must be of shape (n, 4), not {boxes.shape}")
    boxes = boxes.reshape(-1, 4)
    _check_finite(boxes, argument)
    if (boxes[:, 2:] < boxes[:, :2]).any():
        raise ArgumentError(argument, None, "a box ends before it starts; each is x0, y0, x1, y1")
    return boxes


def as_mask(value: Any, image_size: tuple[float, float], argument: str) -> np.ndarray:
    """(height, width) uint8 of one mask.

    Raises:
      ArgumentError: not of the image's size, or values that are no integers from 0 to 255.
    """
    mask, (width, height) = np.asarray(value), image_size
    if mask.shape != (height, width):
        raise ArgumentError(
            argument, None, f"must be of the image's (height, width), {(height, width)}, not {mask.shape}"
        )
    if mask.dtype.kind not in "bui" or mask.min() < 0 or mask.max() > 255:
        raise ArgumentError(argument, None, "must hold integers: 0 background, 1 object, 255 ignored")
    return np.ascontiguousarray(mask, np.uint8)


def as_classes(value: Any, argument: str) -> np.ndarray:
    """(n,) integers, n at least 1.

    Raises:
      ArgumentError: something else.
    """
    classes = np.asarray(value)
    if classes.ndim != 1 or not classes.size or classes.dtype.kind not in "ui":
        raise ArgumentError(argument, None, "must be a list of class numbers, best first")
    return classes


def as_image_size(value: Any, argument: str = "image_size") -> tuple[float, float]:
    """(width, height) of an image in pixels.

    Raises:
      ArgumentError: not two numbers above 0.
    """
    sides = _as_numbers(value, argument)
    if sides.shape != (2,) or not (np.isfinite(sides).all() and (sides > 0).all()):
        raise ArgumentError(argument, value, "must be (width, height) of the image, two numbers above 0")
    return sides[0].item(), sides[1].item()


def as_side(value: Any, argument: str) -> int:
    """The side of a square in whole pixels.

    Raises:
      ArgumentError: not a whole number from 1.
    """
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise ArgumentError(argument, value, "must be a whole number of pixels, at least 1")
    return int(value)


def as_share(value: Any, argument: str) -> float:
    """A number in [0, 1].

    Raises:
      ArgumentError: something else.
    """
    share = _as_numbers(value, argument)
    if share.ndim or not 0 <= share <= 1:  # NaN is neither
        raise ArgumentError(argument, value, "must be a number from 0 to 1")
    return share.item()


def _as_numbers(value: Any, argument: str) -> np.ndarray:
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # the last is PyTorch's, of a tensor that has a gradient
        raise ArgumentError(argument, None, f"cannot be read as an array of numbers ({error})") from None


def _check_finite(values: np.ndarray, argument: str) -> None:
    if not np.isfinite(values).all():
        raise ArgumentError(argument, None, "holds NaN or infinity")
