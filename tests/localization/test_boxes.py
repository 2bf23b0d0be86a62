import dataclasses

import cv2
import numpy as np
import pytest
from contours import reference_best_ious, reference_box, reference_pixel_box, rough_maps
from hypothesis import given, settings
from hypothesis import strategies as st

from e2wsol.errors import ArgumentError
from e2wsol.localization import protocols
from e2wsol.localization.boxes import (
    best_ious_at_levels,
    box_at,
    boxes_at_levels,
    extract_box,
    levels_at,
    ranks,
    to_levels,
)

BAS, E2NET, MAXBOXACC = map(protocols.get, ("bas", "e2net", "maxboxacc"))


def plain_boxes(gray, thresholds, protocol):
    return [reference_box(gray, t, empty=protocol.empty_box, clipped=protocol.clip_ends) for t in thresholds]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), side=st.integers(1, 24), levels=st.integers(1, 9))
def test_boxes_equal_plain_opencv(seed, side, levels):
    thresholds = np.linspace(0, 1, 23)
    for gray in rough_maps(seed, 4, side, levels):
        for protocol in (E2NET, MAXBOXACC):
            ours = boxes_at_levels(gray, levels_at(gray, thresholds), protocol)
            assert ours.tolist() == plain_boxes(gray, thresholds, protocol)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), side=st.integers(1, 16), levels=st.integers(1, 9))
def test_best_ious_equal_those_of_opencvs_contours(seed, side, levels):
    corners = np.random.default_rng(seed).integers((-2, 0), (12, 9), (3, 2, 2))
    true_boxes = corners.cumsum(axis=2).transpose(0, 2, 1).reshape(3, 4)
    for gray in rough_maps(seed, 2, side, levels):
        at = levels_at(gray, np.linspace(0, 1, 23))
        for protocol in (E2NET, MAXBOXACC):
            ours = best_ious_at_levels(gray, at, true_boxes, protocol)
            rules = {"empty": protocol.empty_box, "clipped": protocol.clip_ends}
            assert ours.tolist() == reference_best_ious(gray, at, true_boxes, **rules)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), side=st.integers(1, 16), levels=st.integers(1, 9))
def test_many_levels_equal_one_by_one(seed, side, levels):
    for gray in rough_maps(seed, 2, side, levels):
        for protocol in (BAS, E2NET, MAXBOXACC):
            at = np.array([255, 3, -1, *np.unique(gray), *(np.unique(gray) - 1), 3, 1000])
            ours = boxes_at_levels(gray, at, protocol)
            assert ours.dtype == np.int32
            assert ours.tolist() == [box_at(gray, level, protocol).tolist() for level in at]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), side=st.integers(1, 16), levels=st.integers(1, 9))
def test_boxes_of_scores_equal_those_found_pixel_by_pixel(seed, side, levels):
    thresholds = np.linspace(0, 1, 12)
    for score_map in BAS.rounded(rough_maps(seed, 2, side, levels) / 255):
        ours = boxes_at_levels(*to_levels(score_map, thresholds, BAS), BAS)
        # The reference compares float32 scores with a Python number, so in float32.
        assert ours.tolist() == [reference_pixel_box(score_map, np.float32(t)) for t in thresholds]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    relative=st.booleans(),
    protocol=st.sampled_from((BAS, E2NET, MAXBOXACC)),
    thresholds=st.lists(st.floats(0, 1), min_size=1, max_size=9),
)
def test_levels_leave_what_the_thresholds_leave(seed, relative, protocol, thresholds):
    protocol = dataclasses.replace(protocol, relative_threshold=relative)
    score_map = protocol.rounded(np.random.default_rng(seed).random((6, 6)) ** 3)
    image, levels = to_levels(score_map, thresholds, protocol)
    for threshold, level in zip(thresholds, levels):
        if protocol.gray_steps is None:
            values, top = score_map, score_map.max() if relative else 1.0
            bound = np.float32(np.float32(threshold) * np.float32(top))
        else:
            values, top = image, image.max() if relative else 255
            bound = int(threshold * float(top))
        np.testing.assert_array_equal(image > level, values > bound)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bounds=st.lists(st.floats(0, 1), max_size=30))
