"""From an image to the network's view of it, without TensorFlow; e2wsol.data.pipeline makes the same view of records.

Geometry is that of the WSOL papers' code: both sides resized to `resize_size` (the aspect ratio is ignored), then a
crop of `image_size`; random with a flip for training, in the centre for evaluation.
"""

import dataclasses
import functools
import re

import numpy as np

from e2wsol.config import option
from e2wsol.data.bad_records import on_bad_record_option
from e2wsol.errors import ArgumentError

MAX_SIDE = 1 << 14
BILINEAR, ANTIALIAS, AUTO = "bilinear", "antialias", "auto"
RESIZE_FILTERS = (AUTO, BILINEAR, ANTIALIAS)
_SERVICE_ADDRESS = re.compile(r"grpc://[^/:\s]+:\d{1,5}")


@dataclasses.dataclass(frozen=True)
class PipelineOptions:
    """How pictures are read, resized, cropped and shuffled."""

    data_dir: str = option("", "folder of records with its dataset.json, made by python -m tfrecords.build")
    image_size: int = option(224, "side of the network's input in pixels", minimum=8, maximum=MAX_SIDE)
    resize_size: int = option(
        256, "both sides are resized to this before the crop to --image_size", minimum=8, maximum=MAX_SIDE
    )
    eval_crop: str = option(
        "center",
        "evaluation view: center = resize to --resize_size and crop; none = resize straight to --image_size",
        choices=("center", "none"),
    )
    resize_filter: str = option(
        AUTO,
        "bilinear: between four pixels, as OpenCV resizes; antialias: over all pixels that one of the smaller picture "
        "covers, as Pillow does; auto: what a run that goes on has, else antialias for records of --source=folder and "
        "bilinear for others, and antialias in a program of your own",
        choices=RESIZE_FILTERS,
    )
    flip: bool = option(True, "mirror half of the training pictures")
    shuffle_buffer: int = option(4096, "encoded pictures held in memory to shuffle from", minimum=1)
    data_threads: int = option(0, "threads that decode pictures; 0 lets tf.data choose", minimum=0, maximum=1024)
    on_bad_record: str = on_bad_record_option()
    data_service: tuple[str, ...] = option(
        (),
        "hosts that decode the training pictures for this one, such as grpc://host1:5050,grpc://host2:5050, each "
        "running python -m e2wsol.data_service; the batches stay the same bit for bit. Empty: this host",
    )

    def __post_init__(self) -> None:
        if self.resize_size < self.image_size:
            raise ArgumentError("resize_size", self.resize_size, f"must be at least image_size={self.image_size}")
        for address in self.data_service:
            if not _SERVICE_ADDRESS.fullmatch(address):
                raise ArgumentError("data_service", address, "expected grpc://HOST:PORT")


def is_antialias(resize_filter: str) -> bool:
    """Whether pictures are resized with antialiasing: `AUTO`, where nobody has decided, says so too."""
    return resize_filter != BILINEAR


def eval_view(image: np.ndarray, options: PipelineOptions) -> np.ndarray:
    """The network's view of a whole image: twin of pipeline.eval_view, equal to the bit.

    Args:
      image: uint8 RGB (H, W, 3).
      options: PipelineOptions; `image_size`, `resize_size`, `eval_crop` and `resize_filter` count.

    Returns:
      uint8 (S, S, 3), S = `image_size`.
    """
    size = options.image_size
    if options.eval_crop == "none":
        return whole_view(image, size, options.resize_filter)
    start = (options.resize_size - size) // 2
    return whole_view(image, options.resize_size, options.resize_filter)[start : start + size, start : start + size]


def whole_view(image: np.ndarray, size: int, resize_filter: str = BILINEAR) -> np.ndarray:
    """Both sides to `size` in 8 bits: twin of pipeline.whole_view, equal to the bit.

    Args:
      image: uint8 RGB (H, W, 3).
      size: side in pixels.
      resize_filter: one of RESIZE_FILTERS. Bilinear values are truncated, as E2Net does, others rounded, as
        Pillow does.

    Returns:
      uint8 (size, size, 3).
    """
    if is_antialias(resize_filter):
        return (resize_antialiased(image, size) + np.float32(0.5)).astype(np.uint8)
    return resize(image, size).astype(np.uint8)


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Both sides to `size`, bilinear with half-pixel centres and no antialiasing: twin of pipeline.resize.

    Columns come first, and every step rounds to float32, as TensorFlow's kernel does: the results are equal to the bit.

    Args:
      image: (H, W, 3) of any number type.
      size: side in pixels.

    Returns:
      (size, size, 3) float32 in the range of `image`.
    """
    top, bottom, down = _taps(image.shape[0], size)
    left, right, along = _taps(image.shape[1], size)

    def rows(y: np.ndarray) -> np.ndarray:
        start, end = (image[y[:, None], x].astype(np.float32) for x in (left, right))
        return start + (end - start) * along[:, None]

    upper = rows(top)
    return upper + (rows(bottom) - upper) * down[:, None, None]


def resize_antialiased(image: np.ndarray, size: int) -> np.ndarray:
    """Both sides to `size`, each value a mean by a triangle as wide as the reduction: twin of pipeline's.

    An enlarged side is bilinear. Rows come first, and sums are taken in float32 and in order, as TensorFlow's kernel
    does: the results are equal to the bit.

    Args:
      image: (H, W, 3) of any number type.
      size: side in pixels.

    Returns:
      (size, size, 3) float32 in the range of `image`.
    """
    sources, weights = _spans(image.shape[0], size)
    rows = np.zeros((size, *image.shape[1:]), np.float32)
    for row, own_sources, own_weights in zip(rows, sources, weights):
        for source, weight in zip(own_sources, own_weights):
            if weight:  # spans are padded to one length
                row += np.multiply(image[source], weight, dtype=np.float32)
    resized = np.zeros((size, size, image.shape[2]), np.float32)
    sources, weights = _spans(image.shape[1], size)
    for own_sources, own_weights in zip(sources.T, weights.T):
        resized += rows[:, own_sources] * own_weights[:, None]
    return resized


@functools.lru_cache(maxsize=64)
def _spans(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """For each of `target` pixels along an axis of `source`: the pixels (target, n) of its mean, and their weights."""
    half, one = np.float32(0.5), np.float32(1)
    step = np.float32(1 / float(np.float32(target) / np.float32(source)))
    reach = max(step, one)
    centres = (np.arange(target, dtype=np.float32) + half) * step
    start = np.clip(np.ceil(centres - reach - half), 0, source - 1).astype(np.intp)
    last = np.clip(np.floor(centres + reach - half), 0, source - 1).astype(np.intp)
    pixels = start[:, None] + np.arange((last - start).max() + 1)
    distances = pixels.astype(np.float32) + half - centres[:, None]
    weights = np.maximum(one - np.abs(distances * (one / reach)), np.float32(0))
    weights[pixels > last[:, None]] = 0
    total = sum(weights.T, np.zeros(target, np.float32))  # in order: np.sum takes pairs
    return np.minimum(pixels, source - 1), weights * (one / total)[:, None]


@functools.lru_cache(maxsize=64)
def _taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `target` pixels along an axis of `source`: the pixel before, the one after, and the second's part."""
    half = np.float32(0.5)
    centres = (np.arange(target, dtype=np.float32) + half) * (np.float32(source) / np.float32(target)) - half
    before = np.floor(centres)
    indices = np.maximum(before, 0), np.minimum(np.ceil(centres), source - 1)
    return indices[0].astype(np.intp), indices[1].astype(np.intp), centres - before
