"""The frame that boxes are given in, and the way from there to the upright picture."""

import dataclasses
import math

import numpy as np

from e2wsol.errors import UserError

_UPRIGHT = 1


@dataclasses.dataclass(frozen=True)
class Frame:
    """The picture that boxes have to fit.

    Attributes:
      name: the picture, for messages.
      height, width: pixels of the upright picture.
      orientation: EXIF orientation of its file, 1 to 8; 1 where it is stored upright.
    """

    name: str
    height: int
    width: int
    orientation: int = _UPRIGHT

    @property
    def stored_size(self) -> tuple[int, int]:
        """(height, width) of the picture as its file stores it, before it is turned."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)


def of_fractions(boxes: np.ndarray, frame: Frame) -> np.ndarray:
    """Boxes (n, 4) given as fractions of width and height, in pixels."""
    return boxes * [frame.width, frame.height, frame.width, frame.height]


def same_size(boxes: np.ndarray, frame: Frame, *, size: tuple[int, int]) -> np.ndarray:
    """Boxes (n, 4) as they are, of an annotation that was made for a picture of `size` (height, width).

    Raises:
      UserError: the picture has another size.
    """
    if (frame.height, frame.width) != size:
        raise UserError(
            f"{frame.name}: picture is {frame.width}x{frame.height} pixels, but its annotation was made for"
            f" {size[1]}x{size[0]}"
        )
    return boxes


def of_stored(boxes: np.ndarray, frame: Frame, *, size: tuple[int, int] | None = None) -> np.ndarray:
    """Boxes (n, 4) that were drawn on the picture as its file stores it, maybe at another size.

    They are scaled from that size and turned as the EXIF tag turns the picture. Where the annotation's size has the
    shape of the turned picture and not that of the stored one, the annotator saw the turned one: boxes are only scaled.

    Args:
      boxes: pixels x0, y0, x1, y1, ends exclusive.
      frame: the picture.
      size: (height, width) that the annotation says; None for the stored picture's own.
    """
    upright = frame.height, frame.width
    if size and _shape_distance(size, upright) < _shape_distance(size, frame.stored_size):
        return _scaled(boxes, size, upright)
    return _turned(_scaled(boxes, size or frame.stored_size, frame.stored_size), frame)


def _shape_distance(size: tuple[int, int], other: tuple[int, int]) -> float:
    return abs(math.log(size[0] / size[1]) - math.log(other[0] / other[1]))


def _scaled(boxes: np.ndarray, size: tuple[int, int], target: tuple[int, int]) -> np.ndarray:
    if size == target:
        return boxes
    (height, width), (target_height, target_width) = size, target
    return boxes * [target_width / width, target_height / height, target_width / width, target_height / height]


def _turned(boxes: np.ndarray, frame: Frame) -> np.ndarray:
    """Boxes of the stored picture in the upright one: the eight orientations of EXIF."""
    height, width = frame.stored_size
    x0, y0, x1, y1 = np.asarray(boxes, np.float64).reshape(-1, 4).T
    left, right, up, down = (x0, x1), (width - x1, width - x0), (y0, y1), (height - y1, height - y0)
    across, along = {
        1: (left, up),
        2: (right, up),
        3: (right, down),
        4: (left, down),
        5: (up, left),
        6: (down, left),
        7: (down, right),
        8: (up, right),
    }[frame.orientation]
    return np.stack([across[0], along[0], across[1], along[1]], axis=1)