def test_ranks_are_those_of_searchsorted(seed, bounds):
    bounds = np.sort([*bounds, 0.0, 1.0])
    scores = np.random.default_rng(seed).random((7, 9))
    scores.flat[: min(len(bounds), 40)] = bounds[:40]
    scores[0, :2] = np.nextafter(bounds[len(bounds) // 2], (0, 1))
    scores = np.clip(scores, 0, 1)
    np.testing.assert_array_equal(ranks(scores, bounds), np.searchsorted(bounds, scores))


def test_level_is_computed_in_float64():
    gray = np.full((2, 2), 100, np.uint8)
    assert levels_at(gray, [0.29, 0.3, 1.0, 0.0]).tolist() == [28, 30, 100, 0]


@pytest.mark.parametrize(("protocol", "empty"), [(E2NET, [0, 0, 1, 1]), (MAXBOXACC, [0, 0, 0, 0]), (BAS, [0, 0, 8, 8])])
def test_nothing_above_the_level(protocol, empty):
    gray = np.zeros((8, 8), np.uint8)
    assert box_at(gray, 0, protocol).tolist() == empty
    gray[:] = 7
    assert box_at(gray, 7, protocol).tolist() == empty
    assert boxes_at_levels(gray, [7, 6, 255], protocol).tolist() == [empty, box_at(gray, 6, protocol).tolist(), empty]


def test_single_pixel_and_the_border():
    gray = np.zeros((8, 8), np.uint8)
    gray[5, 7] = 9
    assert box_at(gray, 0, E2NET).tolist() == [7, 5, 8, 6]
    assert box_at(gray, 0, MAXBOXACC).tolist() == [7, 5, 7, 6]


def test_of_equal_components_the_one_that_starts_last():
    gray = np.zeros((12, 12), np.uint8)
    gray[1:4, 7:10] = gray[2:5, 1:4] = gray[8:10, 5:7] = 9
    assert box_at(gray, 0, E2NET).tolist() == [1, 2, 4, 5]


def test_of_equal_pixel_counts_the_first_in_raster_order():
    """The left one comes first in OpenCV's order of 2x2 blocks, the right one in order of rows."""
    gray = np.zeros((8, 12), np.uint8)
    gray[1:4, 0:2] = gray[0:3, 8:10] = 9
    assert box_at(gray, 0, BAS).tolist() == [8, 0, 10, 3]


def test_pixel_counts_leave_out_holes_and_join_corners():
    gray = np.zeros((40, 40), np.uint8)
    cv2.rectangle(gray, (1, 1), (20, 20), 9)
    gray[25:31, 25:31] = gray[31:37, 31:37] = gray[37, 24] = 9
    assert box_at(gray, 0, BAS).tolist() == [1, 1, 21, 21]
    gray[1, 1:10] = 0
    assert box_at(gray, 0, BAS).tolist() == [25, 25, 37, 37]


def test_a_ring_beats_the_larger_pixel_count():
    gray = np.zeros((40, 40), np.uint8)
    cv2.rectangle(gray, (1, 1), (20, 20), 9)
    gray[25:38, 25:38] = 9
    assert np.count_nonzero(gray[25:, 25:]) > np.count_nonzero(gray[:21, :21])
    assert box_at(gray, 0, E2NET).tolist() == [1, 1, 21, 21]


def test_findcontours_of_opencv_3(monkeypatch):
    modern = cv2.findContours
    monkeypatch.setattr(cv2, "findContours", lambda image, *rest: (image, *modern(image, *rest)))
    gray = np.zeros((8, 8), np.uint8)
    gray[2:5, 3:6] = 1
    assert box_at(gray, 0, E2NET).tolist() == [3, 2, 6, 5]


def test_extract_box_in_the_pictures_pixels():
    localization_map = np.zeros((14, 14), np.float32)
    localization_map[4:8, 7:11] = 1
    box = extract_box(localization_map, image_size=(280, 140), threshold=0.5, protocol="e2net")
    assert box.dtype == np.float32
    np.testing.assert_allclose(box, (140, 40, 220, 80), atol=2)
    scaled = extract_box(5 * localization_map - 3, image_size=(280, 140), threshold=0.5, protocol="e2net")
    np.testing.assert_array_equal(scaled, box)


def test_extract_box_takes_the_protocols_threshold():
    bump = np.outer(np.hanning(14), np.hanning(14)).astype(np.float32)
    default = extract_box(bump, image_size=(100, 100))
    np.testing.assert_array_equal(default, extract_box(bump, image_size=(100, 100), threshold=0.2))
    tighter = extract_box(bump, image_size=(100, 100), threshold=0.8)
    assert (tighter[:2] > default[:2]).all() and (tighter[2:] < default[2:]).all()
    np.testing.assert_array_equal(extract_box(bump, image_size=(100, 100), protocol=MAXBOXACC), default)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"protocol": "none"}, "protocol=none: unknown; choose one of bas"),
        ({"localization_map": np.ones(4)}, r"localization_map: must be one map .* not of \(4,\)"),
        ({"localization_map": np.ones((1, 4, 4))}, r"localization_map: must be one map .* not of \(1, 4, 4\)"),
        ({"localization_map": np.ones((0, 4))}, r"localization_map: must be one map .* not of \(0, 4\)"),
        ({"localization_map": [[1, np.nan]]}, "localization_map: holds NaN or infinity"),
        ({"localization_map": [["a"]]}, "localization_map: cannot be read as an array of numbers"),
        ({"image_size": (100, 0)}, r"image_size=100,0: must be \(width, height\)"),
        ({"image_size": (100, np.inf)}, r"image_size=100,inf: must be \(width, height\)"),
        ({"image_size": 100}, r"image_size=100: must be \(width, height\)"),
        ({"threshold": -0.1}, "threshold=-0.1: must be a number from 0 to 1"),
        ({"threshold": "high"}, "threshold: cannot be read"),
        ({"size": 0}, "size=0: must be a whole number of pixels, at least 1"),
    ],
)
def test_extract_box_names_the_wrong_argument(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        extract_box(**({"localization_map": np.eye(4), "image_size": (100, 100)} | wrong))
