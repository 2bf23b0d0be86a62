import dataclasses
import pathlib

import cv2
import numpy as np
import tensorflow as tf
from PIL import Image

from e2wsol import config
from e2wsol.data import dataset, schema
from tfrecords import build
from tfrecords.prepare import StoreOptions


def save_picture(path, *, height=30, width=40, seed=0, mode="RGB", kind=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    pixels = cv2.resize(small, (width, height))
    Image.fromarray(pixels).convert(mode).save(path, kind)


def run_build(output, *, source_options=None, store=None, **options):
    """The command's main with its options, in this process."""
    flags = config.from_mapping(build.BuildFlags, {})
    given = build.BuildOptions(output=str(output), workers=1, **{k: tuple_or_text(v) for k, v in options.items()})
    fields = dataclasses.fields(flags.of_sources)
    own = {field.name: source_options for field in fields if field.type is type(source_options)}
    sources = dataclasses.replace(flags.of_sources, **own)
    build.main(dataclasses.replace(flags, build=given, store=store or StoreOptions(), of_sources=sources), [])
    return dataset.load(output, verify=True)


def tuple_or_text(value):
    return str(value) if isinstance(value, pathlib.Path) else value


def read_split(info, split):
    """source_id -> record of numpy values."""
    records = {}
    for path in info.split(split).files:
        for serialized in tf.data.TFRecordDataset(path):
            record = {name: value.numpy() for name, value in schema.parse(serialized).items()}
            records[record["source_id"].decode()] = record
    return records


def decode_mask(record):
    return cv2.imdecode(np.frombuffer(record["mask"], np.uint8), cv2.IMREAD_UNCHANGED)


def options_with(kind, **changes):
    return dataclasses.replace(kind(), **changes)
