import json

import numpy as np
import tensorflow as tf

from e2wsol.data import dataset, schema
from e2wsol.data.image_record import ImageRecord


def made_picture(index, label, *, height=40, width=30, boxes=((3, 4, 20, 30),), mask=None):
    pixels = np.random.default_rng(index).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    image = tf.image.resize(pixels, (height, width), method="nearest")
    return ImageRecord(
        jpeg=tf.io.encode_jpeg(image, quality=95).numpy(),
        height=height,
        width=width,
        filename=f"{index}.jpg",
        source_id=f"made/{index}",
        label=label,
        class_name=f"class {label}",
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4),
        mask=mask,
    )


def write_shard(path, serialized):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in serialized:
            writer.write(record)
    return {
        "file": path.name,
        "count": len(serialized),
        "bytes": path.stat().st_size,
        "sha256": dataset.sha256(path),
    }


def class_counts(labels, classes):
    return [labels.count(label) for label in range(classes)]


def write_dataset(folder, splits, classes=3):
    """Writes {split: [shard: [ImageRecord]]}; a second route to the format, without the builder."""
    document = {
        "format": dataset.FORMAT,
        "name": "made",
        "source": "test",
        "created_by": {},
        "classes": [f"class {label}" for label in range(classes)],
        "splits": {},
        "has_boxes": True,
        "has_masks": False,
    }
    for split, shards in splits.items():
        entries = [
            write_shard(folder / f"{split}-{i:05d}-of-{len(shards):05d}.tfrecord", [schema.encode(p) for p in pictures])
            for i, pictures in enumerate(shards)
        ]
        labels = [picture.label for pictures in shards for picture in pictures]
        counts = class_counts(labels, classes)
        document["splits"][split] = {"count": len(labels), "shards": entries, "class_counts": counts}
    (folder / dataset.FILE_NAME).write_text(json.dumps(document))
    return folder


def assert_equal(left, right):
    """Batches, tuples of arrays, are as many and the same to the bit."""
    for one, other in zip(left, right, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)
