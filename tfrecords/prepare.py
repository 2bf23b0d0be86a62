"""One item to one picture ready for a record: decoded, checked, made RGB JPEG. Runs in worker processes."""

import dataclasses
import hashlib
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
from tfrecords.frames import Frame
from tfrecords.items import Item, RawPicture


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


@dataclasses.dataclass(frozen=True)
class Policies:
    """What is done about pictures and boxes that cannot be right.

    Attributes:
      record: "error" or "skip".
      box: "error", "clip" or "skip".
    """

    record: str = "error"
    box: str = "error"


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """What became of one item.

    Attributes:
      source_id: the item's.
      record: its `ImageRecord`; None where it cannot be used.
      content_sha256: digest of the files that it was made from.
      problem: why it cannot be used.
      mended_boxes: what was done to its boxes, a line a box.
    """

    source_id: str
    record: ImageRecord | None
    content_sha256: str
    problem: str = ""
    mended_boxes: tuple[str, ...] = ()


def prepare(item: Item, *, classes: Sequence[str], options: StoreOptions, slack: float, on_bad_box: str) -> Prepared:
    """Reads `item` and makes its record, or says why there is none.

    Args:
      item: `items.Item`.
      classes: class names in label order.
      options: `StoreOptions`.
      slack: see `image_record.check_boxes`.
      on_bad_box: `Policies.box`.
    """
    content_sha256 = ""
    try:
        content_sha256 = digest(item)
        record, mended = _record(item, classes, options, slack, on_bad_box)
        return Prepared(item.source_id, record, content_sha256, mended_boxes=mended)
    except UserError as error:
        return Prepared(item.source_id, None, content_sha256, problem=str(error))


def digest(item: Item) -> str:
    """SHA-256 of the content of the files that an item is read from."""
    content = hashlib.sha256()
    for location in item.inputs:
        data = location.read()
        content.update(b"%d:" % len(data) + data)
    return content.hexdigest()


def _record(
    item: Item, classes: Sequence[str], options: StoreOptions, slack: float, on_bad_box: str
) -> tuple[ImageRecord, tuple[str, ...]]:
    if not 0 <= item.label < len(classes):
        raise UserError(f"{item.source_id}: label {item.label}; there are {len(classes)} classes, from 0")
    raw = item.read()
    if isinstance(raw.content, bytes):
        pixels, plain = images.decode(raw.content, item.source_id)
    else:
        pixels, plain = raw.content, False
    height, width = pixels.shape[:2]
    boxes, mended = _boxes(raw, item.source_id, height, width, slack, on_bad_box)
    record = ImageRecord(
        jpeg=_jpeg(raw.content, pixels, plain, options),
        height=height,
        width=width,
        filename=item.filename,
        source_id=item.source_id,
        label=item.label,
        class_name=classes[item.label],
        boxes=boxes,
        mask=None if raw.mask is None else np.ascontiguousarray(raw.mask(height, width)),
    )
    return record, mended


def _boxes(
    raw: RawPicture, name: str, height: int, width: int, slack: float, on_bad_box: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The boxes in pixels of the upright picture, and what was done to those that could not be right."""
    boxes = raw.boxes
    if raw.place is not None:
        orientation = images.orientation(raw.content) if isinstance(raw.content, bytes) else 1
        boxes = raw.place(boxes, Frame(name, height, width, orientation))
    good: list[np.ndarray] = []
    mended: list[str] = []
    for box in np.asarray(boxes, np.float32).reshape(-1, 4):
        try:
            good.append(check_boxes(box, height=height, width=width, name=name, slack=slack))
        except UserError as error:
            if on_bad_box == "error":
                raise UserError(f"{error}; or choose on_bad_box=clip or skip") from None
            kept = _clipped(box, height, width) if on_bad_box == "clip" else box[:0].reshape(0, 4)
            good.append(kept)
            mended.append(f"{error}: {'cut' if len(kept) else 'left out'}")
    return np.concatenate([np.zeros((0, 4), np.float32), *good]), tuple(mended)


def _clipped(box: np.ndarray, height: int, width: int) -> np.ndarray:
    """The part of a box inside the picture, corners in order, as (1, 4); (0, 4) where nothing is left of it."""
    x0, x1 = np.sort(np.clip(box[[0, 2]], 0, width))
    y0, y1 = np.sort(np.clip(box[[1, 3]], 0, height))
    return np.asarray([[x0, y0, x1, y1]] if x0 < x1 and y0 < y1 else [], np.float32).reshape(-1, 4)


def _jpeg(content: bytes | np.ndarray, pixels: np.ndarray, plain: bool, options: StoreOptions) -> bytes:
    """Bytes as they are where nothing has to change, else encoded anew."""
    if options.store != "original":
        reduce = images.shrink if options.store == "resized" else images.shrink_to_square
        reduced = reduce(pixels, options.short_side)
        plain = plain and reduced is pixels
        pixels = reduced
    return content if plain and isinstance(content, bytes) else images.encode_jpeg(pixels, options.jpeg_quality)
