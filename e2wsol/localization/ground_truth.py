"""True boxes and masks of the original picture, seen in the network's frame."""

import cv2
import numpy as np


def boxes_in_frame(boxes, image_size, frame, protocol):
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


def mask_in_frame(mask, frame):
    """Maps a (H, W) uint8 mask of the original picture to (size, size), nearest neighbour as cv2 does."""
    resized = cv2.resize(mask, (frame.resize, frame.resize), interpolation=cv2.INTER_NEAREST)
    inside = slice(frame.offset, frame.offset + frame.size)
    return resized[inside, inside]
