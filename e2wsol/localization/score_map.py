"""From a network's localization map to the score map and to the gray levels that are thresholded."""

import functools

import cv2
import numpy as np

from e2wsol.localization.compiled import compiled

_INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


@functools.cache
def resize_taps(source, target, interpolation):
    """How each of `target` samples is made from `source` samples along one axis.

    Where the references use cv2.resize the coefficients are read off cv2 itself (it computes them in
    float32), so that the NumPy side and the graph resize with the very same numbers: half-pixel
    centres, replicated border.

    Returns:
      (taps,) pairs of (indices (target,) int32, weights (target,) float32), in order of index.
    """
    if interpolation == "linear_corners":
        return _corner_taps(source, target)
    matrix = cv2.resize(np.eye(source), (source, target), interpolation=_INTERPOLATIONS[interpolation])
    count = min(source, {"linear": 2, "cubic": 4}[interpolation])
    first = np.minimum(np.argmax(matrix != 0, axis=1), source - count)
    columns = [first + tap for tap in range(count)]
    return tuple((column.astype(np.int32), matrix[np.arange(target), column]) for column in columns)


def _corner_taps(source, target):
    """Linear taps whose first and last samples are those of the source, in float32 as PyTorch has them."""
    step = np.float32(source - 1) / np.float32(max(target - 1, 1))
    position = np.arange(target, dtype=np.float32) * step
    first = np.minimum(position.astype(np.int32), source - 1)
    share = position - first.astype(np.float32)
    return (first, np.float32(1) - share), (np.minimum(first + 1, source - 1), share)


def to_score_map(localization_map, size, protocol):
    """Resizes a map to the frame and normalises it to [0, 1], in the protocol's order and precision.

    Args:
      localization_map: (h, w) float array, any range.
      size: side of the frame in pixels.
      protocol: BoxProtocol, gives normalisation, order, precision and interpolation.

    Returns:
      (size, size) float64 array in [0, 1]; its largest value is 1 where the protocol stretches last.
      A map that holds NaN or infinity gives zeros, and so does a constant one that is stretched.
    """
    scores = protocol.rounded(localization_map)
    if not np.isfinite(scores).all():
        return np.zeros((size, size))
    normalized = _NORMALIZATIONS[protocol.normalization]
    if protocol.stretch_first:
        return _resized(normalized(scores, protocol), size, protocol)
    return normalized(_resized(scores, size, protocol), protocol)


def _resized(scores, size, protocol):
    for axis in (1, 0):
        if scores.shape[axis] == size:  # taps of 1 and 0
            continue
        enlarge = _enlarge_rows if axis else _enlarge_columns
        scores = protocol.rounded(enlarge(scores, *_tap_tables(scores.shape[axis], size, protocol.interpolation)))
    return scores


@functools.cache
def _tap_tables(source, target, interpolation):
    """resize_taps as (indices (taps, target) intp, weights (taps, target) float64)."""
    indices, weights = zip(*resize_taps(source, target, interpolation))
    return np.stack(indices).astype(np.intp), np.stack(weights).astype(np.float64)


@compiled
def _enlarge_rows(scores, indices, weights):
    """(h, w) -> (h, target), the taps summed in their order: a sum's last bit depends on it."""
    enlarged = np.zeros((scores.shape[0], indices.shape[1]))
    for y in range(scores.shape[0]):
        for tap in range(indices.shape[0]):
            for x in range(indices.shape[1]):
                enlarged[y, x] += scores[y, indices[tap, x]] * weights[tap, x]
    return enlarged


@compiled
def _enlarge_columns(scores, indices, weights):
    """(h, w) -> (target, w), as _enlarge_rows."""
    enlarged = np.zeros((indices.shape[1], scores.shape[1]))
    for y in range(indices.shape[1]):
        for tap in range(indices.shape[0]):
            weight, source = weights[tap, y], indices[tap, y]
            for x in range(scores.shape[1]):
                enlarged[y, x] += scores[source, x] * weight
    return enlarged


def _stretched(scores, protocol):
    scores = protocol.rounded(scores - scores.min())
    span = scores.max()
    return protocol.rounded(scores / span) if span > 0 else scores


def _sigmoid(scores, protocol):
    power = np.exp(-np.abs(scores))  # at most 1, so nothing overflows
    return protocol.rounded(np.where(scores < 0, power, 1.0) / (1 + power))


_NORMALIZATIONS = {"min_max": _stretched, "sigmoid": _sigmoid}


def to_gray(score_map, protocol):
    """Turns a score map in [0, 1] into the (S, S) uint8 gray levels that a protocol with gray_steps thresholds."""
    index = np.empty(score_map.shape, np.uint8)
    _colour_index(score_map.ravel(), float(protocol.gray_steps), index.reshape(-1))
    return index if protocol.colormap is None else gray_table(protocol.colormap)[index]


@compiled
def _colour_index(scores, steps, index):
    for pixel in range(len(scores)):
        index[pixel] = np.uint8(min(scores[pixel] * steps, 255.0))


@functools.cache
def gray_table(colormap):
    """(256,) uint8 gray value of each colour index; never decreasing.

    With "cubehelix" it is the gray value of matplotlib's colour map of that name, truncated to
    uint8 first: E2Net thresholds a coloured heat map, and the detour costs 48 of the 256 levels.
    """
    if colormap is None:
        return np.arange(256, dtype=np.uint8)
    colours = {"cubehelix": _cubehelix}[colormap](np.linspace(0, 1, 256))
    colours = (colours.astype(np.float32) * 255).astype(np.uint8)
    return cv2.cvtColor(colours[None], cv2.COLOR_RGB2GRAY)[0]


def _cubehelix(intensity):
    """(n,) intensities in [0, 1] -> (n, 3) RGB in [0, 1]: D. A. Green 2011, start 0.5, -1.5 turns, hue 1, gamma 1."""
    angle = 2 * np.pi * (0.5 / 3 - 1.5 * intensity)
    amplitude = intensity * (1 - intensity) / 2
    cosine = np.outer(np.cos(angle), (-0.14861, -0.29227, 1.97294))
    sine = np.outer(np.sin(angle), (1.78277, -0.90649, 0.0))
    return np.clip(intensity[:, None] + amplitude[:, None] * (cosine + sine), 0, 1)
