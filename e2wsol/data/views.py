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


def eval_view(image: np.ndarray, options: PipelineOptions) -> np.ndarray:
    """The network's view of a whole image, truncated as E2Net does: twin of pipeline.eval_view, equal to the bit.

    Args:
      image: uint8 RGB (H, W, 3).
      options: PipelineOptions; `image_size`, `resize_size` and `eval_crop` count.

    Returns:
      uint8 (S, S, 3), S = `image_size`.
    """
    size = options.image_size
    if options.eval_crop == "none":
        return resize(image, size).astype(np.uint8)
    start = (options.resize_size - size) // 2
    return resize(image, options.resize_size)[start : start + size, start : start + size].astype(np.uint8)


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


@functools.lru_cache(maxsize=64)
def _taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `target` pixels along an axis of `source`: the pixel before, the one after, and the second's part."""
    half = np.float32(0.5)
    centres = (np.arange(target, dtype=np.float32) + half) * (np.float32(source) / np.float32(target)) - half
    before = np.floor(centres)
    indices = np.maximum(before, 0), np.minimum(np.ceil(centres), source - 1)
    return indices[0].astype(np.intp), indices[1].astype(np.intp), centres - before
