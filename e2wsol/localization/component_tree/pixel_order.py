"""Maps made ready for the component tree: their holes filled, their pixels in order of value.

Maps lie flat in rows of `stride` pixels with a margin of one pixel, which is OUTSIDE. What the tree calls
are two kernels that do all of it: threads that score maps get in each other's way between kernels alone.
"""

import numpy as np

from e2wsol.localization.compiled import compiled

OUTSIDE = np.int16(-1)

# What is looked up of a pixel together, in one place: `following` is the next pixel of the same value,
# 0 where there is none, with the pixel's mask of neighbours that come before it above MASK_SHIFT.
CELL = np.dtype([("following", np.uint32), ("label", np.uint32)])
MASK_SHIFT, ALL_PIXELS = np.uintp(24), np.uintp(2**24 - 1)

_ONE = np.uintp(1)


@compiled
def read(image, fill, plane, filled, masks, cells, entries, stride):
    """Copies a map into the plane and lists its pixels.

    Args:
      image: (H, W) integers from 0 to the largest int16 less 1.
      fill: whether the holes of its levels are filled and the pixels listed with the values that they
        get then.
      plane: (size,) int16, gets the map.
      filled: (size,) int16, gets the map without holes where `fill`.
      masks: (size,) uint8, see _set_before.
      cells: (size,) CELL, gets masks and lists.
      entries: the memory of `cells` as (2 * size,) uint32.
      stride: of the rows.

    Returns:
      (largest value + 1,) uint32 first pixel of each value, 0 where there is none.
    """
    height, width = image.shape
    top = _load(image, plane, stride)
    if fill:
        _fill_holes(plane, filled, height, width, stride, top, entries)
        return _in_order(filled, masks, height, width, stride, top, cells)
    return _in_order(plane, masks, height, width, stride, top, cells)


@compiled
def read_holes(plane, filled, masks, cells, entries, height, width, stride, top):
    """Fills the holes of a map that has been read without, and lists the pixels that are in one at any level."""
    _fill_holes(plane, filled, height, width, stride, top, entries)
    return _holes_in_order(plane, filled, masks, height, width, stride, top, cells)


@compiled
def _load(image, plane, stride):
    """Copies an image into a plane; returns its largest value."""
    top = 0
    for row in range(image.shape[0]):
        line = plane[(row + 1) * stride + 1 :]
        for column in range(image.shape[1]):
            line[column] = image[row, column]
            top = max(top, np.int64(image[row, column]))
    return top


@compiled
def _fill_holes(plane, filled, height, width, stride, top, entries):
    """Writes the map without the holes of its levels.

    A pixel gets the lowest value that a 4-connected way to the margin cannot stay below. Two sweeps
    bring it to pixels with a way that turns little; a flood in order of level does the rest.

    Args:
      plane: int16 map.
      filled: int16 of the same size, gets the result.
      height: of the map.
      width: of the map.
      stride: of its rows.
      top: largest value of the map.
      entries: (2 * plane.size,) uint32, memory for linked lists.
    """
    filled[:] = OUTSIDE
    _sweep_down(plane, filled, height, width, stride)
    _sweep_up(plane, filled, height, width, stride)
    _flood(plane, filled, height, width, stride, np.zeros(top + 1, np.uint32), entries)


@compiled
def _sweep_down(plane, filled, height, width, stride):
    for row in range(1, height + 1):
        pixel = np.uintp(row * stride) + _ONE
        level = OUTSIDE
        for _ in range(width):
            level = max(plane[pixel], min(filled[pixel - np.uintp(stride)], level))
            filled[pixel] = level
            pixel += _ONE


@compiled
def _sweep_up(plane, filled, height, width, stride):
    for row in range(height, 0, -1):
        pixel = np.uintp(row * stride + width)
        level = OUTSIDE
        for _ in range(width):
            # What waits for the pixel before comes last: that chain is what takes the time.
            level = max(plane[pixel], min(min(filled[pixel], filled[pixel + np.uintp(stride)]), level))
            filled[pixel] = level
            pixel -= _ONE


@compiled
def _queue_starts(plane, filled, height, width, stride, heads, following):
    """Lowers pixels that a neighbour shows to be too high, and lists them by their value; 0 ends a list."""
    for row in range(1, height + 1):
        if not _is_too_high(plane, filled, row * stride, width, stride):
            continue
        pixel = np.uintp(row * stride)
        for _ in range(width):
            pixel += _ONE
            around = min(filled[pixel - _ONE], filled[pixel + _ONE])
            around = min(around, min(filled[pixel - np.uintp(stride)], filled[pixel + np.uintp(stride)]))
            level = max(plane[pixel], around)
            if level < filled[pixel]:
                filled[pixel] = level
                following[pixel] = heads[np.uintp(level)]
                heads[np.uintp(level)] = pixel


