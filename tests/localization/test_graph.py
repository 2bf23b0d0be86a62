import dataclasses

import cv2
import numpy as np
import pytest
import tensorflow as tf
from contours import rough_maps
from hypothesis import given, settings
from hypothesis import strategies as st

from e2wsol.localization import protocols
from e2wsol.localization.boxes import box_at, to_levels
from e2wsol.localization.graph import best_ious, component_labels, extract_boxes, to_masks
from e2wsol.localization.iou import best_iou
from e2wsol.localization.score_map import to_score_map

PROTOCOLS = [protocols.get(name) for name in protocols.names()]
# What no protocol combines so, each field still means by itself.
MIXED = [
    dataclasses.replace(protocols.get("bas"), name="relative", relative_threshold=True, stretch_first=False),
    dataclasses.replace(protocols.get("bas"), name="float64", precision="float64", component="contour_area"),
    dataclasses.replace(protocols.get("maxboxacc"), name="absolute", relative_threshold=False, stretch_first=True),
    dataclasses.replace(protocols.of_logits(protocols.get("maxboxacc")), name="logits"),
]
SIZE = 20
_COMPILED = {}


def numpy_box(localization_map, size, threshold, protocol):
    image, levels = to_levels(to_score_map(localization_map, size, protocol), [threshold], protocol)
    return box_at(image, levels[0], protocol).tolist()


def graph(side, protocol, size=SIZE):
    """One traced function for a kind of map, for any batch size and threshold."""
    key = (side, protocol.name, size)
    if key not in _COMPILED:
        signature = [tf.TensorSpec((None, side, side), tf.float32), tf.TensorSpec((), tf.float64)]
        _COMPILED[key] = tf.function(
            lambda maps, threshold: extract_boxes(maps, size=size, threshold=threshold, protocol=protocol),
            input_signature=signature,
        )
    return lambda maps, threshold: _COMPILED[key](maps, tf.constant(threshold, tf.float64))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 5),
    levels=st.integers(1, 9),
    threshold=st.floats(0, 1),
    protocol=st.sampled_from(PROTOCOLS + MIXED),
)
def test_rough_maps_give_the_boxes_of_opencv(seed, count, levels, threshold, protocol):
    maps = rough_maps(seed, count, SIZE, levels).astype(np.float32)
    _, boxes = graph(SIZE, protocol)(maps, threshold)
    assert boxes.numpy().tolist() == [numpy_box(one, SIZE, threshold, protocol) for one in maps]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), threshold=st.floats(0, 1), protocol=st.sampled_from(PROTOCOLS + MIXED))
@pytest.mark.slow
def test_resized_maps_equal_the_numpy_side(seed, threshold, protocol):
    maps = np.random.default_rng(seed).standard_normal((3, 7, 7)).astype(np.float32)
    score_maps, boxes = graph(7, protocol)(maps, threshold)
    np.testing.assert_array_equal(score_maps, [to_score_map(one, SIZE, protocol) for one in maps])
    assert boxes.numpy().tolist() == [numpy_box(one, SIZE, threshold, protocol) for one in maps]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 10), protocol=st.sampled_from(PROTOCOLS + MIXED))
def test_plateaus_at_the_threshold(seed, steps, protocol):
    """Regions of one score, and thresholds that are just that score."""
    maps = np.random.default_rng(seed).integers(0, steps + 1, (2, 7, 7)).astype(np.float32) * np.float32(0.3)
    for threshold in np.arange(steps + 1) / steps:
        _, boxes = graph(7, protocol)(maps, threshold)
        assert boxes.numpy().tolist() == [numpy_box(one, SIZE, threshold, protocol) for one in maps]


def test_a_threshold_given_as_a_number_keeps_its_digits():
    """TensorFlow makes float32 of a Python number; 0.7 * 100 would then fall below 70."""
    protocol = protocols.get("maxboxacc")
    gray = np.array([[[70, 100], [0, 71]]], np.float64) / 255
    assert np.array(to_masks(gray, 0.7, protocol)).tolist() == [[[False, True], [False, True]]]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=protocols.names())
def test_maps_without_a_range_and_a_single_pixel(protocol):
    maps = np.zeros((5, SIZE, SIZE), np.float32)
    maps[1], maps[2], maps[3, 0, 0], maps[4, 19, 19] = 0.5, 1, 9, 9
    maps[2, 3, 4] = np.nan
    score_maps, boxes = graph(SIZE, protocol)(maps, 0.3)
    flat = {"min_max": 0, "sigmoid": 0.5}[protocol.normalization]
    assert (score_maps.numpy()[0] == flat).all() and not score_maps.numpy()[2].any()
    empty = protocol.box_of_nothing((SIZE, SIZE)).tolist()
    assert boxes.numpy()[2].tolist() == empty
    assert (boxes.numpy()[0].tolist() == empty) == (protocol.normalization == "min_max")
    assert boxes.numpy().tolist() == [numpy_box(one, SIZE, 0.3, protocol) for one in maps]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), density=st.floats(0, 1), diagonal=st.booleans())
def test_labels_equal_opencvs_components(seed, density, diagonal):
    masks = np.random.default_rng(seed).random((2, 9, 13)) < density
    labels = np.array(component_labels(masks, diagonal=diagonal))
    index = np.arange(labels.size).reshape(labels.shape)
    for mask, label, own in zip(masks, labels[:, 1:-1, 1:-1], index[:, 1:-1, 1:-1]):
        count, expected = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8 if diagonal else 4)
        assert (label[~mask] == labels.size - 1).all()
        for component in range(1, count):
            assert (label[expected == component] == own[expected == component].min()).all()


def snake(side):
    """A one-pixel line winding to and fro: its ends are as far apart as pixels of a component get."""
    image = np.zeros((side, side), np.float32)
    image[::2] = 1
    image[1::4, -1] = image[3::4, 0] = 1
    return image


def test_long_thin_shapes():
    maps = np.stack([snake(SIZE), 1 - snake(SIZE), snake(SIZE).T, np.eye(SIZE, dtype=np.float32)])
    assert cv2.connectedComponents(maps[0].astype(np.uint8))[0] == 2
    for protocol in PROTOCOLS:
        _, boxes = graph(SIZE, protocol)(maps, 0.5)
        assert boxes.numpy().tolist() == [numpy_box(one, SIZE, 0.5, protocol) for one in maps]


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=protocols.names())
def test_compiles_under_xla(protocol):
    maps = rough_maps(5, 2, SIZE, 4).astype(np.float32)
    compiled = tf.function(
        lambda batch: extract_boxes(batch, size=SIZE, threshold=0.4, protocol=protocol)[1], jit_compile=True
    )
    assert compiled(tf.constant(maps)).numpy().tolist() == [numpy_box(one, SIZE, 0.4, protocol) for one in maps]


@pytest.mark.parametrize("name", protocols.names())
def test_best_ious_equal_those_of_the_host(name):
    rules, rng = protocols.get(name), np.random.default_rng(0)
    corners = rng.integers(-3, 12, (40, 4, 2, 2)).astype(np.float64)
    boxes = np.concatenate([corners.min(2), corners.max(2)], axis=-1)
    present = np.arange(3) < rng.integers(0, 4, (40, 1))
    found = np.array(best_ious(boxes[:, 0], boxes[:, 1:], present, rules))
    for index in range(40):
        true_boxes = boxes[index, 1:][present[index]]
        expected = best_iou(boxes[index, :1], true_boxes, rules)[0] if len(true_boxes) else 0.0
        assert found[index] == pytest.approx(expected, abs=1e-12)
    assert 0 < np.count_nonzero(found) < 40
