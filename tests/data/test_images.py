import io
import struct

import cv2
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


UNSIGNED, SIGNED, FLOAT = 1, 2, 3  # TIFF's sample formats


def tiff(raw, width, height, bits, kind, *, white_is_zero=False, byte_order="<", channels=1):
    """A TIFF of one uncompressed strip, written field by field."""
    fields = [
        *((256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1)),
        *((262, 3, 2 if channels == 3 else int(not white_is_zero)), (273, 4, 8), (277, 3, channels)),
        *((278, 4, height), (279, 4, len(raw)), (339, 3, kind)),
    ]
    packed = [
        struct.pack(
            byte_order + ("HHII" if type_ == 4 else "HHIHH"), tag, type_, 1, *((value,) if type_ == 4 else (value, 0))
        )
        for tag, type_, value in fields
    ]
    directory = struct.pack(byte_order + "H", len(fields)) + b"".join(packed) + bytes(4)
    return {"<": b"II", ">": b"MM"}[byte_order] + struct.pack(byte_order + "HI", 42, 8 + len(raw)) + raw + directory


def gray_tiff(values, dtype, **settings):
    array = np.asarray(values, np.dtype(dtype))
    kind = {"u": UNSIGNED, "i": SIGNED, "f": FLOAT}[array.dtype.kind]
    settings = {"byte_order": ">" if dtype[0] == ">" else "<", **settings}
    return tiff(array.tobytes(), array.size, 1, 8 * array.itemsize, kind, **settings)


def pgm(values, largest):
    return f"P5 {len(values)} 1 {largest}\n".encode() + np.asarray(values, ">u2").tobytes()


def png(values):
    return cv2.imencode(".png", np.asarray(values, np.uint16))[1].tobytes()


DEEP = {
    "16 bits": (gray_tiff([0, 255, 256, 4096, 65535], "<u2"), [0, 0, 1, 16, 255]),
    "16 bits, big-endian": (gray_tiff([0, 255, 256, 4096, 65535], ">u2"), [0, 0, 1, 16, 255]),
    "16 bits, white is zero": (gray_tiff([0, 256, 65535], "<u2", white_is_zero=True), [255, 254, 0]),
    "12 bits": (tiff(b"\x00\x00\x10\x80\x0f\xff", 4, 1, 12, UNSIGNED), [0, 1, 128, 255]),
    "PNG of 16 bits": (png([[0, 255, 256, 65535]]), [0, 0, 1, 255]),
    "PGM of 16 bits": (pgm([0, 255, 256, 65535], 65535), [0, 0, 1, 255]),
    "PGM of 10 bits": (pgm([0, 512, 1023], 1023), [0, 128, 255]),
    "signed 16 bits, as 8": (gray_tiff([0, 7, 200], "<i2"), [0, 7, 200]),
    "signed 16 bits, stretched": (gray_tiff([-1000, 0, 3000], ">i2"), [0, 64, 255]),
    "32 bits, as 8": (gray_tiff([0, 7, 255], "<i4"), [0, 7, 255]),
    "32 bits, of 12": (gray_tiff([0, 2048, 4095], "<i4"), [0, 128, 255]),
    "32 bits, of 16, big-endian": (gray_tiff([0, 257, 65535], ">i4"), [0, 1, 255]),
    "32 bits, below 0": (gray_tiff([-50, 0, 205], "<i4"), [0, 50, 255]),
    "32 bits unsigned": (gray_tiff([0, 2**31, 2**32 - 1], "<u4"), [0, 128, 255]),
    "float in 0..1": (gray_tiff([0, 0.25, 0.5], "<f4"), [0, 64, 128]),
    "float in 0..1, big-endian": (gray_tiff([0, 0.25, 1], ">f4"), [0, 64, 255]),
    "float in 0..1, white is zero": (gray_tiff([0, 0.2, 1], "<f4", white_is_zero=True), [255, 204, 0]),
    "float a little above 1": (gray_tiff([0, 0.51, 1.02], "<f4"), [0, 128, 255]),
    "float in 0..255": (gray_tiff([0, 100, 255], "<f4"), [0, 100, 255]),
    "float below 0": (gray_tiff([-1e30, 0, 1e30], "<f4"), [0, 128, 255]),
    "float of one value": (gray_tiff([7, 7], "<f4"), [0, 0]),
    "PFM": (b"Pf 3 1 -1.0\n" + np.array([0, 0.25, 1], "<f4").tobytes(), [0, 64, 255]),
}


