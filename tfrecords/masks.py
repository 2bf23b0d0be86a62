"""Object masks as sources have them: pictures of values, and outlines."""

import dataclasses
import io
import pathlib
import warnings
from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
from PIL import Image

from e2wsol.data import images, picture_files
from e2wsol.data.image_record import BACKGROUND, IGNORE, OBJECT
from e2wsol.data.picture_files import PassedOver
from e2wsol.errors import UserError, some
from e2wsol.tables import normal
from tfrecords.folder_layout import ClassPicture
from tfrecords.items import Location


def _lookup(background: Iterable[int] = (), ignore: Iterable[int] = (), otherwise: int = OBJECT) -> np.ndarray:
    table = np.full(256, otherwise, np.uint8)
    table[list(background)] = BACKGROUND
    table[list(ignore)] = IGNORE
    return table


# How the values of a mask picture are read. "majority": CUB's masks are the mean of five annotators.
MASK_RULES = {
    "nonzero": _lookup(background=[0]),
    "majority": _lookup(background=range(128)),
    "index": _lookup(background=[0], ignore=[255]),
    "trimap": _lookup(background=[2], ignore=[0, 3]),
}
_OF_NUMBERS = ("index", "trimap")  # rules that read numbers; the others read what a viewer shows
_LOSSLESS = (".png", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".pgm", ".pbm", ".pnm")
_NAMED = 3


def apply_mask_rule(gray: np.ndarray, rule: str) -> np.ndarray:
    """Values (H, W) uint8 to 0 background, 1 object, 255 ignore."""
    return MASK_RULES[rule][gray]


@dataclasses.dataclass(frozen=True)
class MaskFile:
    """A mask stored as a picture, read by one of MASK_RULES."""

    location: Location = dataclasses.field(repr=False)
    rule: str

    def render(self, height: int, width: int) -> np.ndarray:
        """The mask, (height, width) uint8; a UserError when the file has another size."""
        data, name = self.location.read(), self.location.path
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image: Image.Image = Image.open(io.BytesIO(data), formats=images.FORMATS)
                # Before it is decoded: a small file can hold a mask that fills the memory.
                _check_size(image.size[::-1], height, width, name)
                values = mask_values(image, self.rule, name, bits=_bits_of_gray_png(data))
        except UserError:
            raise
        except Exception as error:  # of damaged files Pillow's readers raise nearly every kind
            raise UserError(f"{name}: not a readable mask ({error or type(error).__name__})") from None
        return apply_mask_rule(values, self.rule)


def mask_values(image: Image.Image, rule: str, name: str, *, bits: int = 8) -> np.ndarray:
    """The values of a mask picture that a rule reads, (H, W) uint8.

    "index" and "trimap" read numbers: a palette's indices, the stored values of gray pictures of 1 to 16 bits.
    "nonzero" and "majority" read what a viewer shows, as gray from 0 to 255: a palette's colours, and of a picture with
    transparent parts how opaque it is, so that a cut-out is the object.

    Args:
      image: opened picture of any mode.
      rule: one of MASK_RULES.
      name: names the file in the message.
      bits: depth of a gray file, which Pillow stretches to 8.

    Raises:
      UserError: the values can be read in more ways than one, such as colours as numbers.
    """
    if rule in _OF_NUMBERS:
        return _numbers(image, rule, name, bits)
    if image.mode.startswith(("I", "F")):
        return _of_deep_gray(image, rule, name)
    shown = np.asarray(image.convert("RGBA"))
    color, alpha = shown[..., :3], shown[..., 3]
    if alpha.min() < 255:
        return alpha
    if image.mode == "P" and rule == "nonzero":
        _check_black_is_zero(image, color, name)
    if rule == "nonzero":
        return color.max(axis=-1)
    return _gray(color, rule, name)


def _numbers(image: Image.Image, rule: str, name: str, bits: int) -> np.ndarray:
    if image.mode == "P":
        return _indices(image, rule, name)
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8)
    if image.mode == "L":
        return np.asarray(image) // (255 // (2**bits - 1))
    if image.mode.startswith("I"):
        deep = np.asarray(image)
        if deep.min() < 0 or deep.max() > 255:
            raise UserError(f"{name}: holds the value {deep.max()}; mask_rule={rule} reads 0 to 255")
        return deep.astype(np.uint8)
    if image.mode == "F":
        raise UserError(f"{name}: a mask of fractions; mask_rule={rule} reads whole numbers, save it as 8-bit gray")
    shown = np.asarray(image.convert("RGBA"))
    if shown[..., 3].min() < 255:
        raise UserError(f"{name}: has transparent parts; mask_rule={rule} reads numbers, save it as 8-bit gray")
    return _gray(shown[..., :3], rule, name)


