"""Box protocols: how a published evaluation gets from a map to a box and decides a hit.

A protocol is data; the code that reads its fields is the same for all. What the protocols here
agree on stands in that code and becomes a field with the first protocol that differs: pixels
strictly above the threshold, 8-connected components.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from e2wsol.config import option
from e2wsol.errors import choose
from e2wsol.localization.frame import Frame


@dataclasses.dataclass(frozen=True)
class BoxOptions:
    """How a map becomes a box, where it is not as the method's protocol says."""

    protocol: str = option("", "box protocol; empty for the method's own")
    threshold: float = option(
        -1.0,
        "what a pixel of the box exceeds, in [0, 1]: a share of the map's maximum or a score as such, as the protocol "
        "reads it; -1 for the protocol's",
        maximum=1.0,
    )


@dataclasses.dataclass(frozen=True)
class BoxProtocol:
    """One evaluation's rules, from the localization map to the hit.

    Attributes:
      name: how flags and results call it.
      source: the code that it reproduces.
      normalization: how a map comes to [0, 1], "min_max" (stretched), "sigmoid" (it holds logits), or
        "sigmoid_min_max" (it holds logits, whose sigmoid is stretched; no reference does, see `of_logits`).
      stretch_first: whether that happens at the map's own size and then it is resized to the frame,
        which may leave its maximum below 1, rather than resized and then normalised.
      interpolation: how a map is resized to the frame, "linear" or "cubic", as cv2.resize does, or
        "linear_corners": linear between corner pixels that stay where they are (align_corners).
      precision: what scores and thresholds are rounded to, "float32" or "float64".
      gray_steps: the score map in [0, 1] times this, truncated, at most 255, is the colour index;
        None where the scores themselves are thresholded.
      colormap: colours the index and turns it to gray again ("cubehelix"), or none: index is gray.
      relative_threshold: whether a threshold is a share of the map's largest (gray) value rather
        than of the range that it could have.
      default_threshold: in [0, 1]; a model may bring its own.
      thresholds: the grid that curves and the best threshold are taken from.
      component: which connected component makes the box, "contour_area" (largest cv2.contourArea of
        an outer contour; of equal ones the last in raster order) or "pixel_count" (most pixels; of
        equal ones the first).
      every_contour: whether a score takes the best box of all contours, those of holes included,
        rather than the box of that component.
      empty_box: the box (x0, y0, x1, y1) where no pixel is above the threshold; None for the frame.
      skip_empty: whether a picture without a pixel above the threshold is left out of a score,
        numerator and denominator, rather than scored with that box.
      clip_ends: whether a box' exclusive end x1 = x + w is clipped to size - 1 (same for y1).
      iou_extent: pixels added to every side length in the IoU; 1 counts both ends as inside.
      iou_epsilon: area added to the union in the IoU.
      is_hit: is_hit(iou, iou threshold) -> bool.
      resize_ratio: side before the centre crop / side after it, in the original's pipeline.
      ratio_first: ground truth x * (side / width) rather than (x * side) / width: they round apart.
      round_truth: rounding of the ground-truth coordinates in the frame; np.positive for none.
      truth_margin: ground-truth boxes are first moved inside the picture, so many pixels short of its
        right and bottom border; None to take them as they are.
      clip_truth: whether ground-truth boxes are cut off at the frame's borders.
      drop_outside: whether one of which nothing is left then is dropped; a picture without any is not
        scored.
      first_box_only: whether further ground-truth boxes of a picture are left out.
      average: what a score is the mean over, "pictures" or "classes": then it is taken a class and
        every class weighs the same.
      best_by_metric: whether the best threshold is chosen for each metric rather than by GT-known Loc.
      ten_crop_mean: what is averaged where classes are predicted from ten crops of the picture,
        "probabilities" or "logits"; None where they are predicted from one view.
    """

    name: str
    source: str
    normalization: str
    stretch_first: bool
    interpolation: str
    precision: str
    gray_steps: int | None
    colormap: str | None
    relative_threshold: bool
    default_threshold: float
    thresholds: tuple[float, ...]
    component: str
    every_contour: bool
    empty_box: tuple[int, int, int, int] | None
    skip_empty: bool
    clip_ends: bool
    iou_extent: int
    iou_epsilon: float
    is_hit: np.ufunc
    resize_ratio: float
    ratio_first: bool
    round_truth: np.ufunc
    truth_margin: int | None
    clip_truth: bool
    drop_outside: bool
    first_box_only: bool
    average: str
    best_by_metric: bool
    ten_crop_mean: str | None

    def rounded(self, values: npt.ArrayLike) -> np.ndarray:
        """float64 `values` as the numbers of the protocol's precision nearest to them, in float64 again."""
        values = np.asarray(values, np.float64)
        return values if self.precision == "float64" else values.astype(self.precision).astype(np.float64)

    def box_of_nothing(self, shape: tuple[int, int]) -> np.ndarray:
        """(4,) int32 box where no pixel of a (height, width) frame is above the threshold."""
        height, width = shape
        return np.array((0, 0, width, height) if self.empty_box is None else self.empty_box, np.int32)

    def frame(self, size: int) -> Frame:
        """The protocol's own frame for a network input of `size` x `size` pixels."""
        return Frame(size=size, resize=round(size * self.resize_ratio))


_HUNDREDTHS = tuple(step / 100 for step in range(101))