@pytest.mark.parametrize("kind", DEEP)
def test_deep_gray(kind):
    data, expected = DEEP[kind]
    pixels, plain = images.decode(data, "a")
    assert pixels.dtype == np.uint8 and pixels.shape == (1, len(expected), 3) and not plain
    np.testing.assert_array_equal(pixels[0], np.repeat(np.array(expected)[:, None], 3, axis=1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(value):
    with pytest.raises(UserError, match=r"^heights.tif: holds values that are no numbers"):
        images.decode(gray_tiff([0, value, 1], "<f4"), "heights.tif")


@pytest.mark.parametrize("data", [gray_tiff([0, 1], "<f8"), tiff(bytes(24), 2, 1, 32, FLOAT, channels=3)])
def test_kinds_of_tiff_that_are_not_read(data):
    with pytest.raises(UserError, match=r"^a.tif: not a readable picture .a kind of TIFF .* 8 or 16 bits a channel"):
        images.decode(data, "a.tif")


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_deep_colours_keep_their_upper_bits(suffix):
    colours = np.random.default_rng(0).integers(0, 1 << 16, (5, 7, 3), np.uint16)
    pixels, _ = images.decode(cv2.imencode(suffix, colours[..., ::-1])[1].tobytes(), "a")
    np.testing.assert_array_equal(pixels, colours >> 8)


def test_deep_transparency_lies_on_white():
    colours = np.full((1, 2, 4), (0x1234, 0x5678, 0x9ABC, 0xFFFF), np.uint16)
    colours[0, 1, 3] = 0
    pixels, _ = images.decode(png(colours), "a.png")
    assert pixels[0].tolist() == [[0x9A, 0x56, 0x12], [255, 255, 255]]
    clear = io.BytesIO()
    Image.fromarray(np.array([[256, 257]], np.uint16)).save(clear, "PNG", transparency=257)
    assert images.decode(clear.getvalue(), "a.png")[0][0, :, 0].tolist() == [1, 255]


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deep_gray_is_turned_upright(dtype):
    values, exif = np.arange(6, dtype=dtype).reshape(2, 3) * (10 if dtype != np.uint16 else 2560), Image.Exif()
    exif[0x0112] = 6
    pixels, _ = images.decode(saved(Image.fromarray(values), "TIFF", exif=exif), "a.tif")
    turned = np.rot90([[0, 10, 20], [30, 40, 50]], 3)
    np.testing.assert_array_equal(pixels[..., 0], turned * 51 / 10 if dtype == np.float32 else turned)


def test_one_bit_and_palette_with_transparency():
    bits = np.array([[True, False, True]])
    for kind in ("PNG", "TIFF", "BMP"):
        assert images.decode(saved(Image.fromarray(bits), kind), "a")[0][0, :, 1].tolist() == [255, 0, 255]
    palette = Image.new("P", (3, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    palette.putdata([0, 1, 2])
    pixels, _ = images.decode(saved(palette, "PNG", transparency=1), "a.png")
    assert pixels[0].tolist() == [[10, 20, 30], [255, 255, 255], [70, 80, 90]]
    pixels, _ = images.decode(saved(palette, "PNG", transparency=bytes([255, 255, 0])), "a.png")
    assert pixels[0].tolist() == [[10, 20, 30], [40, 50, 60], [255, 255, 255]]


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
