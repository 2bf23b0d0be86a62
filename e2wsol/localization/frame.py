"""The square that a network sees, and the way from its pixels back to the picture's."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Frame:
    """A picture resized to `resize` x `resize` (aspect ignored) and centre-cropped to `size` x `size`.

    `resize == size` is a picture that is resized straight to the network's input, without a crop.
    """

    size: int
    resize: int

    @classmethod
    def of_view(cls, view):
        """The frame of the evaluation view that PipelineOptions `view` ask for."""
        return cls(size=view.image_size, resize=view.resize_size if view.eval_crop == "center" else view.image_size)

    @property
    def offset(self):
        """Pixels that the crop takes away at the left and at the top."""
        return (self.resize - self.size) // 2

    def to_picture(self, boxes, image_size):
        """Maps boxes of this frame to the original picture.

        Args:
          boxes: (..., 4) x0, y0, x1, y1 in pixels of the frame.
          image_size: (width, height) of the original picture in pixels.

        Returns:
          (..., 4) float32 boxes in pixels of the original picture, inside the picture.
        """
        sides = np.tile(np.asarray(image_size, np.float64), 2)
        boxes = (np.asarray(boxes, np.float64) + self.offset) * sides / self.resize
        return np.clip(boxes, 0, sides).astype(np.float32)
