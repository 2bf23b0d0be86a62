"""Decoding inside of a graph equals decoding by Pillow."""

import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from e2wsol.data import encoded_images, images

decode = tf.function(encoded_images.decode, input_signature=[tf.TensorSpec((), tf.string)])
orientation = tf.function(encoded_images.orientation, input_signature=[tf.TensorSpec((), tf.string)])


def encoded(mode, kind, *, exif=None, size=(23, 17), seed=0, **options):
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (5, 6, 4), np.uint8)
    image = Image.fromarray(colours, "RGBA").resize(size, Image.Resampling.BICUBIC)
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 1 << 16, size[::-1], np.uint16))
    elif mode == "P with transparency":
        image = image.convert("RGB").quantize(7)
        options["transparency"] = bytes([0, 40, 128, 200, 255, 255, 9])
    elif mode != "RGBA":
        image = image.convert(mode) if mode != "LA" else image.convert("LA")
    stream = io.BytesIO()
    image.save(stream, kind, **options, **({} if exif is None else {"exif": exif}))
    return stream.getvalue()


def with_orientation(value, *, big_endian=False, others=True):
    exif = Image.Exif()
    exif.endian = ">" if big_endian else "<"
    if others:
        exif[0x010F], exif[0x0132] = "camera", "2020:01:01 00:00:00"
    exif[0x0112] = value
    return exif


def check(data):
    expected, _ = images.decode(data, "picture")
    np.testing.assert_array_equal(decode(data).numpy(), expected)
    assert int(orientation(data)) == images.orientation(data)


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("RGB", "JPEG", {"quality": 95}),
        ("RGB", "JPEG", {"quality": 60, "progressive": True}),
        ("RGB", "JPEG", {"quality": 90, "subsampling": 0}),
        ("RGB", "JPEG", {"quality": 90, "subsampling": 2, "size": (400, 301)}),
        ("L", "JPEG", {"quality": 90}),
        ("RGB", "PNG", {}),
        ("RGBA", "PNG", {}),
        ("L", "PNG", {}),
        ("LA", "PNG", {}),
        ("1", "PNG", {}),
        ("P", "PNG", {}),
        ("P", "PNG", {"bits": 2}),
        ("P", "PNG", {"bits": 4}),
        ("1", "PNG", {"transparency": 0}),
        ("L", "PNG", {"transparency": 77}),
        ("P with transparency", "PNG", {}),
        ("I;16", "PNG", {}),
        ("RGB", "PNG", {"transparency": (10, 20, 30)}),
    ],
)
def test_pixels_are_those_of_predict(mode, kind, options):
    check(encoded(mode, kind, **options))


def test_the_default_of_tensorflow_has_other_pixels():
    """Why docs/predict.md warns of it."""
    data = encoded("RGB", "JPEG", quality=95, size=(200, 150))
    usual = tf.io.decode_jpeg(data, channels=3).numpy().astype(int)
    assert np.abs(usual - images.decode(data, "picture")[0]).max() > 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("value", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_orientations(kind, value):
    for big_endian in (False, True):
        check(encoded("RGB", kind, exif=with_orientation(value, big_endian=big_endian, others=value % 2 == 0)))


def test_a_picture_that_speaks_of_exif_has_none():
    check(encoded("RGB", "JPEG", comment=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"))


@settings(max_examples=60)
@given(st.integers(0, 3), st.binary(max_size=4), st.integers(0, 90))
def test_damaged_tags_end_in_a_number(seed, noise, place):
    """Whatever the tags say, the orientation is from 1 to 8."""
    data = bytearray(encoded("RGB", "JPEG", exif=with_orientation(6), seed=seed))
    start = data.index(b"Exif\0\0") + 6 + place
    data[start : start + len(noise)] = noise
    assert 1 <= int(orientation(bytes(data))) <= 8


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (encoded("CMYK", "JPEG"), "a JPEG of CMYK; convert it to RGB"),
        (encoded("RGB", "BMP"), "neither a JPEG nor a PNG"),
        (b"", "neither a JPEG nor a PNG"),
        (b"text", "neither a JPEG nor a PNG"),
        (encoded("RGB", "PNG")[:60], "PNG"),
    ],
)
def test_other_files_are_refused(data, words):
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        decode(data)
