"""The references' way to a box, written out plainly: the second implementation of the tests."""

import cv2
import numpy as np


def reference_box(gray, threshold, *, empty, clipped):
    """Box of the largest contour above int(threshold * maximum), by OpenCV alone, holes listed too."""
    level = int(threshold * float(gray.max()))
    _, mask = cv2.threshold(gray, level, 255, cv2.THRESH_BINARY)
    contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    if len(contours) == 0:
        return list(empty)
    x, y, width, height = cv2.boundingRect(max(contours, key=cv2.contourArea))
    if clipped:
        return [x, y, min(x + width, gray.shape[1] - 1), min(y + height, gray.shape[0] - 1)]
    return [x, y, x + width, y + height]


def rough_maps(seed, count, side, levels):
    """(count, side, side) uint8 maps of few gray levels: many components, holes, ties and thin lines."""
    rng = np.random.default_rng(seed)
    maps = rng.integers(0, levels, (count, side, side))
    for index in range(0, count, 2):  # every other one smoothed: larger components, fewer of them
        maps[index] = np.round(cv2.blur(maps[index].astype(np.float64), (3, 3)))
    return (maps * (255 // max(levels - 1, 1))).astype(np.uint8)
