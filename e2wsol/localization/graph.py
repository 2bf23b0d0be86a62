"""The boxes of boxes.py in the graph, for export and for metrics during training.

Only keras.ops, so it also compiles without TensorFlow's own calls; the arithmetic is float64 in
the order of the NumPy side, rounded where that rounds, so both give the same boxes to the pixel
(under JAX that needs x64).

What OpenCV does with contours is done on pixels: holes are filled, components labelled, and the
area of an outer contour, a polygon through pixel centres, is #quads with 4 pixels set + #quads
with 3 set / 2 of the filled component, a quad being a 2x2 window.
"""

import e2wsol.installed_keras  # noqa: F401  # isort: skip


import functools
from typing import Any

import numpy as np
from keras import ops

from e2wsol.localization.protocols import BoxProtocol
from e2wsol.localization.resize_taps import resize_taps
from e2wsol.localization.score_map import gray_table


def extract_boxes(localization_maps: Any, *, size: int, threshold: Any, protocol: BoxProtocol) -> tuple[Any, Any]:
    """Score maps and boxes of a batch of maps.

    Args:
      localization_maps: (B, h, w) float tensor, any range; B may be unknown, h and w are static.
      size: side S of the frame in pixels.
      threshold: in [0, 1], read as the protocol does, a number or a scalar tensor.
      protocol: BoxProtocol.

    Returns:
      (score maps (B, S, S) float64 in [0, 1],
       boxes (B, 4) int32 x0, y0, x1, y1 in pixels of the frame).
    """
    score_maps = to_score_maps(localization_maps, size, protocol)
    return score_maps, boxes_of_masks(to_masks(score_maps, threshold, protocol), protocol)


def best_ious(boxes: Any, true_boxes: Any, present: Any, protocol: BoxProtocol) -> Any:
    """IoU of each box with the true box that it meets best; twin of iou.best_iou.

    Args:
      boxes: (B, 4) x0, y0, x1, y1.
      true_boxes: (B, M, 4), same units.
      present: (B, M) bool, which of them there are.
      protocol: BoxProtocol, says what the ends of boxes mean.

    Returns:
      (B,) float64 in [0, 1]; 0 without a true box.
    """
    boxes, true_boxes = ops.cast(boxes, "float64")[:, None], ops.cast(true_boxes, "float64")
    extent = float(protocol.iou_extent)
    sides = ops.minimum(boxes[..., 2:], true_boxes[..., 2:]) - ops.maximum(boxes[..., :2], true_boxes[..., :2])
    common = ops.prod(ops.maximum(sides + extent, 0.0), axis=-1)
    areas = [ops.prod(some[..., 2:] - some[..., :2] + extent, axis=-1) for some in (boxes, true_boxes)]
    union = areas[0] + areas[1] - common + float(protocol.iou_epsilon)
    usable = ops.logical_and(present, union > 0)
    ious = ops.where(usable, common / ops.where(usable, union, ops.ones_like(union)), ops.zeros_like(common))
    return ops.max(ops.pad(ious, ((0, 0), (0, 1))), axis=1)


def to_masks(score_maps: Any, threshold: Any, protocol: BoxProtocol) -> Any:
    """(B, S, S) float64 score maps -> bool, the pixels above one threshold; twin of boxes.to_levels."""
    threshold = ops.convert_to_tensor(threshold, "float64")
    if protocol.gray_steps is None:
        bound = _rounded(threshold, protocol)
        if protocol.relative_threshold:
            bound = _rounded(bound * ops.max(score_maps, axis=(1, 2), keepdims=True), protocol)
        return score_maps > bound
    gray = to_gray_maps(score_maps, protocol)
    top = ops.cast(ops.max(gray, axis=(1, 2), keepdims=True), "float64") if protocol.relative_threshold else 255.0
    return gray > ops.cast(threshold * top, "int32")


