"""Intersection over union of boxes."""

import numpy as np


def pairwise_iou(boxes, others, extent, epsilon=0.0):
    """IoU of every box with every other.

    Args:
      boxes: (A, 4) x0, y0, x1, y1.
      others: (B, 4), same units.
      extent: added to each side length; 1 where the coordinates name the last pixel inside.
      epsilon: added to the union, a convention of some references.

    Returns:
      (A, B) float64 in [0, 1]; 0 where the union has no area.
    """
    # A coordinate at a time, (A, 1) and (1, B): many boxes meet few, and short last axes are slow.
    boxes = np.asarray(boxes, np.float64).T[..., None]
    others = np.asarray(others, np.float64).T[:, None]
    widths, heights = (np.minimum(boxes[2 + k], others[2 + k]) - np.maximum(boxes[k], others[k]) for k in (0, 1))
    common = np.maximum(0, widths + extent) * np.maximum(0, heights + extent)
    union = _area(boxes, extent) + _area(others, extent) - common + epsilon
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def best_iou(boxes, true_boxes, protocol):
    """IoU of each box with the true box that it meets best, by the protocol's convention.

    Args:
      boxes: (A, 4) x0, y0, x1, y1.
      true_boxes: (n, 4), same units, n at least 1.
      protocol: BoxProtocol.

    Returns:
      (A,) float64 in [0, 1].
    """
    return pairwise_iou(boxes, true_boxes, protocol.iou_extent, protocol.iou_epsilon).max(axis=1)


def _area(boxes, extent):
    return (boxes[2] - boxes[0] + extent) * (boxes[3] - boxes[1] + extent)
