import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from e2wsol.data import images
from e2wsol.errors import UserError

# Two flat colours, left and right: close to lossless in JPEG, and turned pictures can be told.
PIXELS = np.zeros((32, 64, 3), np.uint8)
PIXELS[:, :32], PIXELS[:, 32:] = (200, 30, 60), (20, 180, 220)


def saved(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
def test_other_formats_become_rgb(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels, plain = images.decode(saved(Image.fromarray(PIXELS), kind, **options), "a")
    np.testing.assert_array_equal(pixels, PIXELS)
    assert not plain


def test_rgb_jpeg_is_plain():
    flat = np.full((32, 64, 3), (200, 30, 60), np.uint8)
    pixels, plain = images.decode(images.encode_jpeg(flat, 95), "a.jpg")
    assert plain and np.abs(pixels.astype(int) - flat).max() <= 2


def test_cmyk_jpeg_keeps_its_colours():
    pixels, plain = images.decode(saved(Image.fromarray(PIXELS).convert("CMYK"), "JPEG", quality=95), "a.JPEG")
    assert not plain and pixels.dtype == np.uint8
    assert np.abs(pixels[:, 4:28].astype(int) - PIXELS[:, 4:28]).max() <= 6
    assert np.abs(pixels[:, 36:60].astype(int) - PIXELS[:, 36:60]).max() <= 6


def test_gray_jpeg_has_three_equal_channels():
    pixels, plain = images.decode(saved(Image.fromarray(PIXELS).convert("L"), "JPEG"), "a.jpg")
    assert pixels.shape == (32, 64, 3) and not plain
    assert (pixels[..., :1] == pixels).all()


def test_sixteen_bit_gray_is_scaled():
    gray = (np.arange(64, dtype=np.uint16) * 1024).reshape(8, 8)
    pixels, _ = images.decode(saved(Image.fromarray(gray), "PNG"), "a.png")
    np.testing.assert_array_equal(pixels[..., 0], gray >> 8)


def test_palette_and_transparency_lie_on_white():
    clear = np.concatenate([PIXELS, np.zeros((32, 64, 1), np.uint8)], axis=-1)
    pixels, _ = images.decode(saved(Image.fromarray(clear), "PNG"), "a.png")
    assert (pixels == 255).all()
    pixels, _ = images.decode(saved(Image.fromarray(PIXELS).quantize(4), "PNG"), "a.png")
    np.testing.assert_array_equal(pixels, PIXELS)


@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, 3), (8, 1)])
def test_rotated_by_exif_becomes_upright(orientation, turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(PIXELS), "JPEG", exif=exif, quality=100, subsampling=0)
    pixels, plain = images.decode(data, "a.jpg")
    assert not plain
    expected = np.rot90(PIXELS, turns)
    assert pixels.shape == expected.shape and np.abs(pixels.astype(int) - expected).max() <= 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"text", "unknown format"),
        (images.encode_jpeg(PIXELS, 95)[:-100], "Truncated File Read"),
    ],
)
def test_bad_bytes_name_the_file(data, reason):
    with pytest.raises(UserError, match=f"^bird.jpg: not a readable picture .{reason}"):
        images.decode(data, "bird.jpg")


@pytest.mark.parametrize("cut", [1, 2, 3, 50, 400])
def test_a_cut_jpeg_fails_here_when_tensorflow_would_fail(cut):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = images.encode_jpeg(noise, 95)[:-cut]
    try:
        tf.io.decode_jpeg(data)
    except tf.errors.InvalidArgumentError:
        with pytest.raises(UserError):
            images.decode(data, "a.jpg")


def test_a_cut_png():
    with pytest.raises(UserError, match=r"a.png: not a readable picture"):
        images.decode(saved(Image.fromarray(PIXELS), "PNG")[:60], "a.png")


def test_shrink():
    assert images.shrink(PIXELS, 16).shape == (16, 32, 3)
    assert images.shrink(PIXELS.transpose(1, 0, 2), 20).shape == (40, 20, 3)
    assert images.shrink(PIXELS, 32) is PIXELS and images.shrink(PIXELS, 64) is PIXELS
    np.testing.assert_array_equal(images.shrink(PIXELS, 16), PIXELS[::2, ::2])


def test_shrink_to_square():
    assert images.shrink_to_square(PIXELS, 16).shape == (16, 16, 3)
    assert images.shrink_to_square(PIXELS, 40).shape == (32, 40, 3)
    assert images.shrink_to_square(PIXELS, 64) is PIXELS
    # Every pixel is the mean of 2x4 pixels, all of one colour.
    np.testing.assert_array_equal(images.shrink_to_square(PIXELS, 16), PIXELS[::2, ::4])