def to_score_maps(localization_maps: Any, size: int, protocol: BoxProtocol) -> Any:
    """(B, h, w) maps -> (B, size, size) float64 in [0, 1]; twin of score_map.to_score_map."""
    scores = _rounded(ops.cast(localization_maps, "float64"), protocol)
    finite = ops.all(ops.isfinite(scores), axis=(1, 2), keepdims=True)
    scores = ops.where(finite, scores, ops.zeros_like(scores))
    normalized = _NORMALIZATIONS[protocol.normalization]
    if protocol.stretch_first:
        scores = _resized(normalized(scores, protocol), size, protocol)
    else:
        scores = normalized(_resized(scores, size, protocol), protocol)
    return ops.where(finite, scores, ops.zeros_like(scores))


def _resized(scores: Any, size: int, protocol: BoxProtocol) -> Any:
    for axis in (2, 1):
        taps = resize_taps(scores.shape[axis], size, protocol.interpolation)
        shape = (1, 1, -1) if axis == 2 else (1, -1, 1)
        parts = [ops.take(scores, index, axis) * weight.reshape(shape) for index, weight in taps]
        scores = _rounded(sum(parts), protocol)
    return scores


def _stretched(scores: Any, protocol: BoxProtocol) -> Any:
    scores = _rounded(scores - ops.min(scores, axis=(1, 2), keepdims=True), protocol)
    span = ops.max(scores, axis=(1, 2), keepdims=True)
    return _rounded(scores / ops.where(span > 0, span, ops.ones_like(span)), protocol)


def _sigmoid(scores: Any, protocol: BoxProtocol) -> Any:
    power = ops.exp(-ops.abs(scores))
    return _rounded(ops.where(scores < 0, power, ops.ones_like(power)) / (1 + power), protocol)


def _stretched_sigmoid(scores: Any, protocol: BoxProtocol) -> Any:
    # In float32, so that NumPy and the graph agree: the last bit of a float64 exponential is the library's own.
    return _stretched(ops.cast(ops.cast(_sigmoid(scores, protocol), "float32"), "float64"), protocol)


_NORMALIZATIONS = {"min_max": _stretched, "sigmoid": _sigmoid, "sigmoid_min_max": _stretched_sigmoid}


def _rounded(values: Any, protocol: BoxProtocol) -> Any:
    """float64 tensor to the protocol's precision and back; twin of BoxProtocol.rounded."""
    return values if protocol.precision == "float64" else ops.cast(ops.cast(values, protocol.precision), "float64")


def to_gray_maps(score_maps: Any, protocol: BoxProtocol) -> Any:
    """(B, S, S) float64 score maps -> int32 gray levels 0..255; twin of score_map.to_gray."""
    assert protocol.gray_steps is not None
    index = ops.minimum(ops.cast(score_maps * float(protocol.gray_steps), "int32"), 255)
    return ops.take(gray_table(protocol.colormap).astype(np.int32), index)


def boxes_of_masks(masks: Any, protocol: BoxProtocol) -> Any:
    """(B, S, S) bool masks -> (B, 4) int32 boxes; twin of boxes.box_at."""
    chosen = _COMPONENTS[protocol.component](masks)
    columns, rows = ops.any(chosen, axis=1), ops.any(chosen, axis=2)
    box = ops.stack([_first(columns), _first(rows), _end(columns), _end(rows)], axis=1)
    size = masks.shape[1]
    if protocol.clip_ends:
        box = ops.minimum(box, np.array((size, size, size - 1, size - 1), np.int32))
    found = ops.any(masks, axis=(1, 2))[:, None]
    return ops.where(found, box, protocol.box_of_nothing((size, size)))


def component_labels(masks: Any, *, diagonal: bool) -> Any:
    """Labels the connected components of a batch of masks.

    A union-find over all pixels at once (as FastSV, Zhang et al. 2020): every pixel, and the pixel
    that its label names, take the smallest label around; then labels are replaced by their label's
    label. The number of rounds grows with the logarithm of the size, whatever the shapes.

    Args:
      masks: (B, H, W) bool, H and W static.
      diagonal: 8-connected when true, else 4-connected.

    Returns:
      (B, H + 2, W + 2) int32 with a margin of one pixel. The label is the smallest index of the
      component's pixels, counted through this array; outside the masks it is the last index.
    """
    inside = _with_margin(masks)
    _, height, width = inside.shape
    inside = ops.reshape(inside, (-1,))
    count = ops.shape(inside)[0]
    lowest = ops.where(inside, 0, count - 1)

    def unite(labels, _):
        around = ops.maximum(_smallest_around(labels, width, diagonal), lowest)
        # A segment minimum; with -1 - x an empty segment's smallest integer becomes the largest.
        hooked = -1 - ops.segment_max(-1 - around, labels, num_segments=count)
        united = ops.minimum(around, hooked)
        for _ in range(2):
            united = ops.take(united, united)
        return united, ops.any(united != labels)

    start = ops.maximum(ops.arange(count, dtype="int32"), lowest)
    labels, _ = ops.while_loop(lambda _, changed: changed, unite, (start, ops.any(inside)))
    return ops.reshape(labels, (-1, height, width))


