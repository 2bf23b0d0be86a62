from typing import Any

import keras
import numpy as np
from keras import ops

from e2wsol.localization.resize_taps import resize_taps


@keras.saving.register_keras_serializable(package="e2wsol")
class CornerResize(keras.layers.Layer):
    """Bilinear resize whose corner samples stay those of the source (PyTorch's align_corners=True).

    Args:
      size: (height, width) of the output.

    Shapes: (B, h, w, c) -> (B, height, width, c).
    """

    def __init__(self, size: tuple[int, int], **kwargs: Any):
        super().__init__(**kwargs)
        self.size = (size[0], size[1])

    def call(self, x: Any) -> Any:
        """Returns x resized."""
        return corner_resize(x, self.size)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """The shape of the output."""
        return (input_shape[0], *self.size, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "size": self.size}


def corner_resize(x: Any, size: tuple[int, int]) -> Any:
    """What CornerResize does, as a function: two matrix products, so that its gradient is one too."""
    rows, columns = (ops.cast(_matrix(*sides), x.dtype) for sides in zip(x.shape[1:3], size))
    return ops.einsum("wj,bhjc->bhwc", columns, ops.einsum("hi,bijc->bhjc", rows, x))


def _matrix(source: int, target: int) -> np.ndarray:
    """(target, source) float32: each target sample as a mean of two source samples."""
    matrix = np.zeros((target, source), np.float32)
    for index, weight in resize_taps(source, target, "linear_corners"):
        matrix[np.arange(target), index] += weight
    return matrix