_BAS = BoxProtocol(
    name="bas",
    source="github.com/wpy1999/BAS BAS_inference.py",
    normalization="min_max",
    stretch_first=True,
    interpolation="linear",
    precision="float32",
    gray_steps=None,
    colormap=None,
    relative_threshold=False,
    default_threshold=0.15,
    thresholds=_HUNDREDTHS,
    component="pixel_count",
    every_contour=False,
    empty_box=None,
    skip_empty=False,
    clip_ends=False,
    iou_extent=1,
    iou_epsilon=0.0,
    is_hit=np.greater,
    resize_ratio=256 / 224,
    ratio_first=True,
    round_truth=np.positive,
    truth_margin=None,
    clip_truth=True,
    drop_outside=False,
    first_box_only=False,
    average="classes",
    best_by_metric=False,
    ten_crop_mean="probabilities",
)
_E2NET = BoxProtocol(
    name="e2net",
    source="github.com/zhiweichen0012/E2Net evaluate.py",
    normalization="min_max",
    stretch_first=False,
    interpolation="linear",
    precision="float64",
    gray_steps=256,
    colormap="cubehelix",
    relative_threshold=True,
    default_threshold=0.09,
    thresholds=_HUNDREDTHS,
    component="contour_area",
    every_contour=False,
    empty_box=(0, 0, 1, 1),
    skip_empty=False,
    clip_ends=False,
    iou_extent=1,
    iou_epsilon=0.0,
    is_hit=np.greater_equal,
    resize_ratio=256 / 224,
    ratio_first=True,
    round_truth=np.trunc,
    truth_margin=None,
    clip_truth=False,
    drop_outside=False,
    first_box_only=True,
    average="pictures",
    best_by_metric=False,
    ten_crop_mean=None,
)
_MAXBOXACC = BoxProtocol(
    name="maxboxacc",
    source="github.com/clovaai/wsolevaluation evaluation.py, MaxBoxAcc",
    normalization="min_max",
    stretch_first=False,
    interpolation="cubic",
    precision="float64",
    gray_steps=255,
    colormap=None,
    relative_threshold=True,
    default_threshold=0.2,
    thresholds=tuple(np.arange(0, 1, 0.001).tolist()),
    component="contour_area",
    every_contour=False,
    empty_box=(0, 0, 0, 0),
    skip_empty=False,
    clip_ends=True,
    iou_extent=1,
    iou_epsilon=0.0,
    is_hit=np.greater_equal,
    resize_ratio=1.0,
    ratio_first=False,
    round_truth=np.trunc,
    truth_margin=None,
    clip_truth=False,
    drop_outside=False,
    first_box_only=False,
    average="pictures",
    best_by_metric=False,
    ten_crop_mean=None,
)
_MAXBOXACCV2 = dataclasses.replace(
    _MAXBOXACC,
    name="maxboxaccv2",
    source="github.com/clovaai/wsolevaluation evaluation.py, MaxBoxAccV2",
    every_contour=True,
)
# The maps of this evaluation; what it measures, PxAP, needs no box.
_PXAP = dataclasses.replace(
    _MAXBOXACC,
    name="pxap",
    source="github.com/clovaai/wsolevaluation evaluation.py, MaskEvaluator",
)
_MNPO = dataclasses.replace(
    _MAXBOXACC,
    name="mnpo",
    source="MNPO evaluation.py",
    thresholds=tuple(np.arange(0.05, 0.35, 0.01).tolist()),
    best_by_metric=True,
    ten_crop_mean="logits",
)
_DGL = dataclasses.replace(
    _MAXBOXACC,
    name="dgl",
    source=(
        "none: the authors of DGL released no evaluation; MaxBoxAcc with the maps of their demo, stretched before they "
        "are resized, and the threshold that github.com/zchengquan/g2m gives for its table"
    ),
    stretch_first=True,
    interpolation="linear",
    default_threshold=0.15,
)
_SPOL = BoxProtocol(
    name="spol",
    source="github.com/weijun88/SPOL cub200-seg/test.py, imagenet-seg/test.py",
    normalization="sigmoid",
    stretch_first=False,
    interpolation="linear_corners",
    precision="float32",
    gray_steps=None,
    colormap=None,
    relative_threshold=False,
    default_threshold=0.2,
    thresholds=_HUNDREDTHS,
    component="contour_area",
    every_contour=False,
    empty_box=(0, 0, 0, 0),
    skip_empty=True,
    clip_ends=False,
    iou_extent=0,
    iou_epsilon=1e-12,
    is_hit=np.greater,
    resize_ratio=256 / 224,
    ratio_first=False,
    round_truth=np.positive,
    truth_margin=1,
    clip_truth=True,
    drop_outside=True,
    first_box_only=False,
    average="pictures",
    best_by_metric=False,
    ten_crop_mean=None,
)
_BY_NAME = {rules.name: rules for rules in (_BAS, _DGL, _E2NET, _MAXBOXACC, _MAXBOXACCV2, _MNPO, _PXAP, _SPOL)}


def of_logits(protocol: BoxProtocol) -> BoxProtocol:
    """The protocol for maps that hold logits: where it stretches maps of scores, it stretches their sigmoid."""
    if protocol.normalization != "min_max":
        return protocol
    return dataclasses.replace(protocol, normalization="sigmoid_min_max")


def names() -> tuple[str, ...]:
    """Names of all protocols, sorted."""
    return tuple(sorted(_BY_NAME))


def get(protocol: str | BoxProtocol) -> BoxProtocol:
    """The BoxProtocol of this name; a BoxProtocol is returned as it is.

    Raises:
      ArgumentError: there is none; the message lists the valid names.
    """
    return protocol if isinstance(protocol, BoxProtocol) else _BY_NAME[choose(protocol, _BY_NAME, "protocol")]
