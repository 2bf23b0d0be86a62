import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from e2wsol.localization.pixel_metrics import EDGES, PixelCounter


def assert_equals_numpy(scores, labels):
    counter = PixelCounter()
    counter.update(scores, labels)
    np.testing.assert_array_equal(counter.object_pixels, np.histogram(scores[labels == 1], EDGES)[0])
    np.testing.assert_array_equal(counter.background_pixels, np.histogram(scores[labels == 0], EDGES)[0])


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scores=arrays.arrays(np.float64, 30, elements=st.floats(-1, 4)))
@example(seed=0, scores=np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324, -5e-324]))
def test_bins_are_numpys(seed, scores):
    labels = np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), scores.shape)
    assert_equals_numpy(scores, labels)


def test_edges_and_their_neighbours():
    scores = np.concatenate([EDGES, np.nextafter(EDGES, -1), np.nextafter(EDGES, 4), np.arange(1001) / 1000])
    for label in (0, 1):
        assert_equals_numpy(scores, np.full(scores.shape, label, np.uint8))


def test_a_map_and_a_mask_that_lie_otherwise_in_memory():
    rng = np.random.default_rng(0)
    scores = rng.random((12, 18))[::2, ::3].T
    assert_equals_numpy(scores, rng.choice(np.array([0, 1, 255], np.uint8), (12, 6))[::2])
