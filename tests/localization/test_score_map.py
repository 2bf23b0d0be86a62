import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2wsol.localization import protocols
from e2wsol.localization.score_map import gray_table, to_gray, to_score_map

SPOL = protocols.get("spol")
PROTOCOLS = [protocols.get(name) for name in protocols.names() if name != "spol"]
FLAGS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


def stretched(scores):
    return (scores - scores.min()) / (scores.max() - scores.min())


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(2, 40),
    width=st.integers(2, 40),
    size=st.integers(8, 96),
    seed=st.integers(0, 2**32 - 1),
    protocol=st.sampled_from(PROTOCOLS),
)
def test_resizes_as_opencv_does(height, width, size, seed, protocol):
    source = np.random.default_rng(seed).standard_normal((height, width)).astype(np.float32)
    steps = [stretched, lambda scores: cv2.resize(scores, (size, size), interpolation=FLAGS[protocol.interpolation])]
    expected = source.astype(protocol.precision)
    for step in steps if protocol.stretch_first else steps[::-1]:
        expected = step(expected)
    ours = to_score_map(source, size, protocol)
    np.testing.assert_allclose(ours, expected, rtol=0, atol={"float64": 1e-12, "float32": 3e-7}[protocol.precision])
    assert ours.min() >= 0 and ours.max() <= 1
    assert protocol.stretch_first or (ours.min() == 0 and ours.max() == 1)


def test_map_of_the_frames_size_is_only_stretched():
    source = np.random.default_rng(0).random((30, 30)).astype(np.float32)
    for protocol in PROTOCOLS:
        expected = stretched(source.astype(protocol.precision))
        np.testing.assert_array_equal(to_score_map(source, 30, protocol), expected)


@pytest.mark.parametrize("value", [0.0, 0.5, -3.0, np.nan, np.inf])
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_map_without_a_range_gives_zeros(value, protocol):
    source = np.full((7, 7), value, np.float32)
    assert not to_score_map(source, 28, protocol).any()
    source[:3] = 1.0 if not np.isfinite(value) else value
    assert not to_score_map(source, 28, protocol).any()


def test_gray_levels_truncate():
    score_map = np.array([[0.0, 0.5, 99.999 / 255, 1.0]])
    maxboxacc, e2net = protocols.get("maxboxacc"), protocols.get("e2net")
    assert to_gray(score_map, maxboxacc).tolist() == [[0, 127, 99, 255]]
    assert to_gray(score_map, e2net).tolist() == gray_table("cubehelix")[[[0, 128, 100, 255]]].tolist()
    assert to_gray(score_map, e2net).dtype == np.uint8


def align_corners(image, size):
    """Linear between corners that stay, from the definition, a sample at a time, in float64."""
    height, width = image.shape
    result = np.empty((size, size))
    for row, column in np.ndindex(size, size):
        y, x = row * (height - 1) / (size - 1), column * (width - 1) / (size - 1)
        top, left = min(int(y), height - 2), min(int(x), width - 2)
        down, right = y - top, x - left
        window = image[top : top + 2, left : left + 2]
        result[row, column] = np.array((1 - down, down)) @ window @ np.array((1 - right, right))
    return result


@settings(max_examples=10, deadline=None)
@given(height=st.integers(2, 30), width=st.integers(2, 30), size=st.integers(2, 40), seed=st.integers(0, 2**32 - 1))
def test_logits_are_resized_between_their_corners(height, width, size, seed):
    logits = 4 * np.random.default_rng(seed).standard_normal((height, width))
    expected = 1 / (1 + np.exp(-align_corners(logits, size)))
    ours = to_score_map(logits, size, SPOL)
    # The weights are float32: a position of 29 is off by 2e-6, times the steepest slope.
    np.testing.assert_allclose(ours, expected, atol=2e-5)
    corners = ours[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(corners, expected[[0, 0, -1, -1], [0, -1, 0, -1]], rtol=2e-5)


def test_sigmoid_of_the_frames_size():
    logits = np.array([[0.0, -900.0], [900.0, np.log(4)]])
    np.testing.assert_allclose(to_score_map(logits, 2, SPOL), [[0.5, 0], [1, 0.8]], rtol=1e-7)
    assert (to_score_map(np.full((1, 1), 3.0), 5, SPOL) == np.float32(1 / (1 + np.exp(-3)))).all()
    logits[0, 0] = np.nan
    assert not to_score_map(logits, 2, SPOL).any()


@pytest.mark.parametrize("name", ["maxboxacc", "bas", "e2net", "spol"])
def test_protocols_of_scores_stretch_the_sigmoid_of_logits(name):
    logits = 3 * np.random.default_rng(0).standard_normal((9, 9))
    rules = protocols.get(name)
    of_logits = protocols.of_logits(rules)
    if name == "spol":
        assert of_logits is rules
        return
    expected = stretched(1 / (1 + np.exp(-logits)))
    np.testing.assert_allclose(to_score_map(logits, 9, of_logits), expected, rtol=0, atol=3e-7)
