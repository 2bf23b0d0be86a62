"""Pseudo masks: what SPOL's first stage hands to its second (Wei et al., "Shallow Feature Matters", CVPR 2021).

A class map gives two pictures. `foreground` is the map over its maximum. `prior` is the paper's Gaussian prior:
around every contour of the pixels with a middling score (the object's peak is left out) an anisotropic Gaussian
with their mean and a tenth of their covariance; where several lie over each other, the highest. Both follow the
authors' code, to the integer in the stored picture (tests/parity).
"""

import cv2
import numpy as np
import numpy.typing as npt

BAND = (0.1, 0.5)
MIN_AREA = 20.0
_SHARPNESS = 10  # the authors divide the second moments by this


def pseudo_mask(
    class_map: npt.ArrayLike, size: int = 256, *, band: tuple[float, float] = BAND, min_area: float = MIN_AREA
) -> tuple[np.ndarray, np.ndarray]:
    """Foreground and Gaussian prior of a class map.

    A map without a contour that is large enough (flat, without positive value, nothing in the band) has a
    prior of zeros; the authors' code raises there. Negative values count as 0, as SPOL's maps end with a ReLU; a
    map that holds NaN or infinity counts as all zeros.

    Args:
      class_map: (h, w) float array, any range.
      size: side S of the frame in which contours are looked for, pixels.
      band: lowest and highest foreground of the pixels that contours are made of, ends included.
      min_area: contours with a smaller cv2.contourArea are left out, square pixels of the frame.

    Returns:
      (foreground (S, S) float32, prior (S, S) float64), both in [0, 1].
    """
    foreground = to_foreground(class_map, size)
    return foreground, to_prior(gaussians(foreground, band=band, min_area=min_area), size)


def to_foreground(class_map: npt.ArrayLike, size: int) -> np.ndarray:
    """The map over its maximum, resized bilinearly: (h, w) to (size, size) float32 in [0, 1]."""
    scores = np.asarray(class_map, np.float32)
    scores = np.maximum(scores, np.float32(0)) if np.isfinite(scores).all() else np.zeros_like(scores)
    return cv2.resize(scores / (scores.max() + np.float32(1e-6)), (size, size), interpolation=cv2.INTER_LINEAR)


def gaussians(foreground: np.ndarray, *, band: tuple[float, float] = BAND, min_area: float = MIN_AREA) -> np.ndarray:
    """The Gaussians of all contours, outer ones and those of holes, in OpenCV's order.

    Args:
      foreground: (S, S) float32 in [0, 1].
      band: as in `pseudo_mask`.
      min_area: as in `pseudo_mask`.

    Returns:
      (n, 5) float64 mean x, mean y, variance of x, of y and covariance, reduced; pixels and square pixels.
    """
    low, high = np.asarray(band, np.float32)
    inside = (foreground >= low) & (foreground <= high)
    scores = np.where(inside, foreground, 0).astype(np.float64)
    contours = cv2.findContours(inside.view(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    # Points and lines have no area, and a singular covariance.
    large = [contour for contour in contours if (area := cv2.contourArea(contour)) >= min_area and area > 0]
    return np.array([_moments(contour, scores) for contour in large]).reshape(-1, 5)


def _moments(contour: np.ndarray, scores: np.ndarray) -> tuple[float, ...]:
    """The Gaussian of the scores (S, S) on and inside the contour, holes not cut out."""
    x, y, width, height = cv2.boundingRect(contour)
    filled = np.zeros((height, width), np.uint8)
    cv2.drawContours(filled, [contour], -1, 1, cv2.FILLED, offset=(-x, -y))
    weights = filled * scores[y : y + height, x : x + width]
    weights /= weights.sum()
    over_x, over_y = weights.sum(axis=0), weights.sum(axis=1)
    xs, ys = np.arange(x, x + width, dtype=np.float64), np.arange(y, y + height, dtype=np.float64)
    mean_x, mean_y = over_x @ xs, over_y @ ys
    xs -= mean_x
    ys -= mean_y
    covariances = np.array((over_x @ xs**2, over_y @ ys**2, ys @ weights @ xs)) / _SHARPNESS
    return mean_x, mean_y, *covariances


def to_prior(moments: np.ndarray, size: int) -> np.ndarray:
    """The highest of the Gaussians (n, 5) at every pixel, each 1 at its mean: (size, size) float64; zeros for none."""
    if not len(moments):
        return np.zeros((size, size))
    highest = np.full((size, size), -np.inf)
    pixels = np.arange(size, dtype=np.float64)
    for mean_x, mean_y, variance_x, variance_y, covariance in moments:
        xs, ys = pixels - mean_x, pixels - mean_y
        product = variance_x * variance_y
        exponent = np.multiply.outer(ys, (-2 * covariance / product) * xs)
        exponent += xs**2 / variance_x
        exponent += (ys**2 / variance_y)[:, None]
        exponent *= -1 / (2 * (1 - covariance**2 / product))
        np.maximum(highest, exponent, out=highest)
    # exp never decreases: one of the maximum is the maximum of all.
    return np.exp(highest, out=highest)


def to_picture(foreground: np.ndarray, prior: np.ndarray, height: int, width: int) -> np.ndarray:
    """A pseudo mask as it is stored.

    Args:
      foreground: (S, S) in [0, 1].
      prior: (S, S) in [0, 1].
      height: of the picture it belongs to, pixels.
      width: of the picture it belongs to, pixels.

    Returns:
      (height, width, 2) uint8 of 255 * foreground and 255 * prior, resized bilinearly, then truncated as the
      authors do.
    """
    picture = np.empty((height, width, 2), np.uint8)
    for channel, values in enumerate((foreground, prior)):
        # One at a time: of two channels OpenCV 5 resizes the float64 values with single precision.
        resized = cv2.resize(255 * values.astype(np.float64), (width, height), interpolation=cv2.INTER_LINEAR)
        picture[..., channel] = np.clip(resized, 0, 255)
    return picture


def targets(
    picture: np.ndarray, size: int, *, threshold: float = 0.25, background: float = 0.01
) -> tuple[np.ndarray, np.ndarray]:
    """What SPOL's second stage learns from a stored pseudo mask.

    Args:
      picture: (H, W, 2) uint8 of `to_picture`.
      size: side S that it is resized to, to the nearest pixel.
      threshold: pixels whose foreground or prior is above it are object.
      background: other pixels whose foreground is below it are background; the rest is ignored.

    Returns:
      (target, weight), (S, S) uint8: 1 object and 0 else; 1 certain and 0 ignored.
    """
    height, width = picture.shape[:2]
    resized = picture[nearest_indices(height, size)[:, None], nearest_indices(width, size)] / 255
    target = (resized > threshold).any(axis=-1)
    return target.astype(np.uint8), (target | (resized[..., 0] < background)).astype(np.uint8)


def nearest_indices(source: int, target: int) -> np.ndarray:
    """(target,) int indices into `source` samples, as cv2.INTER_NEAREST rounds them: pixel corners, not centres."""
    return np.floor(np.arange(target) * (1 / (target / source))).astype(np.int64).clip(max=source - 1)
