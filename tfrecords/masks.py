"""Object masks as sources have them: pictures of gray values, and outlines."""

import dataclasses
import io
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from PIL import Image

from e2wsol.data import images
from e2wsol.data.image_record import BACKGROUND, IGNORE, OBJECT
from e2wsol.errors import UserError
from tfrecords.items import Location


def _lookup(background: Iterable[int] = (), ignore: Iterable[int] = (), otherwise: int = OBJECT) -> np.ndarray:
    table = np.full(256, otherwise, np.uint8)
    table[list(background)] = BACKGROUND
    table[list(ignore)] = IGNORE
    return table


# How the gray values of a mask picture are read. "majority": CUB's masks are the mean of five annotators.
MASK_RULES = {
    "nonzero": _lookup(background=[0]),
    "majority": _lookup(background=range(128)),
    "index": _lookup(background=[0], ignore=[255]),
    "trimap": _lookup(background=[2], ignore=[0, 3]),
}


def apply_mask_rule(gray: np.ndarray, rule: str) -> np.ndarray:
    """Gray values (H, W) uint8 to 0 background, 1 object, 255 ignore."""
    return MASK_RULES[rule][gray]


@dataclasses.dataclass(frozen=True)
class MaskFile:
    """A mask stored as a gray picture, read by one of MASK_RULES."""

    location: Location
    rule: str

    def render(self, height: int, width: int) -> np.ndarray:
        """The mask, (height, width) uint8; a UserError when the file has another size."""
        data, name = self.location.read(), self.location.path
        try:
            # Before it is decoded: a small file can hold a mask that fills the memory.
            found = Image.open(io.BytesIO(data), formats=images.FORMATS).size
            _check_size(found[::-1], height, width, name)
            gray = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        except (OSError, SyntaxError, ValueError, cv2.error, Image.DecompressionBombError):
            gray = None
        if gray is None:
            raise UserError(f"{name}: not a readable mask")
        return sized_mask(gray, self.rule, height, width, name=name)


def sized_mask(gray: np.ndarray, rule: str, height: int, width: int, *, name: str) -> np.ndarray:
    """`apply_mask_rule` after a check that the mask is as large as its picture."""
    _check_size(gray.shape, height, width, name)
    return apply_mask_rule(gray, rule)


def _check_size(shape: Sequence[int], height: int, width: int, name: str) -> None:
    if tuple(shape) != (height, width):
        raise UserError(f"{name}: mask is {shape[1]}x{shape[0]} pixels, its picture {width}x{height}")


@dataclasses.dataclass(frozen=True)
class Outlines:
    """A mask given as polygons of (x, y) pixel coordinates; what they enclose is the object."""

    polygons: tuple[tuple[tuple[float, float], ...], ...]

    def render(self, height: int, width: int) -> np.ndarray:
        """The filled mask, (height, width) uint8."""
        mask = np.zeros((height, width), np.uint8)
        for polygon in self.polygons:
            # OpenCV fills with 4 fractional bits of precision; one polygon a call, so overlaps stay filled.
            points = np.round(np.asarray(polygon, np.float64) * 16).astype(np.int32)
            cv2.fillPoly(mask, [points], OBJECT, cv2.LINE_8, 4)
        return mask
