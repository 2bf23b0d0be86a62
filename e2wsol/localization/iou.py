"""Intersection over union of boxes."""

import numpy as np

from e2wsol.localization.compiled import compiled


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
    boxes, others = (np.ascontiguousarray(one, np.float64).reshape(-1, 4) for one in (boxes, others))
    return _pairwise_iou(boxes, others, float(extent), float(epsilon))


@compiled
def _pairwise_iou(boxes, others, extent, epsilon):
    ious = np.zeros((len(boxes), len(others)))
    for row in range(len(boxes)):
        for column in range(len(others)):
            common = _overlap(boxes[row], others[column], 0, extent) * _overlap(boxes[row], others[column], 1, extent)
            union = _area(boxes[row], extent) + _area(others[column], extent) - common + epsilon
            if union > 0:
                ious[row, column] = common / union
    return ious


@compiled
def _overlap(box, other, axis, extent):
    """Length of what two boxes share along an axis, 0 for x and 1 for y."""
    return max(0.0, min(box[2 + axis], other[2 + axis]) - max(box[axis], other[axis]) + extent)


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


@compiled
def _area(box, extent):
    return (box[2] - box[0] + extent) * (box[3] - box[1] + extent)
