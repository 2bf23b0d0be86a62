"""The record: one picture as a serialized tf.train.Example, written and read.

Feature names are those of the TensorFlow Object Detection API, so that other tools read the files:

  image/encoded             RGB JPEG bytes, upright
  image/format              "jpeg"
  image/height, image/width pixels of the annotated picture (the JPEG may be a reduced copy)
  image/filename, image/source_id
  image/class/label         int64 from 0; image/class/text: its name
  image/object/bbox/{xmin,ymin,xmax,ymax}   fractions of width and height in [0, 1], 0..n boxes
  image/segmentation/mask   optional PNG, uint8, one channel, height x width: 0 background, 1 object, 255 ignore
  image/segmentation/pseudo_mask   optional PNG, uint8 RGB, as large as the JPEG: red 255 * foreground, green
                            255 * prior (see e2wsol.localization.pseudo_mask), blue 0
"""

import contextlib
import errno
import io
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from PIL import Image

from e2wsol.data.image_record import ImageRecord

_PSEUDO_MASK = "image/segmentation/pseudo_mask"

_BOX_SIDES = ("xmin", "ymin", "xmax", "ymax")
_TEXT = tf.io.FixedLenFeature([], tf.string)
_INTEGER = tf.io.FixedLenFeature([], tf.int64)
_FEATURES = {
    "image/encoded": _TEXT,
    "image/height": _INTEGER,
    "image/width": _INTEGER,
    "image/filename": tf.io.FixedLenFeature([], tf.string, ""),
    "image/source_id": tf.io.FixedLenFeature([], tf.string, ""),
    "image/class/label": _INTEGER,
    "image/class/text": tf.io.FixedLenFeature([], tf.string, ""),
    "image/segmentation/mask": tf.io.FixedLenFeature([], tf.string, ""),
    _PSEUDO_MASK: tf.io.FixedLenFeature([], tf.string, ""),
    **{f"image/object/bbox/{side}": tf.io.RaggedFeature(tf.float32) for side in _BOX_SIDES},
}


def encode(image: ImageRecord) -> bytes:
    """The bytes of the record of an image."""
    size = np.asarray([image.width, image.height] * 2, np.float64)
    fractions = np.asarray(image.boxes, np.float64).reshape(-1, 4) / size
    features = {
        "image/encoded": _bytes(image.jpeg),
        "image/format": _bytes(b"jpeg"),
        "image/height": _int64(image.height),
        "image/width": _int64(image.width),
        "image/filename": _bytes(image.filename.encode()),
        "image/source_id": _bytes(image.source_id.encode()),
        "image/class/label": _int64(image.label),
        "image/class/text": _bytes(image.class_name.encode()),
    }
    for column, side in enumerate(_BOX_SIDES):
        values = tf.train.FloatList(value=fractions[:, column])
        features[f"image/object/bbox/{side}"] = tf.train.Feature(float_list=values)
    if image.mask is not None:
        features["image/segmentation/mask"] = _bytes(cv2.imencode(".png", image.mask)[1].tobytes())
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def add_pseudo_mask(serialized: bytes, draw: Callable[[int, int], np.ndarray]) -> bytes:
    """The bytes of a record with a pseudo mask put in, its other features as they were.

    Args:
      serialized: bytes of the record.
      draw: draw(H, W) makes the (H, W, 2) uint8 of foreground and prior for a JPEG of that size.
    """
    example = tf.train.Example.FromString(serialized)
    width, height = Image.open(io.BytesIO(example.features.feature["image/encoded"].bytes_list.value[0])).size
    picture = draw(height, width)
    blue_green_red = np.stack([np.zeros_like(picture[..., 0]), picture[..., 1], picture[..., 0]], axis=-1)
    png = cv2.imencode(".png", blue_green_red)[1].tobytes()
    example.features.feature[_PSEUDO_MASK].CopyFrom(_bytes(png))
    return example.SerializeToString(deterministic=True)


@contextlib.contextmanager
def record_writer(path: str | pathlib.Path) -> Iterator[Callable[[bytes], None]]:
    """Yields the write function of a TFRecord file; TensorFlow's storage errors become OSError."""
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            yield writer.write
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error


def _bytes(value: bytes) -> Any:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int64(value: int) -> Any:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def parse(serialized: Any) -> dict[str, Any]:
    """Reads a record without decoding its picture.

    Args:
      serialized: scalar string tensor.

    Returns:
      dict of tensors: "jpeg" string; "size" int32 (2,) height and width of the annotated picture;
      "label" int32; "class_name", "filename", "source_id" string; "boxes" float32 (n, 4) pixels of
      the annotated picture, ends exclusive; "mask" and "pseudo_mask" string, PNG bytes or "".
    """
    parsed = tf.io.parse_single_example(serialized, _FEATURES)
    size = tf.stack([parsed["image/height"], parsed["image/width"]])
    fractions = tf.stack([parsed[f"image/object/bbox/{side}"] for side in _BOX_SIDES], axis=-1)
    return {
        "jpeg": parsed["image/encoded"],
        "size": tf.saturate_cast(size, tf.int32),
        "label": tf.saturate_cast(parsed["image/class/label"], tf.int32),
        "class_name": parsed["image/class/text"],
        "filename": parsed["image/filename"],
        "source_id": parsed["image/source_id"],
        "boxes": _pixels(fractions, size),
        "mask": parsed["image/segmentation/mask"],
        "pseudo_mask": parsed[_PSEUDO_MASK],
    }


def _pixels(fractions: Any, size: Any) -> Any:
    """Fractions to pixels; a coordinate annotated in whole pixels comes back exactly.

    A float32 fraction is off by up to 2**-25, so a product that close to a whole pixel is that pixel.
    Box rules that truncate to whole numbers would otherwise lose a pixel here and there.
    """
    scale = tf.cast(tf.gather(size, [1, 0, 1, 0]), tf.float64)
    pixels = tf.cast(fractions, tf.float64) * scale
    whole = tf.round(pixels)
    return tf.cast(tf.where(tf.abs(pixels - whole) <= scale * 2.0**-24, whole, pixels), tf.float32)
