"""From a map's box to the object's: GrabCut from the map as seed, and which box to trust, without any true box.

GrabCut (Rother et al., SIGGRAPH 2004) cuts the image by its colours into object and background. The map says where it
starts. Where the object differs from its surroundings in colour the cut's box is better than the map's, elsewhere it
is worse; which, is told by measures that need no true box: how well the two agree, how much the cut depends on its
seed, how the map lies in the box. From them comes an estimate of a box's IoU with the object, its quality.
"""

import dataclasses
from typing import Any

import cv2
import numpy as np

from e2wsol.config import option
from e2wsol.localization.boxes import box_at, to_levels
from e2wsol.localization.protocols import BoxProtocol

NONE, GRABCUT, AUTO = "none", "grabcut", "auto"
Polygon = tuple[tuple[float, float], ...]  # of (x, y)
MODES = (NONE, GRABCUT, AUTO)
PLAIN, CUT, MEAN = "plain", "cut", "mean"
_SIDE = 144  # pixels of the square that is cut
_COARSE = 64  # of the square of a second cut, which tells how much the first depends on how it is done
_ITERATIONS = 2
_SURE = 0.6  # pixels above this share of the map's maximum are the object
_LEAST_STEP = 0.1  # between the shares of the maximum that make a pixel probable and sure
_MARGIN = 0.25  # of the box's sides around it: what lies further out is background
_COLOURS = 8  # steps of each channel in histograms


# A box's likely IoU with the object: the sum of measures times these numbers, "" alone. Fitted by
# benchmarks/refinement.py; ALONE is the map's box where nothing was cut.
ESTIMATES: dict[str, dict[str, float]] = {
    "alone": {
        "": 0.242,
        "steady": 0.511,
        "wide": 0.777,
        "high": 0.014,
        "area": 0.52,
        "area_squared": -0.611,
        "borders": -0.074,
        "inside": 0.068,
        "fill": -0.91,
        "contrast": 0.223,
    },
    "plain": {
        "": 0.185,
        "steady": 0.437,
        "wide": 0.858,
        "high": -0.013,
        "agreement": 0.298,
        "seeds": -0.059,
        "area": 0.496,
        "area_squared": -0.668,
        "borders": -0.095,
        "inside": 0.092,
        "fill": -0.911,
        "contrast": 0.152,
    },
    "cut": {
        "": 0.459,
        "steady": 0.241,
        "wide": 0.922,
        "high": 0.199,
        "agreement": 0.232,
        "seeds": 0.07,
        "area": 0.281,
        "area_squared": -0.17,
        "borders": -0.407,
        "inside": 0.014,
        "fill": -1.014,
        "contrast": -0.006,
    },
    "mean": {
        "": 0.228,
        "steady": 0.38,
        "wide": 0.913,
        "high": 0.133,
        "agreement": 0.403,
        "seeds": -0.006,
        "area": 0.396,
        "area_squared": -0.52,
        "borders": -0.269,
        "inside": 0.008,
        "fill": -0.983,
        "contrast": 0.102,
    },
}


@dataclasses.dataclass(frozen=True)
class RefineOptions:
    """Whether the image's colours move a map's box."""

    refine: str = option(
        NONE,
        "none: the box of the map; grabcut: the box of what GrabCut cuts out by colour with the map as seed; auto: for "
        "each picture that of both, or their mean, which is likely to be the best",
        choices=MODES,
    )