def _indices(image: Image.Image, rule: str, name: str) -> np.ndarray:
    """The indices of a palette picture. A palette of grays may be a gray picture made small: then both must agree."""
    indices, color = np.asarray(image), np.asarray(image.convert("RGB"))
    all_gray = (color == color[..., :1]).all()
    if all_gray and (apply_mask_rule(color[..., 0], rule) != apply_mask_rule(indices, rule)).any():
        raise UserError(
            f"{name}: a palette of grays whose indices are not its gray values; mask_rule={rule} can mean either, save "
            "it as 8-bit gray"
        )
    return indices


def _gray(color: np.ndarray, rule: str, name: str) -> np.ndarray:
    """Colours (H, W, 3) that are all gray as (H, W)."""
    if (color != color[..., :1]).any():
        raise UserError(f"{name}: holds colours; mask_rule={rule} reads gray values, save it as 8-bit gray")
    return color[..., 0]


def _of_deep_gray(image: Image.Image, rule: str, name: str) -> np.ndarray:
    """Gray of more than 8 bits as 0 to 255: only zero stays 0, and more than half of the depth is more than 127."""
    deep = np.asarray(image)
    if image.mode == "F" and not np.isfinite(deep).all():
        raise UserError(f"{name}: a mask with values that are no numbers")
    if deep.min() < 0:
        raise UserError(f"{name}: a mask with negative values; save it as 8-bit gray")
    if rule == "nonzero":
        return np.where(deep > 0, 255, 0).astype(np.uint8)
    top = 1.0 if image.mode == "F" and deep.max() <= 1 else 255.0 if deep.max() <= 255 else 65535.0
    if deep.max() > top:
        raise UserError(f"{name}: holds the value {deep.max()}; mask_rule={rule} reads 8 or 16 bits")
    return np.where(deep > top / 2, 255, 0).astype(np.uint8)


def _check_black_is_zero(image: Image.Image, color: np.ndarray, name: str) -> None:
    if ((np.asarray(image) > 0) != (color.max(axis=-1) > 0)).any():
        raise UserError(
            f"{name}: its palette shows index 0 in a colour, or another one as black; use mask_rule=index, or save it "
            "as 8-bit gray"
        )


def _bits_of_gray_png(data: bytes) -> int:
    """Bits a pixel of a gray PNG of less than 8; 8 for all other files."""
    is_gray_png = data[:8] == b"\x89PNG\r\n\x1a\n" and data[25:26] == b"\0"
    return min(data[24], 8) if is_gray_png else 8


def sized_mask(gray: np.ndarray, rule: str, height: int, width: int, *, name: str) -> np.ndarray:
    """`apply_mask_rule` after a check that the mask is as large as its picture."""
    _check_size(gray.shape, height, width, name)
    return apply_mask_rule(gray, rule)


def _check_size(shape: Sequence[int], height: int, width: int, name: str) -> None:
    if tuple(shape) != (height, width):
        raise UserError(f"{name}: mask is {shape[1]}x{shape[0]} pixels, its picture {width}x{height}")


def find_masks(
    folder: pathlib.Path | None, pictures: Mapping[str, ClassPicture], rule: str
) -> tuple[dict[str, MaskFile], tuple[PassedOver, ...]]:
    """Picture name -> `MaskFile` of the masks in a folder, and the files in it that are none.

    A mask has its picture's path and either another suffix (a/0.png for a/0.jpg) or one more (a/0.jpg.png).

    Args:
      folder: the folder; None for none.
      pictures: the pictures by name.
      rule: one of MASK_RULES.

    Raises:
      UserError: files that match no picture, two for one picture, or one for two.
    """
    if folder is None:
        return {}, ()
    by_stem: dict[str, list[str]] = {}
    for name in pictures:
        by_stem.setdefault(str(pathlib.PurePosixPath(name).with_suffix("")), []).append(name)
    found = picture_files.find(folder)
    masks: dict[str, MaskFile] = {}
    unmatched: list[str] = []
    for file in found.pictures:
        below = file.relative_to(folder).as_posix()
        picture = _picture_of(file, normal(below), pictures, by_stem)
        if picture is None:
            unmatched.append(below)
        elif picture in masks:
            raise UserError(f"{file}: {masks[picture].location.path} is a mask of {picture} too; leave one")
        else:
            masks[picture] = MaskFile(Location(str(file)), rule)
    if unmatched:
        raise UserError(
            f"{folder}: {some(unmatched, _NAMED)}: no such picture; a mask has its picture's path and name "
            "with the suffix .png; say layout=classes if this folder is a class"
        )
    return masks, found.passed_over


def _picture_of(
    file: pathlib.Path, name: str, pictures: Mapping[str, ClassPicture], by_stem: Mapping[str, list[str]]
) -> str | None:
    stem = str(pathlib.PurePosixPath(name).with_suffix(""))
    matches = [stem] if stem in pictures else by_stem.get(stem, [])
    if len(matches) > 1:
        raise UserError(f"{file}: would be the mask of {matches[0]} and of {matches[1]}; call it {matches[0]}.png")
    if matches and file.suffix.lower() not in _LOSSLESS:
        raise UserError(f"{file}: a mask in a format that changes values; save it as .png")
    return matches[0] if matches else None


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
