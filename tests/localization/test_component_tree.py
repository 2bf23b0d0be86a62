"""The component tree against plain OpenCV, level by level."""

import threading

import cv2
import numpy as np
import pytest
from contours import reference_box, reference_pixel_box, rough_maps
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from e2wsol.localization.component_tree import (
    COMPONENTS,
    MOST_LEVELS,
    contour_boxes,
    highest_at_levels,
    largest_boxes,
)


def contours_above(image, level):
    """Boxes of all contours above a level by OpenCV alone, sorted; holes too."""
    mask = (image > level).astype(np.uint8)
    contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    return sorted([x, y, x + width, y + height] for x, y, width, height in map(cv2.boundingRect, contours))


def contours_at(image):
    """The same for each level from -1 to the largest value, by the component tree."""
    boxes, levels = contour_boxes(image)
    return [
        sorted(boxes[(levels[:, 0] <= level) & (level <= levels[:, 1])].tolist())
        for level in range(-1, int(image.max()) + 1)
    ]


def assert_equals_opencv(image, *, pixel_count=True):
    image = np.asarray(image)
    above = [np.where(image > level, 1, 0).astype(np.uint8) for level in range(-1, int(image.max()))]
    expected = [reference_box(mask, 0, empty=None, clipped=False) for mask in above]
    assert largest_boxes(image, "contour_area").tolist() == expected
    assert contours_at(image) == [contours_above(image, level) for level in range(-1, int(image.max()) + 1)]
    if pixel_count:
        expected = [reference_pixel_box(mask, 0) for mask in above]
        assert largest_boxes(image, "pixel_count").tolist() == expected


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), side=st.integers(1, 14), levels=st.integers(1, 9))
def test_rough_maps(seed, side, levels):
    step = 255 // max(levels - 1, 1)
    for gray in rough_maps(seed, 4, side, levels):
        assert_equals_opencv(gray // step)


@settings(max_examples=150, deadline=None)
@given(image=arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 4)))
def test_maps_that_hypothesis_makes(image):
    """Of any shape, one row or column among them, and small enough to be shrunk to what goes wrong."""
    assert_equals_opencv(image)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), density=st.floats(0.3, 0.9))
def test_masks_full_of_holes_and_of_equal_components(seed, density):
    rng = np.random.default_rng(seed)
    image = (rng.random((31, 44)) < density).astype(np.int32)
    assert_equals_opencv(image)
    assert_equals_opencv(image * rng.integers(1, 4, image.shape), pixel_count=False)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cells=st.integers(2, 9), levels=st.integers(2, 255))
def test_smooth_maps(seed, cells, levels):
    coarse = np.random.default_rng(seed).random((cells, cells))
    scores = np.clip(cv2.resize(coarse, (47, 38), interpolation=cv2.INTER_CUBIC), 0, 1)
    assert_equals_opencv((scores * levels).astype(np.uint8), pixel_count=levels < 40)


def rings(side, gaps):
    """Nested square rings of rising values, each with `gaps` pixels missing, and a pixel in the middle."""
    image = np.zeros((side, side), np.uint8)
    for value, start in enumerate(range(1, side // 2 - 1, 2), 1):
        cv2.rectangle(image, (start, start), (side - 1 - start, side - 1 - start), value)
        image[start, start + 1 : start + 1 + gaps] = 0
    image[side // 2, side // 2] = 3
    return image


def spiral(side):
    image = np.zeros((side, side), np.uint8)
    y, x, direction = 0, 0, 0
    steps = ((0, 1), (1, 0), (0, -1), (-1, 0))
    for length in [side - 1, *(n for n in range(side - 1, 1, -2) for _ in range(2))]:
        for _ in range(length):
            image[y, x] = 1 + (x + y) % 5
            y, x = y + steps[direction][0], x + steps[direction][1]
        direction = (direction + 1) % 4
    return image


SHAPES = {
    "rings": rings(21, 0),
    "rings with gaps": rings(21, 1),
    "inverted rings": rings(21, 0).max() - rings(21, 0),
    "spiral": spiral(17),
    "inverted spiral": 5 - spiral(17),
    "checkerboard": np.indices((9, 12)).sum(0) % 2,
    "diagonals": (np.indices((11, 11)).sum(0) % 4 == 0) * 1 + np.eye(11, dtype=int),
    "full": np.full((5, 7), 6),
    "zero": np.zeros((5, 7), int),
    "one pixel": np.pad([[9]], ((2, 3), (4, 1))),
    "single": np.array([[3]]),
    "row": np.array([[0, 3, 3, 0, 1, 0, 2, 2, 2]]),
    "column": np.array([[0, 3, 3, 0, 1, 0, 2, 2, 2]]).T,
    "frame": np.pad(np.zeros((5, 6), int), 1, constant_values=2),
    "equal squares": np.kron(np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1]]), np.ones((3, 3), int)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name):
    assert_equals_opencv(SHAPES[name])
    assert_equals_opencv(SHAPES[name] + 3)


def test_many_levels_as_of_ranks():
    rng = np.random.default_rng(3)
    image = rng.permutation(1200).reshape(30, 40).astype(np.int32)
    assert_equals_opencv(image, pixel_count=False)
    few = rng.integers(0, 900, (9, 11)).astype(np.int32)
    assert_equals_opencv(few)


@pytest.mark.parametrize("component", COMPONENTS)
def test_what_cannot_be_told_apart(component):
    for image in (np.array([[MOST_LEVELS + 1, 0]]), np.array([[-1, 0]])):
        with pytest.raises(ValueError, match="must lie between"):
            largest_boxes(image, component)
    assert largest_boxes(np.array([[MOST_LEVELS, 0]]), component)[-1].tolist() == [0, 0, 1, 1]


def test_a_map_that_is_too_large():
    with pytest.raises(ValueError, match="larger than"):
        contour_boxes(np.zeros((1, 2**23), np.uint8))


def test_results_stay_when_the_next_map_comes():
    first, second = rough_maps(7, 2, 20, 9)
    kept = largest_boxes(first, "contour_area"), contour_boxes(first)
    again = largest_boxes(first, "contour_area").copy(), [part.copy() for part in contour_boxes(first)]
    contour_boxes(second), largest_boxes(second, "pixel_count")
    np.testing.assert_array_equal(kept[0], again[0])
    for part, other in zip(kept[1], again[1]):
        np.testing.assert_array_equal(part, other)


def test_threads_do_not_disturb_each_other():
    maps = [gray for side in (19, 20) for gray in rough_maps(side, 6, side, 9)]
    expected = [largest_boxes(gray, "contour_area").tolist() for gray in maps]
    wrong = []

    def check():
        for _ in range(20):
            found = [largest_boxes(gray, "contour_area").tolist() for gray in maps]
            wrong.extend(index for index, boxes in enumerate(found) if boxes != expected[index])

    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_highest_at_levels():
    values, levels = np.array([0.5, 0.25, 0.75]), np.array([[-1, 2], [0, 4], [2, 2]])
    assert highest_at_levels(values, levels, 6).tolist() == [0.5, 0.5, 0.5, 0.75, 0.25, 0.25]