def cut(view: np.ndarray, score_map: np.ndarray, plain: np.ndarray, protocol: BoxProtocol) -> np.ndarray:
    """The object's pixels in an image, by its colours.

    Args:
      view: uint8 RGB (s, s, 3).
      score_map: (s, s) in [0, 1]; pixels above the protocol's default threshold are probably the object, those
        much higher are so surely.
      plain: (4,) box of the map as shares of the frame; the object lies in it or near it.
      protocol: BoxProtocol.

    Returns:
      (s, s) bool, the largest component; empty where the map says nothing.
    """
    top, side = score_map.max(), len(score_map)
    probable = protocol.default_threshold * (top if protocol.relative_threshold else 1.0)
    labels: Any = np.full(score_map.shape, cv2.GC_PR_BGD, np.uint8)
    labels[score_map > probable] = cv2.GC_PR_FGD
    labels[score_map > max(_SURE * top, probable + _LEAST_STEP * top)] = cv2.GC_FGD
    margin = _MARGIN * np.tile(plain[2:] - plain[:2], 2) * (-1, -1, 1, 1)
    x0, y0, x1, y1 = np.clip(np.round((plain + margin) * side).astype(int), 0, side)
    near = np.zeros(labels.shape, bool)
    near[y0:y1, x0:x1] = True
    labels[~near] = cv2.GC_BGD
    is_object = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if not is_object.any() or is_object.all():
        return np.zeros(labels.shape, bool)
    cv2.setRNGSeed(0)  # its clusters of colours start at random
    models = np.zeros((1, 65)), np.zeros((1, 65))
    nowhere = (0, 0, 0, 0)  # a rectangle is not asked for
    cv2.grabCut(np.ascontiguousarray(view), labels, nowhere, *models, _ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return largest_component((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest of a (H, W) bool mask's 8-connected components, as a mask; empty of an empty one."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    if count < 2:
        return mask
    return labels == 1 + np.argmax(statistics[1:, cv2.CC_STAT_AREA])


def outline(mask: np.ndarray, image_size: tuple[float, float]) -> tuple[Polygon, ...]:
    """The outlines of a mask's components, without their holes, those of fewer than three corners left out.

    Args:
      mask: (h, w) bool over the whole image.
      image_size: (width, height) of the image in pixels.

    Returns:
      polygons of (x, y) in pixels of the image, along the outer edges of the mask's pixels.
    """
    factor = 4  # contours go through pixels' centres: finer pixels come nearer to the edges
    fine = np.kron(mask, np.ones((factor, factor), np.uint8)).astype(np.uint8)
    contours = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[-2]
    scale = np.divide(image_size, mask.shape[::-1])
    polygons = []
    for contour in contours:
        corners = cv2.approxPolyDP(contour, factor / 2, True)[:, 0]
        ends = corners + (corners % factor == factor - 1)  # the last of a pixel's finer pixels lies at its far edge
        if len(corners) > 2:
            polygons.append(tuple((float(x), float(y)) for x, y in ends / factor * scale))
    return tuple(polygons)


def share_iou(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two boxes x0, y0, x1, y1 as shares of the frame, ends exclusive; 0 of boxes without area."""
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = max(width, 0.0) * max(height, 0.0)
    union = _area(a) + _area(b) - common
    return common / union if union > 0 else 0.0


def _area(box: np.ndarray) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


@dataclasses.dataclass(frozen=True, eq=False)
class Candidates:
    """The boxes that an image's map and colours give, and what tells them apart.

    Attributes:
      boxes: {PLAIN, CUT, MEAN: (4,) float64 x0, y0, x1, y1 as shares of the frame}; PLAIN alone without a cut.
      mask: (s, s) bool of the cut, over the frame; None without one.
      measures: {name of a box: {measure: number, about 0 to 1}}, see `_measures`.
    """

    boxes: dict[str, np.ndarray]
    mask: np.ndarray | None
    measures: dict[str, dict[str, float]]


def candidates(view: np.ndarray, score_map: np.ndarray, protocol: BoxProtocol, *, with_cut: bool = True) -> Candidates:
    """The candidates of one image.

    Args:
      view: uint8 RGB (S, S, 3), what the network saw.
      score_map: (S, S) in [0, 1], see score_map.to_score_map.
      protocol: BoxProtocol, at whose default threshold the plain box is taken.
      with_cut: whether to cut.
    """
    small, heat = _shrunk(view, score_map, _SIDE)
    plain, *others = _plain_boxes(score_map, protocol)
    found = {PLAIN: plain}
    shared = {"steady": float(np.mean([share_iou(plain, other) for other in others])), **_of_map(heat)}
    mask = cut(small, heat, plain, protocol) if with_cut else None
    if mask is not None and mask.any():
        found[CUT] = _bounds(mask)
        found[MEAN] = (plain + found[CUT]) / 2
        coarse = cut(*_shrunk(view, score_map, _COARSE), plain, protocol)
        shared["agreement"] = share_iou(plain, found[CUT])
        shared["seeds"] = share_iou(found[CUT], _bounds(coarse)) if coarse.any() else 0.0
    colours = _colour_bins(small)
    measures = {name: {**shared, **_of_box(box, heat, colours)} for name, box in found.items()}
    return Candidates(found, mask if CUT in found else None, measures)


def cut_box(view: np.ndarray, score_map: np.ndarray, protocol: BoxProtocol) -> np.ndarray | None:
    """(4,) float64 box of what is cut out, as shares of the frame, arguments as in `candidates`; None of nothing."""
    mask = cut(*_shrunk(view, score_map, _SIDE), _plain_boxes(score_map, protocol)[0], protocol)
    return _bounds(mask) if mask.any() else None


def _shrunk(view: np.ndarray, score_map: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    side = min(most, len(score_map))
    small, heat = (cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA) for each in (view, score_map))
    return small, heat


def _plain_boxes(score_map: np.ndarray, protocol: BoxProtocol) -> list[np.ndarray]:
    """The map's boxes at the protocol's threshold, at a lower and at a higher one, as shares of the frame."""
    threshold = protocol.default_threshold
    image, levels = to_levels(score_map, [threshold, 0.75 * threshold, min(1.25 * threshold, 0.99)], protocol)
    return [box_at(image, level, protocol) / len(score_map) for level in levels]


def _bounds(mask: np.ndarray) -> np.ndarray:
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return np.array((x, y, x + width, y + height)) / len(mask)


def _of_map(score_map: np.ndarray) -> dict[str, float]:
    top = score_map.max() or 1.0
    return {"wide": float((score_map > top / 2).mean()), "high": float(score_map.mean() / top)}


def _of_box(box: np.ndarray, score_map: np.ndarray, colours: np.ndarray) -> dict[str, float]:
    """What map and colours say of one box.

    `area`: its share of the frame; `borders`: the share of the frame's borders that it touches; `inside`: the share of
    the map in it; `fill`: the map's mean in it over the map's maximum; `contrast`: Hellinger distance of the colours
    inside and outside.
    """
    side = len(score_map)
    x0, y0, x1, y1 = np.clip(np.round(box * side).astype(int), 0, side)
    region = score_map[y0:y1, x0:x1]
    inside = np.bincount(colours[y0:y1, x0:x1].ravel(), minlength=_COLOURS**3)
    outside = np.bincount(colours.ravel(), minlength=_COLOURS**3) - inside
    overlap = np.sqrt(inside * outside).sum() / max(np.sqrt(inside.sum() * outside.sum()), 1.0)
    area = _area(box)
    return {
        "area": area,
        "area_squared": area * area,
        "borders": float(np.mean([x0 <= 1, y0 <= 1, x1 >= side - 2, y1 >= side - 2])),
        "inside": float(region.sum() / max(score_map.sum(), 1e-9)),
        "fill": float(region.mean() / (score_map.max() or 1.0)) if region.size else 0.0,
        "contrast": float(np.sqrt(max(1 - overlap, 0.0))),
    }


def _colour_bins(view: np.ndarray) -> np.ndarray:
    """The number of each pixel's colour among _COLOURS steps a channel, (H, W)."""
    steps = view.astype(np.int64) * _COLOURS >> 8
    return (steps[..., 0] * _COLOURS + steps[..., 1]) * _COLOURS + steps[..., 2]


@dataclasses.dataclass(frozen=True, eq=False)
class RefinedBox:
    """The box of an image.

    Attributes:
      name: PLAIN, CUT or MEAN.
      box: (4,) float64 x0, y0, x1, y1 as shares of the frame, ends exclusive.
      mask: (s, s) bool over the frame, the object's pixels where they were cut out, else None.
      quality: in [0, 1], an estimate of the box's IoU with the object; 0 of a map without contrast.
    """

    name: str
    box: np.ndarray
    mask: np.ndarray | None
    quality: float


def refine(view: np.ndarray, score_map: np.ndarray, protocol: BoxProtocol, mode: str) -> RefinedBox:
    """The box of a map, moved by the image's colours.

    The same image and map give the same box, in any thread and on any number of them.

    Args:
      view: uint8 RGB (S, S, 3), what the network saw.
      score_map: (S, S) in [0, 1], see score_map.to_score_map.
      protocol: BoxProtocol, at whose default threshold the map's box is taken.
      mode: one of MODES.

    Example:
      >>> from e2wsol.localization import protocols
      >>> view, score_map = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64))
      >>> view[16:48, 8:40], score_map[18:46, 10:38] = (200, 40, 40), 1
      >>> found = refine(view, score_map, protocols.get("bas"), "grabcut")
      >>> (found.box * 64).tolist()
      [8.0, 16.0, 40.0, 48.0]
    """
    found = candidates(view, score_map, protocol, with_cut=mode != NONE)
    if score_map.min() == score_map.max():
        return RefinedBox(PLAIN, found.boxes[PLAIN], None, 0.0)
    if found.mask is None:
        return RefinedBox(PLAIN, found.boxes[PLAIN], None, estimate("alone", found.measures[PLAIN]))
    estimates = {name: estimate(name, measures) for name, measures in found.measures.items()}
    name = CUT if mode == GRABCUT else max(estimates, key=estimates.__getitem__)
    return RefinedBox(name, found.boxes[name], None if name == PLAIN else found.mask, estimates[name])


def estimate(name: str, measures: dict[str, float]) -> float:
    """A box's likely IoU with the object."""
    weights = ESTIMATES[name]
    return float(np.clip(weights[""] + sum(weights[key] * measures[key] for key in weights if key), 0.0, 1.0))
