"""The boxes of all levels of a map, from one pass over its pixels.

A level leaves the pixels strictly above it. From the highest level down, components only appear,
grow and merge; so a union-find over the pixels in order of their values meets every component of
every level, with its bounds and its size added up on the way. All boxes are those that OpenCV gives
for the level's mask, to the pixel, ties included:

- The area of an outer contour (cv2.contourArea) is that of a polygon through pixel centres: of each
  2x2 window that the filled component covers with four pixels 1, with three 1/2. So a pixel that
  joins as the third or as the fourth of a window adds 1/2 for it.
- Holes are filled in gray levels beforehand: the outermost components of a level are those of the
  filled map, where no hole is left that would have to be found again at every level.
- A hole's contour runs on the pixels around it: its box is the hole's, grown by one on each side.

Maps lie flat with a margin of one pixel and rows of a power of two, so that coordinates come from
an index without a division. Indices are unsigned, which spares the test for negative ones. Holes are
filled and pixels put in order in pixel_order.py.
"""

import threading

import numpy as np

from e2wsol.errors import ArgumentError
from e2wsol.localization.compiled import compiled
from e2wsol.localization.component_tree import neighbours
from e2wsol.localization.component_tree.pixel_order import ALL_PIXELS, CELL, MASK_SHIFT, OUTSIDE, read, read_holes

COMPONENTS = ("contour_area", "pixel_count")
MOST_LEVELS = 2**15 - 2  # the planes are int16, the margin is -1

_ONE, _FOUR = np.uintp(1), np.uintp(4)
_NO_RANK = -(2**62)

# A component while it grows; positions are flat indices, columns count the margin.
_COMPONENT = np.dtype(
    [
        ("parent", np.uint32),  # itself, or the component that it has become part of
        ("size", np.int32),  # pixels, or twice the polygon's area
        ("first", np.int32),  # in raster order; rows are enough for bounds
        ("last", np.int32),
        ("left", np.int32),
        ("right", np.int32),
        ("since", np.int32),  # the value at which it got its present bounds
        ("until", np.int32),  # of a hole: the value at which it opens to the outside
    ]
)


def largest_boxes(image: np.ndarray, component: str) -> np.ndarray:
    """The box of one component at every level.

    Args:
      image: (H, W) integers from 0 to MOST_LEVELS.
      component: "contour_area", the largest outer contour, of equal ones the one that starts last in
        raster order; or "pixel_count", the most pixels 8-connected, of equal ones the first.

    Returns:
      (top + 1, 4) int32 x0, y0, x1, y1 with exclusive ends, top being the largest value; row t + 1
      is of the pixels above t, from -1 to top - 1.
    """
    space = _workspace(image)
    height, width = image.shape
    by_area = component == "contour_area"
    if by_area:
        gains, half = neighbours.AREA_GAINS, (height - 1) * (width - 1)
    else:
        gains, half = neighbours.PIXEL_GAINS, height * width // 2
    heads = read(image, by_area, *space.planes, space.sides[-1])
    tables = neighbours.COUNTS_8, space.groups_8
    return _largest(heads, space.cells, space.nodes, *space.sides, gains, half, by_area, *tables)


