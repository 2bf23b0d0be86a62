"""Damaged picture and mask files: a picture, or one clear line."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import damaged
from PIL import Image

from e2wsol.data import images
from e2wsol.errors import UserError
from tfrecords.items import Location
from tfrecords.masks import MaskFile

pytestmark = pytest.mark.slow
BOUNDED = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


def saved(kind, mode="RGB", **options):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 17, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, kind, exif=exif, **options)
    return stream.getvalue()


FILES = (
    *(saved("JPEG"), saved("JPEG", "CMYK"), saved("JPEG", "L", progressive=True), saved("PNG"), saved("PNG", "P")),
    *(
        saved("PNG", "LA"),
        saved("GIF"),
        saved("BMP"),
        saved("WEBP"),
        saved("TIFF"),
        saved("TIFF", compression="tiff_lzw"),
    ),
    *(saved("JPEG2000"), saved("PPM")),
)


@BOUNDED
@given(damaged(FILES))
def test_pictures(data):
    try:
        pixels, _ = images.decode(data, "bird.jpg")
    except UserError as error:
        assert str(error).startswith("bird.jpg: ") and "\n" not in " ".join(str(error).split())
    else:
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3


@BOUNDED
@given(st.binary(max_size=200) | damaged((saved("PNG", "L"), saved("PNG", "P"), saved("GIF", "L"))))
def test_masks(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "mask.png"
    path.write_bytes(data)
    try:
        mask = MaskFile(Location(str(path)), "nonzero").render(12, 17)
    except UserError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        assert mask.shape == (12, 17) and set(np.unique(mask)) <= {0, 1}
