"""Maps (B, h, w): stretched, of several layers or input scales to one, and morphology."""

from collections.abc import Sequence
from typing import Any

from keras import ops


def min_max(maps: Any) -> Any:
    """Maps (B, h, w), each moved and stretched to [0, 1]; a flat one is 0."""
    maps = maps - ops.amin(maps, axis=(1, 2), keepdims=True)
    peak = ops.amax(maps, axis=(1, 2), keepdims=True)
    return maps / ops.where(peak > 0, peak, ops.ones_like(peak))


def same_scale(maps: Sequence[Any]) -> list[Any]:
    """A list of maps (B, h, w) of any sizes, stretched to [0, 1] and resized bilinearly to the largest sides."""
    height, width = (max(each.shape[axis] for each in maps) for axis in (1, 2))
    return [
        ops.image.resize(min_max(each)[..., None], (height, width), "bilinear", data_format="channels_last")[..., 0]
        for each in maps
    ]


def mean(maps: Sequence[Any]) -> Any:
    """Mean of a list of maps; a single one is left as it is, else see `same_scale`."""
    return sum(same_scale(maps)) / len(maps) if len(maps) > 1 else maps[0]


def maximum(maps: Sequence[Any]) -> Any:
    """Maximum of a list of maps at every place; a single one is left as it is, else see `same_scale`."""
    return ops.max(ops.stack(same_scale(maps)), axis=0) if len(maps) > 1 else maps[0]


def close(maps: Any, size: int) -> Any:
    """Morphological closing of (B, h, w) with a square of `size` (odd) pixels: dilation, then erosion."""
    return -_dilate(-_dilate(maps, size), size)


def _dilate(maps, size):
    return ops.max_pool(maps[..., None], size, 1, "same", data_format="channels_last")[..., 0]
