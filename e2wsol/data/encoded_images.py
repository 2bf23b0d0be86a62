"""JPEG and PNG bytes to upright RGB inside a TensorFlow graph: twin of images.decode, for exported models."""

from typing import Any

import tensorflow as tf

from e2wsol.data import pipeline

_EXIF_BYTES = 1 << 16  # no JPEG segment is longer
_ORIENTATION, _SHORT, _LONG = 0x0112, 3, 4  # EXIF tag, and types of its value
_COLOUR_OR_GRAY = (1, 3)


def decode(data: Any) -> Any:
    """Decodes a picture file as images.decode does, to the bit.

    Transparent pixels lie on white, 16 bits keep the upper 8, and a picture is turned upright as its EXIF tag says.

    Args:
      data: scalar string, the bytes of a JPEG in colour or gray, or of a PNG.

    Returns:
      uint8 (H, W, 3) RGB.

    Raises:
      tf.errors.InvalidArgumentError: when it runs: a JPEG of four colours, a file of another kind, or a damaged one.
    """
    image = tf.cond(tf.io.is_jpeg(data), lambda: _decode_jpeg(data), lambda: _decode_png(data))
    return _upright(tf.ensure_shape(image, (None, None, 3)), orientation(data))


def _decode_jpeg(data):
    channels = tf.image.extract_jpeg_shape(data)[-1]
    plain = tf.debugging.Assert(
        tf.reduce_any(channels == _COLOUR_OR_GRAY), ["a JPEG of CMYK; convert it to RGB, channels:", channels]
    )
    with tf.control_dependencies([plain] if plain is not None else []):
        return pipeline.decode(data)


def _decode_png(data):
    is_png = tf.debugging.Assert(
        tf.strings.substr(data, 0, 8) == b"\x89PNG\r\n\x1a\n", ["neither a JPEG nor a PNG; convert it"]
    )
    with tf.control_dependencies([is_png] if is_png is not None else []):
        return tf.cond(
            _is_transparent(data),
            lambda: _on_white(tf.io.decode_png(data, channels=4)),
            lambda: tf.io.decode_png(data, channels=3),  # a fourth channel of 1 to 4 bits would not be opaque
        )


def _is_transparent(data):
    """Whether a PNG has an alpha channel, or a transparent colour."""
    before, colour = _parted(data, b"tRNS")
    in_header = (tf.size(tf.strings.split(before, b"IDAT")) == 1) & (tf.strings.length(colour) > 0)
    return tf.reduce_any(tf.strings.substr(data, 25, 1) == [b"\4", b"\6"]) | in_header


def _on_white(image):
    """uint8 RGBA over white to RGB, in the whole numbers that Pillow's alpha_composite takes."""
    opacity = tf.cast(image[..., 3:], tf.int32) * 128
    mixed = tf.cast(image[..., :3], tf.int32) * opacity + 255 * (255 * 128 - opacity) + 128 * 128
    return tf.cast((mixed // 256 + mixed) // 256 // 128, tf.uint8)


def orientation(data: Any) -> Any:
    """EXIF orientation of a JPEG or PNG, scalar int32 from 1 (upright) to 8; 1 where the file says nothing."""
    before, tags = _parted(data, b"Exif\0\0")
    of_jpeg = tf.io.is_jpeg(data) & (tf.strings.substr(before, -4, 2) == b"\xff\xe1")  # a segment APP1 of any length
    _, png_tags = _parted(data, b"eXIf")
    tags = tf.where(tf.io.is_jpeg(data), tf.where(of_jpeg, tags, b""), png_tags)
    is_tiff = tf.reduce_any(tf.strings.substr(tags, 0, 4) == [b"II*\0", b"MM\0*"])
    return tf.cond(is_tiff, lambda: _tiff_orientation(tags), lambda: 1)


def _parted(data, mark):
    """What lies before and behind a mark's first place; all and nothing where it is not there."""
    parts = tf.concat([tf.strings.split(data, mark, maxsplit=1), [b""]], axis=0)
    return tf.strings.join([b"\0\0\0\0", parts[0]]), tf.strings.substr(parts[1], 0, _EXIF_BYTES)


def _tiff_orientation(tags):
    """The orientation in the first directory of TIFF bytes."""
    octets = tf.cast(tf.io.decode_raw(tags, tf.uint8), tf.int32)
    last = tf.size(octets) - 1
    little = octets[0] == ord("I")

    def number(start, length):
        read = [tf.gather(octets, tf.clip_by_value(start + place, 0, last)) for place in range(length)]
        ordered = tf.where(little, tf.stack(read[::-1]), tf.stack(read))
        return sum(ordered[place] * 256 ** (length - 1 - place) for place in range(length))

    directory = number(4, 4)
    entries = directory + 2 + 12 * tf.range(number(directory, 2))
    kinds = number(entries + 2, 2)
    values = tf.where(kinds == _SHORT, number(entries + 8, 2), number(entries + 8, 4))
    known = (number(entries, 2) == _ORIENTATION) & ((kinds == _SHORT) | (kinds == _LONG))
    known &= (values >= 1) & (values <= 8) & (entries >= 0) & (entries + 11 <= last)
    return tf.concat([tf.boolean_mask(values, known), [1]], axis=0)[0]


def _upright(image, orientation):
    turned = {
        1: lambda: image,
        2: lambda: image[:, ::-1],
        3: lambda: image[::-1, ::-1],
        4: lambda: image[::-1],
        5: lambda: tf.transpose(image, (1, 0, 2)),
        6: lambda: tf.transpose(image, (1, 0, 2))[:, ::-1],
        7: lambda: tf.transpose(image[::-1, ::-1], (1, 0, 2)),
        8: lambda: tf.transpose(image, (1, 0, 2))[::-1],
    }
    return tf.switch_case(orientation - 1, [turned[number] for number in range(1, 9)])
