"""Intersection over union of boxes."""

import numpy as np
import numpy.typing as npt

from e2wsol.localization.compiled import compiled
from e2wsol.localization.protocols import BoxProtocol


def pairwise_iou(boxes: npt.ArrayLike, others: npt.ArrayLike, extent: float, epsilon: float = 0.0) -> np.ndarray:
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
        x0, y0, x1, y1 = boxes[row, 0], boxes[row, 1], boxes[row, 2], boxes[row, 3]
        area = (x1 - x0 + extent) * (y1 - y0 + extent)
        for column in range(len(others)):
            u0, v0, u1, v1 = others[column, 0], others[column, 1], others[column, 2], others[column, 3]
            width = max(0.0, min(x1, u1) - max(x0, u0) + extent)
            common = width * max(0.0, min(y1, v1) - max(y0, v0) + extent)
            union = area + (u1 - u0 + extent) * (v1 - v0 + extent) - common + epsilon
            if union > 0:
                ious[row, column] = common / union
    return ious


def best_iou(boxes: npt.ArrayLike, true_boxes: npt.ArrayLike, protocol: BoxProtocol) -> np.ndarray:
    """IoU of each box with the true box that it meets best, by the protocol's convention.

    Args:
      boxes: (A, 4) x0, y0, x1, y1.
      true_boxes: (n, 4), same units, n at least 1.
      protocol: BoxProtocol.

    Returns:
      (A,) float64 in [0, 1].
    """
    # The few true boxes first: NumPy is slow over a short last axis.
    return pairwise_iou(true_boxes, boxes, protocol.iou_extent, protocol.iou_epsilon).max(axis=0)
