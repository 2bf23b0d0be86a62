"""Reading any picture file as upright RGB. Free of TensorFlow, for builder workers and predict."""

import io
import pathlib
import warnings

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from e2wsol.errors import UserError

# Others are no photos, and Pillow starts other programs for some of them.
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "GIF", "TIFF", "PPM", "JPEG2000")
MAX_PIXELS, MAX_SIDE = 100_000_000, 65_535  # 300 MB as RGB; decoders need memory for each row too
# All that Pillow knows for FORMATS.
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".webp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
)
_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT = 1


def decode(data: bytes, name: str | pathlib.Path) -> tuple[np.ndarray, bool]:
    """Decodes the bytes of a picture file.

    Gray, CMYK, palette and transparent pictures become RGB; a picture that its EXIF tag says is
    rotated is turned upright, so that boxes drawn on the picture as viewers show it fit.

    Args:
      data: bytes of a file in one of FORMATS; its suffix does not matter.
      name: names the picture in the message.

    Returns:
      ((H, W, 3) uint8 RGB, whether `data` is an RGB JPEG that is upright already).

    Raises:
      UserError: the bytes are no picture, cut in the middle, or a picture of more than MAX_PIXELS.
    """
    try:
        with warnings.catch_warnings():
            # Broken EXIF blocks are no reason to stop.
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
            check_size(image.size, name)
            plain = image.format == "JPEG" and image.mode == "RGB" and _orientation(image) == _UPRIGHT
            if not plain:
                image = ImageOps.exif_transpose(image)
            pixels = np.asarray(_to_rgb(image))
    except UserError:
        raise
    except Exception as error:  # of damaged files Pillow's readers raise nearly every kind
        detail = "unknown format" if isinstance(error, UnidentifiedImageError) else error or type(error).__name__
        raise UserError(f"{name}: not a readable picture ({detail if data else 'empty file'})") from None
    return pixels, plain


def check_size(size: tuple[int, int], name: str | pathlib.Path) -> None:
    """Raises a UserError where a picture of (width, height) pixels has more than MAX_PIXELS or a side over MAX_SIDE."""
    if size[0] * size[1] > MAX_PIXELS:
        raise UserError(f"{name}: picture of {size[0]}x{size[1]} pixels; at most {MAX_PIXELS:,} are read, reduce it")
    if max(size) > MAX_SIDE:
        raise UserError(f"{name}: picture of {size[0]}x{size[1]} pixels; a side may have {MAX_SIDE:,}, reduce it")


def orientation(data: bytes) -> int:
    """EXIF orientation of a picture file that `decode` reads, 1 (upright) to 8."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _orientation(Image.open(io.BytesIO(data), formats=FORMATS))


def _orientation(image: Image.Image) -> int:
    found = image.getexif().get(_ORIENTATION, _UPRIGHT)
    return found if found in range(1, 9) else _UPRIGHT


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow clips 16-bit gray to 255 instead of scaling it.
        return Image.fromarray((np.asarray(image, np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def encode_jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """(H, W, 3) uint8 RGB to JPEG bytes of the given quality (1 to 100)."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def shrink(pixels: np.ndarray, short_side: int) -> np.ndarray:
    """Reduces (H, W, 3) uint8 so that the short side is `short_side`; smaller pictures stay as they are."""
    height, width = pixels.shape[:2]
    factor = short_side / min(height, width)
    if factor >= 1:
        return pixels
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def shrink_to_square(pixels: np.ndarray, side: int) -> np.ndarray:
    """Reduces (H, W, 3) uint8 so that no side is longer than `side`, each on its own; shorter ones stay."""
    height, width = pixels.shape[:2]
    if max(height, width) <= side:
        return pixels
    return cv2.resize(pixels, (min(side, width), min(side, height)), interpolation=cv2.INTER_AREA)
