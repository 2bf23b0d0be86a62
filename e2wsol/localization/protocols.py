"""Box protocols: how a published evaluation gets from a map to a box and decides a hit.

A protocol is data; the code that reads its fields is the same for all. What the protocols here
agree on stands in that code and becomes a field with the first protocol that differs: min-max
normalisation, a threshold relative to the largest gray value with pixels strictly above it,
8-connected components, the outer contour of largest cv2.contourArea, averages over pictures.
"""

import dataclasses

import numpy as np

from e2wsol.config import option
from e2wsol.errors import choose
from e2wsol.localization.frame import Frame


@dataclasses.dataclass(frozen=True)
class BoxOptions:
    """How a map becomes a box, where it is not as the method's protocol says."""

    protocol: str = option("", "box protocol; empty for the method's own")
    threshold: float = option(
        -1.0, "share of the map's maximum above which pixels belong to the box; -1 for the protocol's", maximum=1.0
    )


@dataclasses.dataclass(frozen=True)
class BoxProtocol:
    """One evaluation's rules, from the localization map to the hit.

    Attributes:
      name: how flags and results call it.
      source: the code that it reproduces.
      interpolation: how a map is resized to the frame, "linear" or "cubic", as cv2.resize does.
      gray_steps: the score map in [0, 1] times this, truncated, at most 255, is the colour index.
      colormap: colours the index and turns it to gray again ("cubehelix"), or none: index is gray.
      default_threshold: share of the largest gray value; a model may bring its own.
      thresholds: the grid that curves and the best threshold are taken from.
      empty_box: the box (x0, y0, x1, y1) where no pixel is above the level.
      clip_ends: whether a box' exclusive end x1 = x + w is clipped to size - 1 (same for y1).
      iou_extent: pixels added to every side length in the IoU; 1 counts both ends as inside.
      is_hit: is_hit(iou, iou threshold) -> bool.
      resize_ratio: side before the centre crop / side after it, in the original's pipeline.
      ratio_first: ground truth x * (side / width) rather than (x * side) / width: they round apart.
      round_truth: rounding of the ground-truth coordinates in the frame.
      first_box_only: whether further ground-truth boxes of a picture are left out.
    """

    name: str
    source: str
    interpolation: str
    gray_steps: int
    colormap: str | None
    default_threshold: float
    thresholds: tuple[float, ...]
    empty_box: tuple[int, int, int, int]
    clip_ends: bool
    iou_extent: int
    is_hit: np.ufunc
    resize_ratio: float
    ratio_first: bool
    round_truth: np.ufunc
    first_box_only: bool

    def frame(self, size):
        """The protocol's own frame for a network input of `size` x `size` pixels."""
        return Frame(size=size, resize=round(size * self.resize_ratio))


_PROTOCOLS = (
    BoxProtocol(
        name="e2net",
        source="github.com/zhiweichen0012/E2Net evaluate.py",
        interpolation="linear",
        gray_steps=256,
        colormap="cubehelix",
        default_threshold=0.09,
        thresholds=tuple(step / 100 for step in range(101)),
        empty_box=(0, 0, 1, 1),
        clip_ends=False,
        iou_extent=1,
        is_hit=np.greater_equal,
        resize_ratio=256 / 224,
        ratio_first=True,
        round_truth=np.trunc,
        first_box_only=True,
    ),
    BoxProtocol(
        name="maxboxacc",
        source="github.com/clovaai/wsolevaluation evaluation.py, MaxBoxAcc",
        interpolation="cubic",
        gray_steps=255,
        colormap=None,
        default_threshold=0.2,
        thresholds=tuple(np.arange(0, 1, 0.001).tolist()),
        empty_box=(0, 0, 0, 0),
        clip_ends=True,
        iou_extent=1,
        is_hit=np.greater_equal,
        resize_ratio=1.0,
        ratio_first=False,
        round_truth=np.trunc,
        first_box_only=False,
    ),
)
_BY_NAME = {protocol.name: protocol for protocol in _PROTOCOLS}


def names():
    """Names of all protocols, sorted."""
    return tuple(sorted(_BY_NAME))


def get(name):
    """Returns the BoxProtocol called `name`.

    Raises:
      UserError: there is none; the message lists the valid names.
    """
    return _BY_NAME[choose(name, _BY_NAME, "protocol")]
