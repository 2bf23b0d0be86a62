"""From a network's localization map to the score map and to the gray levels that are thresholded."""

import functools

import cv2
import numpy as np
import numpy.typing as npt

from e2wsol.localization.compiled import compiled
from e2wsol.localization.protocols import BoxProtocol
from e2wsol.localization.resize_taps import resize_taps


def to_score_map(localization_map: npt.ArrayLike, size: int, protocol: BoxProtocol) -> np.ndarray:
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


def _resized(scores: np.ndarray, size: int, protocol: BoxProtocol) -> np.ndarray:
    for axis in (1, 0):
        if scores.shape[axis] == size:  # taps of 1 and 0
            continue
        enlarge = _enlarge_rows if axis else _enlarge_columns
        scores = protocol.rounded(enlarge(scores, *_tap_tables(scores.shape[axis], size, protocol.interpolation)))
    return scores


@functools.cache
def _tap_tables(source: int, target: int, interpolation: str) -> tuple[np.ndarray, np.ndarray]:
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


def _stretched(scores: np.ndarray, protocol: BoxProtocol) -> np.ndarray:
    scores = protocol.rounded(scores - scores.min())
    span = scores.max()
    return protocol.rounded(scores / span) if span > 0 else scores


def _sigmoid(scores: np.ndarray, protocol: BoxProtocol) -> np.ndarray:
    power = np.exp(-np.abs(scores))  # at most 1, so nothing overflows
    return protocol.rounded(np.where(scores < 0, power, 1.0) / (1 + power))


def _stretched_sigmoid(scores: np.ndarray, protocol: BoxProtocol) -> np.ndarray:
    # In float32, so that NumPy and the graph agree: the last bit of a float64 exponential is the library's own.
    return _stretched(_sigmoid(scores, protocol).astype(np.float32).astype(np.float64), protocol)


_NORMALIZATIONS = {"min_max": _stretched, "sigmoid": _sigmoid, "sigmoid_min_max": _stretched_sigmoid}


def to_gray(score_map: np.ndarray, protocol: BoxProtocol) -> np.ndarray:
    """A score map in [0, 1] as the (S, S) uint8 gray levels that a protocol with gray_steps thresholds."""
    assert protocol.gray_steps is not None
    index = np.empty(score_map.shape, np.uint8)
    _colour_index(score_map.ravel(), float(protocol.gray_steps), index.reshape(-1))
    return index if protocol.colormap is None else gray_table(protocol.colormap)[index]


@compiled
def _colour_index(scores, steps, index):
    for pixel in range(len(scores)):
        index[pixel] = np.uint8(min(scores[pixel] * steps, 255.0))


@functools.cache
def gray_table(colormap: str | None) -> np.ndarray:
    """(256,) uint8 gray value of each colour index; never decreasing.

    With "cubehelix" it is the gray value of matplotlib's colour map of that name, truncated to
    uint8 first: E2Net thresholds a coloured heat map, and the detour costs 48 of the 256 levels.
    """
    if colormap is None:
        return np.arange(256, dtype=np.uint8)
    colours = {"cubehelix": _cubehelix}[colormap](np.linspace(0, 1, 256))
    colours = (colours.astype(np.float32) * 255).astype(np.uint8)
    return cv2.cvtColor(colours[None], cv2.COLOR_RGB2GRAY)[0]


def _cubehelix(intensity: np.ndarray) -> np.ndarray:
    """(n,) intensities in [0, 1] -> (n, 3) RGB in [0, 1]: D. A. Green 2011, start 0.5, -1.5 turns, hue 1, gamma 1."""
    angle = 2 * np.pi * (0.5 / 3 - 1.5 * intensity)
    amplitude = intensity * (1 - intensity) / 2
    cosine = np.outer(np.cos(angle), (-0.14861, -0.29227, 1.97294))
    sine = np.outer(np.sin(angle), (1.78277, -0.90649, 0.0))
    return np.clip(intensity[:, None] + amplitude[:, None] * (cosine + sine), 0, 1)