def contour_boxes(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every contour of every level, outer contours and those of holes, as cv2.RETR_TREE lists them.

    Args:
      image: (H, W) integers from 0 to MOST_LEVELS.

    Returns:
      (boxes (n, 4) int32 x0, y0, x1, y1 with exclusive ends, levels (n, 2) int32): a contour has this
      box at the levels from levels[:, 0] to levels[:, 1], both included; the lowest is -1.
    """
    space = _workspace(image)
    heads = read(image, False, *space.planes, space.sides[-1])
    found = np.concatenate([_outer_contours(space, heads), _hole_contours(space, len(heads) - 1)])
    return found[:, :4], found[:, 4:]


def _outer_contours(space: "_Workspace", heads: np.ndarray) -> np.ndarray:
    height, width, stride = space.sides
    lowest = int(np.flatnonzero(heads)[0])
    space.filled[:] = lowest  # where these components end
    values = np.arange(len(heads) - 1, lowest, -1)
    found = _contours(values, heads, *space.memory, space.filled, 0, stride, neighbours.COUNTS_8, space.groups_8)
    everything = np.array([[0, 0, width, height, -1, lowest - 1]], np.int32)
    return np.concatenate([everything, found])


def _hole_contours(space: "_Workspace", top: int) -> np.ndarray:
    """Holes are the components, 4-connected, of the pixels up to a level, but for what touches the margin.

    A pixel is in one from its own value until just below its value in the filled map.
    """
    heads = read_holes(*space.planes, *space.sides, top)
    values, stride = np.arange(top + 1), space.sides[-1]
    return _contours(values, heads, *space.memory, space.filled, 1, stride, neighbours.COUNTS_4, space.groups_4)


@compiled
def highest_at_levels(values: np.ndarray, levels: np.ndarray, count: int) -> np.ndarray:
    """The highest of the values at each level.

    Args:
      values: (n,) float64, 0 or more.
      levels: (n, 2) integers, the first and the last level of each value, from -1.
      count: levels asked for.

    Returns:
      (count,) float64 for the levels -1, 0, ...; 0 where there is no value.
    """
    highest = np.zeros(count)
    for index in range(len(values)):
        for row in range(levels[index, 0] + 1, levels[index, 1] + 2):
            highest[row] = max(highest[row], values[index])
    return highest


class _Workspace:
    """Arrays for the maps of one size: fresh memory a map would cost as much as the work on it.

    Attributes, flat and with the margin where nothing else is said:
      sides: height, width and the stride of a row, a power of two.
      plane: int16 map.
      filled: int16 map with its holes filled.
      masks: uint8 neighbours that come before each pixel.
      cells: CELL of each pixel.
      planes: all of these and `cells` as uint32, as pixel_order.read takes them.
      nodes: components; no two of the pixels at which they start share an edge.
      found: (n, 6) int32 contours; of those that end another pixel has made each what it was.
      memory: what _contours works in.
      groups_8, groups_4: see neighbours.offsets.
    """

    def __init__(self, height: int, width: int) -> None:
        stride = 1 << (width + 1).bit_length()
        size = (height + 2) * stride
        if size > ALL_PIXELS:
            raise ArgumentError("image", None, f"{height}x{width} pixels are larger than the component tree can be")
        self.sides = height, width, stride
        self.plane, self.filled = np.full(size, OUTSIDE), np.full(size, OUTSIDE)
        self.masks = np.zeros(size, np.uint8)
        self.cells = np.empty(size, CELL)
        self.nodes = np.empty((height * width + 1) // 2, _COMPONENT)
        self.found = np.empty((height * width, 6), np.int32)
        self.groups_8, self.groups_4 = (
            neighbours.offsets(groups, stride) for groups in (neighbours.GROUPS_8, neighbours.GROUPS_4)
        )

        self.planes = self.plane, self.filled, self.masks, self.cells, self.cells.view(np.uint32)
        self.memory = self.cells, self.nodes, self.found


_THREAD = threading.local()


def _workspace(image: np.ndarray) -> _Workspace:
    """The thread's _Workspace for images of this size.

    Raises:
      ArgumentError: a value is not from 0 to MOST_LEVELS, or the image is too large.
    """
    if image.dtype != np.uint8 and not (image.min() >= 0 and image.max() <= MOST_LEVELS):
        found = f"{image.min()} and {image.max()}"
        raise ArgumentError("image", None, f"values must lie between 0 and {MOST_LEVELS}, not {found}")
    space = getattr(_THREAD, "space", None)
    if space is None or space.sides[:2] != image.shape:
        space = _THREAD.space = _Workspace(*image.shape)
    return space


@compiled
def _root(nodes, node):
    """The component that `node` belongs to by now; shortens the way there."""
    while True:
        parent = np.uintp(nodes[node].parent)
        if parent == node:
            return node
        parent = np.uintp(nodes[parent].parent)
        nodes[node].parent = parent
        node = parent


@compiled
def _start(nodes, node, pixel, column, size, value):
    nodes[node].parent = node
    nodes[node].size = size
    nodes[node].first = nodes[node].last = pixel
    nodes[node].left = nodes[node].right = column
    nodes[node].since = value


@compiled
def _absorb(nodes, node, other):
    """Makes `other` part of `node`."""
    nodes[other].parent = node
    nodes[node].size += nodes[other].size
    nodes[node].first = min(nodes[node].first, nodes[other].first)
    nodes[node].last = max(nodes[node].last, nodes[other].last)
    nodes[node].left = min(nodes[node].left, nodes[other].left)
    nodes[node].right = max(nodes[node].right, nodes[other].right)


@compiled
def _largest(heads, cells, nodes, height, width, stride, gains, half, last_wins, counts, offsets):
    """The boxes of `largest_boxes`.

    Args:
      heads: first pixel of each value, see pixel_order.read.
      cells: pixels by value, see there.
      nodes: memory for _COMPONENT.
      height: of the map.
      width: of the map.
      stride: of its rows.
      gains: (256,) int32, what a pixel adds to its component's size by its mask.
      half: of the largest size that there can be.
      last_wins: of equal sizes, whether the component counts that starts last or first.
      counts: components around a pixel by its mask, see neighbours.py.
      offsets: steps to them, see there.
    """
    columns = np.uintp(stride - 1)
    sign = 1 if last_wins else -1
    boxes = np.empty((heads.size, 4), np.int32)
    started = best = np.uintp(0)
    highest = _NO_RANK
    lowest = 0
    while heads[lowest] == 0:
        lowest += 1
    for value in range(len(boxes) - 1, lowest, -1):
        pixel = np.uintp(heads[value])
        while pixel != 0:
            following = np.uintp(cells[pixel].following)
            mask = following >> MASK_SHIFT
            position, column = np.int32(pixel), np.int32(pixel & columns)
            if counts[mask] == 0:
                node = started
                started += _ONE
                _start(nodes, node, position, column, gains[mask], value)
            else:
                node = _root(nodes, np.uintp(cells[pixel + offsets[mask * _FOUR]].label))
                for group in range(1, counts[mask]):
                    other = _root(nodes, np.uintp(cells[pixel + offsets[mask * _FOUR + np.uintp(group)]].label))
                    if other != node:
                        if nodes[other].size > nodes[node].size:
                            node, other = other, node
                        _absorb(nodes, node, other)
                nodes[node].size += gains[mask]
                if position < nodes[node].first:
                    nodes[node].first = position
                if position > nodes[node].last:
                    nodes[node].last = position
                if column < nodes[node].left:
                    nodes[node].left = column
                if column > nodes[node].right:
                    nodes[node].right = column
            cells[pixel].label = node
            rank = _rank(nodes, node, sign)
            best = node if rank > highest else best  # two assignments that need no branch
            highest = max(rank, highest)
            pixel = following & ALL_PIXELS
        # No component ever ranked above `highest`; but the one that did have it may have moved its
        # start or have been absorbed without getting larger, and then another may be above it.
        if nodes[best].parent != best or _rank(nodes, best, sign) != highest:
            best = _best_root(nodes, started, sign)
            highest = _rank(nodes, best, sign)
        _bounds(nodes, best, columns, 0, boxes[value])
        if _is_whole(boxes[value], height, width) and nodes[best].size > half:
            lowest = value  # no component can get larger than this one any more
            break
    for row in range(lowest + 1):  # all pixels are set, or the box has come to stay
        boxes[row, 0] = boxes[row, 1] = 0
        boxes[row, 2], boxes[row, 3] = width, height
    return boxes


@compiled
def _best_root(nodes, started, sign):
    best, highest = np.uintp(0), _NO_RANK
    for index in range(started):
        node = np.uintp(index)
        if nodes[node].parent == node and _rank(nodes, node, sign) > highest:
            best, highest = node, _rank(nodes, node, sign)
    return best


@compiled
def _rank(nodes, node, sign):
    """Orders components by size, equal ones by where they start."""
    return (np.int64(nodes[node].size) << 32) + sign * np.int64(nodes[node].first)


@compiled
def _bounds(nodes, node, columns, margin, box):
    """Writes the box of a component, grown by `margin` on each side."""
    stride = np.int64(columns) + 1
    box[0] = nodes[node].left - 1 - margin
    box[1] = nodes[node].first // stride - 1 - margin
    box[2] = nodes[node].right + margin
    box[3] = nodes[node].last // stride + margin


@compiled
def _is_whole(box, height, width):
    return box[0] == 0 and box[1] == 0 and box[2] == width and box[3] == height


@compiled
def _contours(values, heads, cells, nodes, found, ends, margin, stride, counts, offsets):
    """The contours of components that only grow, outer ones or holes, with the levels that they hold for.

    Args:
      values: (V,) integers in the order in which their pixels join.
      heads: first pixel of each value, see pixel_order.read.
      cells: pixels by value, and the neighbours that have joined before.
      nodes: memory, see _Workspace.
      found: memory, see there.
      ends: (plane.size,) int16, the value at which the component of a pixel stops to be one.
      margin: pixels that a contour's box is larger than the component, on each side.
      stride: of its rows.
      counts: components around a pixel by its mask, see neighbours.py.
      offsets: steps to them, see there.

    Returns:
      (n, 6) int32 x0, y0, x1, y1, first level, last level; part of `found`.
    """
    columns = np.uintp(stride - 1)
    written = 0
    started = np.uintp(0)
    for value in values:
        pixel = np.uintp(heads[value])
        while pixel != 0:
            following = np.uintp(cells[pixel].following)
            mask = following >> MASK_SHIFT
            column = np.int32(pixel & columns)
            row = np.int32(pixel) - column
            if counts[mask] == 0:
                node = started
                started += _ONE
                _start(nodes, node, row, column, 1, value)
                nodes[node].until = ends[pixel]
            else:
                node = _root(nodes, np.uintp(cells[pixel + offsets[mask * _FOUR]].label))
                for group in range(1, counts[mask]):
                    other = _root(nodes, np.uintp(cells[pixel + offsets[mask * _FOUR + np.uintp(group)]].label))
                    if other != node:
                        if other < node:  # the one that is there longer stays
                            node, other = other, node
                        written = _write(found, written, nodes, other, columns, margin, value)
                        if not _is_inside(nodes, other, node):
                            written = _write(found, written, nodes, node, columns, margin, value)
                        _absorb(nodes, node, other)
                outside = column < nodes[node].left or column > nodes[node].right
                if outside or row < nodes[node].first or row > nodes[node].last:
                    written = _write(found, written, nodes, node, columns, margin, value)
                    nodes[node].first = min(nodes[node].first, row)
                    nodes[node].last = max(nodes[node].last, row)
                    nodes[node].left = min(nodes[node].left, column)
                    nodes[node].right = max(nodes[node].right, column)
            cells[pixel].label = node
            pixel = following & ALL_PIXELS
    for index in range(started):
        node = np.uintp(index)
        if nodes[node].parent == node:
            written = _write(found, written, nodes, node, columns, margin, np.int64(nodes[node].until))
    return found[:written]


@compiled
def _write(found, written, nodes, node, columns, margin, value):
    """Writes the bounds that a component has had since `since` and has no more from `value` on, if at any level."""
    since = nodes[node].since
    if since == value:
        return written
    _bounds(nodes, node, columns, margin, found[written])
    found[written, 4], found[written, 5] = min(since, value), max(since, value) - 1
    nodes[node].since = value
    return written + 1


@compiled
def _is_inside(nodes, inner, outer):
    """Whether the bounds of one component lie within those of another."""
    return (
        nodes[inner].left >= nodes[outer].left
        and nodes[inner].right <= nodes[outer].right
        and nodes[inner].first >= nodes[outer].first
        and nodes[inner].last <= nodes[outer].last
    )
