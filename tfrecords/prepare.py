"""One item to one picture ready for a record: decoded, checked, made RGB JPEG. Runs in worker processes."""

import dataclasses
import multiprocessing
import os
import threading
from collections.abc import Sequence
from multiprocessing.process import BaseProcess

import numpy as np

from e2wsol.config import option
from e2wsol.data import images
from e2wsol.data.image_record import ImageRecord, check_boxes
from e2wsol.errors import UserError
from tfrecords.items import Item


@dataclasses.dataclass(frozen=True)
class StoreOptions:
    """What is stored of each picture."""

    store: str = option(
        "original",
        "original = RGB JPEG files byte for byte, others re-encoded; resized = reduced to --short_side; square = both "
        "sides reduced to it, as training does whatever the aspect ratio: the fastest to read",
        choices=("original", "resized", "square"),
    )
    short_side: int = option(
        256, "short side of the stored picture in pixels with --store=resized, both sides with square", minimum=16
    )
    jpeg_quality: int = option(95, "quality of re-encoded JPEGs", minimum=1, maximum=100)


def end_with_builder() -> None:
    """Makes this worker process end when the builder's has: a killed builder cannot tell its workers to."""

    def watch(builder: BaseProcess) -> None:
        builder.join()
        os._exit(1)

    threading.Thread(target=watch, args=(multiprocessing.parent_process(),), daemon=True).start()


def prepare(item: Item, *, classes: Sequence[str], options: StoreOptions, slack: float) -> ImageRecord:
    """Reads `item` and makes its `ImageRecord`.

    Args:
      item: `items.Item`.
      classes: class names in label order.
      options: `StoreOptions`.
      slack: see `image_record.check_boxes`.

    Raises:
      UserError: the picture cannot be read, or its label, box or mask cannot be right; names the picture.
    """
    if not 0 <= item.label < len(classes):
        raise UserError(f"{item.source_id}: label {item.label}; there are {len(classes)} classes, from 0")
    raw = item.read()
    if isinstance(raw.content, bytes):
        pixels, plain = images.decode(raw.content, item.source_id)
    else:
        pixels, plain = raw.content, False
    height, width = pixels.shape[:2]
    _check_size(item, height, width)
    boxes = raw.boxes * [width, height, width, height] if raw.boxes_are_fractions else raw.boxes
    return ImageRecord(
        jpeg=_jpeg(raw.content, pixels, plain, options),
        height=height,
        width=width,
        filename=item.filename,
        source_id=item.source_id,
        label=item.label,
        class_name=classes[item.label],
        boxes=check_boxes(boxes, height=height, width=width, name=item.source_id, slack=slack),
        mask=None if raw.mask is None else np.ascontiguousarray(raw.mask(height, width)),
    )


def _check_size(item: Item, height: int, width: int) -> None:
    expected = getattr(item, "annotated_size", None)
    if expected not in (None, (height, width)):
        raise UserError(
            f"{item.source_id}: picture is {width}x{height} pixels, but its annotation was made for"
            f" {expected[1]}x{expected[0]}"
        )


def _jpeg(content: bytes | np.ndarray, pixels: np.ndarray, plain: bool, options: StoreOptions) -> bytes:
    """Bytes as they are where nothing has to change, else encoded anew."""
    if options.store != "original":
        reduce = images.shrink if options.store == "resized" else images.shrink_to_square
        reduced = reduce(pixels, options.short_side)
        plain = plain and reduced is pixels
        pixels = reduced
    return content if plain and isinstance(content, bytes) else images.encode_jpeg(pixels, options.jpeg_quality)
