"""The square that a network sees: the way from its pixels back to the image's, and of true boxes and masks into it."""

import dataclasses
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from e2wsol.localization.protocols import BoxProtocol


@dataclasses.dataclass(frozen=True)
class Frame:
    """A picture resized to `resize` x `resize` (aspect ignored) and centre-cropped to `size` x `size`.

    `resize == size` is a picture that is resized straight to the network's input, without a crop.
    """

    size: int
    resize: int

    @classmethod
    def of_view(cls, view: Any) -> "Frame":
        """The frame of the evaluation view that PipelineOptions `view` ask for."""
        return cls(size=view.image_size, resize=view.resize_size if view.eval_crop == "center" else view.image_size)

    @property
    def offset(self) -> int:
        """Pixels that the crop takes away at the left and at the top."""
        return (self.resize - self.size) // 2

    def to_picture(self, boxes: npt.ArrayLike, image_size: tuple[float, float]) -> np.ndarray:
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


def boxes_in_frame(
    boxes: npt.ArrayLike, image_size: tuple[float, float], frame: Frame, protocol: "BoxProtocol"
) -> np.ndarray:
    """Maps true boxes the way that the picture went, rounded as the protocol rounds.

    The references read x1 = x0 + width, so exclusive ends enter as they are. Unless the protocol
    clips, coordinates below 0 and above the frame's size occur with a crop; where it does, a box
    that the crop leaves out wholly is dropped or ends before it starts, as the protocol has it.

    Args:
      boxes: (n, 4) x0, y0, x1, y1 in pixels of the original picture.
      image_size: (width, height) of the original picture in pixels.
      frame: Frame, how the picture was resized and cropped.
      protocol: BoxProtocol.

    Returns:
      (m, 4) float64; m is n, fewer where the protocol drops boxes, 1 where it looks at the first only.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    sides = np.tile(np.asarray(image_size, np.float64), 2)
    if protocol.first_box_only:
        boxes = boxes[:1]
    if protocol.truth_margin is not None:
        boxes = np.clip(boxes, 0, sides - protocol.truth_margin)
    scaled = boxes * (frame.resize / sides) if protocol.ratio_first else boxes * frame.resize / sides
    moved = protocol.round_truth(scaled - frame.offset)
    if protocol.clip_truth:
        moved = np.concatenate([np.maximum(moved[:, :2], 0), np.minimum(moved[:, 2:], frame.size)], axis=1)
    if protocol.drop_outside:
        moved = moved[(moved[:, 2:] > moved[:, :2]).all(axis=1)]
    return moved


def mask_in_frame(mask: np.ndarray, frame: Frame) -> np.ndarray:
    """Maps a (H, W) uint8 mask of the original picture to (size, size), nearest neighbour as cv2 does."""
    resized = cv2.resize(mask, (frame.resize, frame.resize), interpolation=cv2.INTER_NEAREST)
    inside = slice(frame.offset, frame.offset + frame.size)
    return resized[inside, inside]