@compiled
def _is_too_high(plane, filled, start, width, stride):
    """Whether a row has a pixel above both its value and a neighbour; without a branch, so that it is vectorised."""
    above = filled[start - stride : start]
    here = filled[start : start + stride]
    below = filled[start + stride : start + 2 * stride]
    values = plane[start : start + stride]
    found = False
    for x in range(width):
        column = np.uintp(x) + _ONE
        around = min(min(above[column], below[column]), min(here[column - _ONE], here[column + _ONE]))
        found |= max(around, values[column]) < here[column]
    return found


@compiled
def _flood(plane, filled, height, width, stride, heads, following):
    """Lowers what is still too high, in order of level, so that the flood lowers a pixel once at most.

    So there are two entries a pixel: one for where the flood starts, one for where it comes by.
    """
    _queue_starts(plane, filled, height, width, stride, heads, following)
    size, row = np.uintp(plane.size), np.uintp(stride)
    for level in range(heads.size):
        while heads[level] != 0:
            pixel = np.uintp(heads[level])
            heads[level] = following[pixel]
            if pixel >= size:
                pixel -= size
            if filled[pixel] != level:
                continue  # lowered further in the meantime, from a lower level
            for neighbour in (pixel - row, pixel - _ONE, pixel + _ONE, pixel + row):
                lowered = max(plane[neighbour], np.int16(level))
                if lowered < filled[neighbour]:
                    filled[neighbour] = lowered
                    following[neighbour + size] = heads[np.uintp(lowered)]
                    heads[np.uintp(lowered)] = neighbour + size


@compiled
def _set_before(plane, height, width, stride, masks):
    """For each pixel the neighbours that come before it, in order of falling values and of the raster.

    Args:
      plane: int16 map.
      height: of the map.
      width: of the map.
      stride: of its rows.
      masks: (plane.size,) uint8, gets a bit for each of neighbours.STEPS; the margin comes last.
    """
    for row in range(1, height + 1):
        above = plane[(row - 1) * stride : row * stride]
        here = plane[row * stride : (row + 1) * stride]
        below = plane[(row + 1) * stride : (row + 2) * stride]
        out = masks[row * stride : (row + 1) * stride]
        for x in range(width):
            left, middle, right = np.uintp(x), np.uintp(x) + _ONE, np.uintp(x) + _ONE + _ONE
            value = here[middle]
            mask = np.uint8(above[left] >= value)
            mask |= np.uint8(above[middle] >= value) << 1
            mask |= np.uint8(above[right] >= value) << 2
            mask |= np.uint8(here[left] >= value) << 3
            mask |= np.uint8(here[right] > value) << 4
            mask |= np.uint8(below[left] > value) << 5
            mask |= np.uint8(below[middle] > value) << 6
            mask |= np.uint8(below[right] > value) << 7
            out[middle] = mask


@compiled
def _in_order(plane, masks, height, width, stride, top, cells):
    """Lists the pixels of each value in raster order, with the neighbours that come before them.

    Args:
      plane: int16 map.
      masks: (plane.size,) uint8, see _set_before; they are set here.
      height: of the map.
      width: of the map.
      stride: of its rows.
      top: its largest value.
      cells: (plane.size,) CELL, gets masks and lists.

    Returns:
      (top + 1,) uint32 first pixel of each value, 0 where there is none.
    """
    _set_before(plane, height, width, stride, masks)
    heads = np.zeros(top + 1, np.uint32)
    for row in range(height, 0, -1):
        pixel = np.uintp(row * stride + width)
        for _ in range(width):
            value = np.uintp(plane[pixel])
            cells[pixel].following = np.uintp(heads[value]) | np.uintp(masks[pixel]) << MASK_SHIFT
            heads[value] = pixel
            pixel -= _ONE
    return heads


@compiled
def _holes_in_order(plane, filled, masks, height, width, stride, top, cells):
    """As _in_order, of the pixels that are ever in a hole alone and against raster order.

    In rising order, against that of the masks, which _in_order has set: who comes before there comes after here.
    """
    heads = np.zeros(top + 1, np.uint32)
    for row in range(1, height + 1):
        pixel = np.uintp(row * stride)
        for _ in range(width):
            pixel += _ONE
            if filled[pixel] != plane[pixel]:
                value = np.uintp(plane[pixel])
                mask = np.uintp(masks[pixel]) ^ np.uintp(255)
                cells[pixel].following = np.uintp(heads[value]) | mask << MASK_SHIFT
                heads[value] = pixel
    return heads
