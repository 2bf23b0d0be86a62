"""Groups of pictures by the size of their object, as a share of the frame."""

import numpy as np

NAMES = ("small", "medium", "large")
# Lower bounds of the second and third group; there is no published split for localization, and COCO's
# are in pixels. With these each group holds a fair part of CUB and of ImageNet.
BOUNDS = (0.1, 0.4)


def group_of(true_boxes, frame):
    """The index in NAMES of the picture's largest true box, or None without a box.

    Args:
      true_boxes: (n, 4) x0, y0, x1, y1 in pixels of the frame; what stands out of it does not count.
      frame: Frame.
    """
    if not len(true_boxes):
        return None
    inside = np.clip(true_boxes, 0, frame.size)
    areas = np.maximum(inside[:, 2:] - inside[:, :2], 0).prod(axis=1)
    return int(np.searchsorted(BOUNDS, areas.max() / frame.size**2, side="right"))
