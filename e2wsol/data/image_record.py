"""One annotated image, and the rules its boxes must keep. Free of TensorFlow, for builder workers."""

import dataclasses
from typing import Any

import numpy as np

from e2wsol.errors import UserError

BACKGROUND, OBJECT, IGNORE = 0, 1, 255


@dataclasses.dataclass(frozen=True, eq=False)
class ImageRecord:
    """One image as it goes into a record.

    Attributes:
      jpeg: bytes of an RGB JPEG, upright. It may be smaller than height x width, see `StoreOptions` of the builder.
      height, width: pixels of the image that was annotated: the frame of `boxes` and `mask`.
      filename: name of the image's file.
      source_id: what names the image in messages and predictions; unique in its data set.
      label: class index from 0.
      class_name: name of that class.
      boxes: (n, 4) float32, pixels x0, y0, x1, y1, right and bottom edges exclusive, n >= 0.
      mask: None or (height, width) uint8 of BACKGROUND, OBJECT and IGNORE.
    """

    jpeg: bytes
    height: int
    width: int
    filename: str
    source_id: str
    label: int
    class_name: str
    boxes: np.ndarray
    mask: np.ndarray | None = None


def check_boxes(boxes: Any, *, height: int, width: int, name: str, slack: float = 0.0) -> np.ndarray:
    """Clips boxes to the picture and refuses those that cannot be right.

    Args:
      boxes: (n, 4) pixels x0, y0, x1, y1, ends exclusive.
      height: of the picture in pixels.
      width: of the picture in pixels.
      name: names the picture in the message.
      slack: pixels that a box may stick out before it counts as an error; the part outside is cut.

    Returns:
      (n, 4) float32 inside the picture.

    Raises:
      UserError: a box is inverted, empty, or lies outside by more than `slack`.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    limits = np.asarray([width, height, width, height], np.float32)
    clipped = np.clip(boxes, 0, limits)
    for box, kept in zip(boxes, clipped):
        shown = ",".join(f"{value:g}" for value in box)
        if not (box[0] < box[2] and box[1] < box[3]):
            raise UserError(f"{name}: box {shown} is inverted or empty; x0 < x1 and y0 < y1 are needed")
        if np.any(np.abs(box - kept) > slack) or not (kept[0] < kept[2] and kept[1] < kept[3]):
            raise UserError(f"{name}: box {shown} lies outside the picture of {width}x{height} pixels")
    return clipped
