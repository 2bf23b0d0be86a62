"""What the neighbours that are already set say of the components that meet at a pixel.

The tables are indexed by a pixel's mask of neighbours: bit k stands for the k-th of STEPS.
"""

import numpy as np

# (row, column)
STEPS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
_WINDOWS = ((0, 1, 3), (1, 2, 4), (3, 5, 6), (4, 6, 7))  # the three others of the 2x2 windows at a pixel
_EDGES = (1, 3, 4, 6)


def offsets(groups: np.ndarray, stride: int) -> np.ndarray:
    """(256 * 4,) steps in a flat plane to `groups` of neighbours; steps back wrap around the unsigned range."""
    steps = np.array([down * stride + right for down, right in STEPS], np.int64)
    return steps[groups].astype(np.uintp).ravel()


def _neighbour_tables(*, diagonal: bool) -> tuple[np.ndarray, np.ndarray]:
    """What the mask of the neighbours that are set says of the components that meet at a pixel.

    Args:
      diagonal: whether pixels are 8-connected rather than 4-connected.

    Returns:
      (counts (256,) uint8, groups (256, 4) uint8): the number of components of the neighbours that
      touch the pixel, as far as the neighbours tell, and a neighbour of each that touches it.
    """
    counts, groups = np.zeros(256, np.uint8), np.zeros((256, 4), np.uint8)
    for mask in range(256):
        left = {bit for bit in range(8) if mask >> bit & 1}
        touching = []
        while left:
            group = _take_group(left, diagonal)
            # Of a group that touches by an edge one that does: other pixels need not be its component.
            touching += [bit for bit in group if bit in _EDGES][:1] or group[: int(diagonal)]
        counts[mask] = len(touching)
        groups[mask, : len(touching)] = touching
    return counts, groups


def _take_group(left: set[int], diagonal: bool) -> list[int]:
    group = [left.pop()]
    for bit in group:
        around = {other for other in left if _adjacent(STEPS[bit], STEPS[other], diagonal)}
        left -= around
        group += sorted(around)
    return group


def _adjacent(one: tuple[int, int], other: tuple[int, int], diagonal: bool) -> bool:
    distances = [abs(a - b) for a, b in zip(one, other)]
    return max(distances) == 1 if diagonal else sum(distances) == 1


def _area_gains() -> np.ndarray:
    """(256,) int32: what a pixel adds to twice the polygon's area, by the mask of the neighbours set before."""
    members = [{bit for bit in range(8) if mask >> bit & 1} for mask in range(256)]
    return np.array([sum(len(others & set(window)) >= 2 for window in _WINDOWS) for others in members], np.int32)


COUNTS_8, GROUPS_8 = _neighbour_tables(diagonal=True)
COUNTS_4, GROUPS_4 = _neighbour_tables(diagonal=False)
AREA_GAINS, PIXEL_GAINS = _area_gains(), np.ones(256, np.int32)
