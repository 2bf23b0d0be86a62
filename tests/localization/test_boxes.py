import cv2
import numpy as np
import pytest
from contours import reference_box, rough_maps
from hypothesis import given, settings
from hypothesis import strategies as st

from e2wsol.errors import UserError
from e2wsol.localization import protocols
from e2wsol.localization.boxes import box_at, boxes_at_levels, extract_box, levels_at

E2NET, MAXBOXACC = protocols.get("e2net"), protocols.get("maxboxacc")


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


def test_level_is_computed_in_float64():
    gray = np.full((2, 2), 100, np.uint8)
    assert levels_at(gray, [0.29, 0.3, 1.0, 0.0]).tolist() == [28, 30, 100, 0]


@pytest.mark.parametrize(("protocol", "empty"), [(E2NET, [0, 0, 1, 1]), (MAXBOXACC, [0, 0, 0, 0])])
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
    with pytest.raises(UserError, match="choose one of"):
        extract_box(bump, image_size=(100, 100), protocol="none")