def _with_margin(masks: Any) -> Any:
    return ops.pad(masks, ((0, 0), (1, 1), (1, 1)), constant_values=False)


def _smallest_around(labels: Any, width: int, diagonal: bool) -> Any:
    """Minimum over each pixel and its 4 or 8 neighbours, of images laid flat one after another."""
    columns = _smallest_of_three(labels, width)
    if diagonal:
        return _smallest_of_three(columns, 1)
    return ops.minimum(columns, _smallest_of_three(labels, 1))


def _smallest_of_three(labels: Any, step: int) -> Any:
    return ops.minimum(labels, ops.minimum(ops.roll(labels, step), ops.roll(labels, -step)))


def _largest_contour(masks: Any) -> Any:
    """(B, H, W) masks -> the filled component of largest contour area; of equal ones the last."""
    background = component_labels(ops.logical_not(_with_margin(masks)), diagonal=False)
    filled = (background != background[:, 1:2, 1:2])[:, 2:-2, 2:-2]
    labels, inside = component_labels(filled, diagonal=True), _with_margin(filled)
    pixels = sum(ops.cast(corner, "int32") for corner in _corners(inside))
    lowest = functools.reduce(ops.minimum, _corners(labels))
    # Twice the area; the three or four pixels of a quad are always of one component.
    sizes, index = _sizes_by_label(labels, ops.maximum(pixels - 2, 0), lowest)
    # One more, since a line has no area.
    keys = ops.where(ops.logical_and(inside, labels == index), sizes + 1, 0)
    last = ops.where(keys == ops.max(keys, axis=(1, 2), keepdims=True), index, 0)
    return (labels == ops.max(last, axis=(1, 2), keepdims=True))[:, 1:-1, 1:-1]


def _most_pixels(masks: Any) -> Any:
    """(B, H, W) masks -> the component with the most pixels; of equal ones the first."""
    labels, inside = component_labels(masks, diagonal=True), _with_margin(masks)
    sizes, index = _sizes_by_label(labels, ops.cast(inside, "int32"), labels)
    largest = sizes == ops.max(sizes, axis=(1, 2), keepdims=True)
    first = ops.where(largest, index, ops.size(labels) - 1)
    return (labels == ops.min(first, axis=(1, 2), keepdims=True))[:, 1:-1, 1:-1]


_COMPONENTS = {"contour_area": _largest_contour, "pixel_count": _most_pixels}


def _sizes_by_label(labels: Any, parts: Any, owners: Any) -> tuple[Any, Any]:
    """Sums up what belongs to each label.

    Args:
      labels: (B, H + 2, W + 2) of `component_labels`.
      parts: int32 numbers.
      owners: int32 of the same shape, the labels that they belong to.

    Returns:
      (sizes, index), both as `labels`: at a component's first pixel its sum, 0 at its others; and
      each pixel's own index.
    """
    shape, count = ops.shape(labels), ops.size(labels)
    sizes = ops.segment_sum(ops.reshape(parts, (-1,)), ops.reshape(owners, (-1,)), num_segments=count)
    return ops.reshape(sizes, shape), ops.reshape(ops.arange(count, dtype="int32"), shape)


def _corners(images: Any) -> list[Any]:
    """The four shifted views of (B, H, W) images that make up all 2x2 windows."""
    return [images[:, y : y - 1 or None, x : x - 1 or None] for y in (0, 1) for x in (0, 1)]


def _first(flags: Any) -> Any:
    return ops.cast(ops.argmax(flags, axis=1), "int32")


def _end(flags: Any) -> Any:
    return flags.shape[1] - _first(ops.flip(flags, axis=1))
