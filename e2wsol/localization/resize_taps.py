"""Separable resizing as what each new sample takes of which old ones, for NumPy, the graph and the networks alike."""

import functools

import numpy as np


@functools.cache
def resize_taps(source: int, target: int, interpolation: str) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """How each of `target` samples is made from `source` samples along one axis.

    Where the references use cv2.resize the coefficients are read off cv2 itself (it computes them in
    float32), so that the NumPy side and the graph resize with the very same numbers: half-pixel
    centres, replicated border.

    Args:
      source: samples there are.
      target: samples to make.
      interpolation: as in BoxProtocol.

    Returns:
      (taps,) pairs of (indices (target,) int32, weights (target,) float32), in order of index.
    """
    if interpolation == "linear_corners":
        return _corner_taps(source, target)
    import cv2  # networks import this module, and most of them need no OpenCV

    interpolations = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
    matrix = cv2.resize(np.eye(source), (source, target), interpolation=interpolations[interpolation])
    count = min(source, {"linear": 2, "cubic": 4}[interpolation])
    first = np.minimum(np.argmax(matrix != 0, axis=1), source - count)
    columns = [first + tap for tap in range(count)]
    return tuple((column.astype(np.int32), matrix[np.arange(target), column]) for column in columns)


def _corner_taps(source: int, target: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Linear taps whose first and last samples are those of the source, in float32 as PyTorch has them."""
    step = np.float32(source - 1) / np.float32(max(target - 1, 1))
    position = np.arange(target, dtype=np.float32) * step
    first = np.minimum(position.astype(np.int32), source - 1)
    share = position - first.astype(np.float32)
    return (first, np.float32(1) - share), (np.minimum(first + 1, source - 1), share)
