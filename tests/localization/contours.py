"""The references' ways to a box, written out plainly: the second implementation of the tests."""

import collections

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


def reference_pixel_box(score_map, threshold):
    """Box of the 8-connected component with the most pixels above the threshold, found pixel by pixel."""
    height, width = score_map.shape
    left = {(y, x) for y in range(height) for x in range(width) if score_map[y, x] > threshold}
    best = []
    for start in sorted(left):
        component = _flood(left, start)
        if len(component) > len(best):
            best = component
    if not best:
        return [0, 0, width, height]
    rows, columns = zip(*best)
    return [min(columns), min(rows), max(columns) + 1, max(rows) + 1]


def _flood(left, start):
    """Takes the component of `start` out of the set of pixels `left`."""
    component, queue = [], collections.deque([start] if start in left else [])
    left.discard(start)
    while queue:
        y, x = queue.popleft()
        component.append((y, x))
        around = {(y + down, x + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
        left -= around
        queue.extend(around)
    return component


def rough_maps(seed, count, side, levels):
    """(count, side, side) uint8 maps of few gray levels: many components, holes, ties and thin lines."""
    rng = np.random.default_rng(seed)
    maps = rng.integers(0, levels, (count, side, side))
    for index in range(0, count, 2):  # every other one smoothed: larger components, fewer of them
        maps[index] = np.round(cv2.blur(maps[index].astype(np.float64), (3, 3)))
    return (maps * (255 // max(levels - 1, 1))).astype(np.uint8)


def reference_contour_boxes(gray, level, *, clipped):
    """Boxes of all contours above a level by OpenCV alone, holes too, as the benchmark's V2 takes them."""
    mask = (gray > level).astype(np.uint8)
    contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    boxes = []
    for x, y, width, height in map(cv2.boundingRect, contours):
        ends = x + width, y + height
        if clipped:
            ends = min(ends[0], gray.shape[1] - 1), min(ends[1], gray.shape[0] - 1)
        boxes.append([x, y, *ends])
    return boxes


def reference_overlap(box, other):
    """IoU where both ends of a side are inside, a pair at a time."""
    common = 1.0
    for start, end in ((0, 2), (1, 3)):
        common *= max(0, min(box[end], other[end]) - max(box[start], other[start]) + 1)
    areas = [(b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (box, other)]
    return common / (sum(areas) - common)


def reference_best_ious(gray, levels, true_boxes, *, empty, clipped):
    """The best IoU of any contour with any true box at each level; where there is none, of the box `empty`."""
    found = [reference_contour_boxes(gray, level, clipped=clipped) or [list(empty)] for level in levels]
    return [max(reference_overlap(box, true) for box in boxes for true in true_boxes) for boxes in found]
