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
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # TIFF tags
_WHITE_IS_ZERO, _UNSIGNED = 0, 1  # values of the last two


def decode(data: bytes, name: str | pathlib.Path) -> tuple[np.ndarray, bool]:
    """Decodes the bytes of a picture file.

    Gray, CMYK, palette and transparent pictures become RGB; a picture that its EXIF tag says is
    rotated is turned upright, so that boxes drawn on the picture as viewers show it fit.

    Of pictures of more than 8 bits, those of 9 to 16 unsigned bits keep the upper 8. Gray integers of 32 bits, signed
    ones and floats state no range: floats within 0..1 are times 255, integers within 0..255 stay, and others are
    stretched from the picture's least value to its largest.

    Args:
      data: bytes of a file in one of FORMATS; its suffix does not matter.
      name: names the picture in the message.

    Returns:
      ((H, W, 3) uint8 RGB, whether `data` is an RGB JPEG that is upright already).

    Raises:
      UserError: the bytes are no picture, cut in the middle, a picture of more than MAX_PIXELS, of a depth that
        Pillow does not read, or with values that are no numbers.
    """
    try:
        with warnings.catch_warnings():
            # Broken EXIF blocks are no reason to stop.
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
            check_size(image.size, name)
            plain = image.format == "JPEG" and image.mode == "RGB" and _orientation(image) == _UPRIGHT
            pixels = np.asarray(image if plain else _to_rgb(ImageOps.exif_transpose(image), image, name))
    except UserError:
        raise
    except Exception as error:  # of damaged files Pillow's readers raise nearly every kind
        detail = _unknown(data) if isinstance(error, UnidentifiedImageError) else error or type(error).__name__
        raise UserError(f"{name}: not a readable picture ({detail})") from None
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


def _unknown(data: bytes) -> str:
    if data.startswith(_TIFF_STARTS):
        return "a kind of TIFF that Pillow does not know; save it with 8 or 16 bits a channel"
    return "unknown format" if data else "empty file"


def _to_rgb(image: Image.Image, stored: Image.Image, name: str | pathlib.Path) -> Image.Image:
    """`image` in RGB; `stored` is the same as its file has it, with the file's tags."""
    if image.mode[0] in "IF":  # Pillow clips what is deeper than 8 bits instead of scaling it
        return Image.fromarray(_deep_to_gray(np.asarray(image), stored, name)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _deep_to_gray(values: np.ndarray, stored: Image.Image, name: str | pathlib.Path) -> np.ndarray:
    """Gray values of more than 8 bits to uint8, as `decode` says."""
    tags = getattr(stored, "tag_v2", {})  # of TIFF alone
    if stored.mode.startswith("I;") or (stored.mode == "I" and not tags):  # of other formats Pillow scales to 16 bits
        gray = (values >> (tags.get(_BITS, (16,))[0] - 8)).astype(np.uint8)
        if "transparency" in stored.info:
            gray[values == stored.info["transparency"]] = 255
    else:
        unsigned = values.dtype == np.int32 and tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0] == _UNSIGNED
        gray = _without_range_to_gray(values.view(np.uint32) if unsigned else values, name)
    return 255 - gray if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else gray


def _without_range_to_gray(values: np.ndarray, name: str | pathlib.Path) -> np.ndarray:
    """Gray values whose file states no range to uint8, rounded."""
    if not np.isfinite(values).all():
        raise UserError(
            f"{name}: holds values that are no numbers (NaN or infinite); give them a value, or save 8 bits"
        )
    low, high = float(values.min()), float(values.max())
    natural = 1.0 if values.dtype.kind == "f" else 255.0
    if low >= 0 and high <= natural:
        low, high = 0.0, natural
    scale = 255 / (high - low) if high > low else 0.0
    gray = np.empty(values.shape, np.uint8)
    for row, line in zip(gray, values):  # one by one: as float64 a whole picture may be large
        row[:] = (line.astype(np.float64) - low) * scale + 0.5
    return gray


def encode_jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """(H, W, 3) uint8 RGB to JPEG bytes of the given quality (1 to 100)."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def encode_png(pixels: np.ndarray) -> bytes:
    """(H, W) uint8 gray, or (H, W, 3) RGB, to PNG bytes."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
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
