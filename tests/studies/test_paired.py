"""The paired bootstrap against resampled indices, the binomial distribution and itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2wsol.localization.bootstrap import percentiles
from e2wsol.localization.pixel_metrics import EDGES
from e2wsol.studies import paired

BINS = len(EDGES) - 1


@pytest.fixture
def few(monkeypatch):
    """Few draws, for what is compared draw by draw."""
    monkeypatch.setattr(paired, "DRAWS", 40)
    monkeypatch.setattr(paired, "PIXEL_DRAWS", 7)


def drawn_indices(pictures, draws):
    """The pictures of each draw, one by one, as often as the weights say."""
    counts = np.concatenate(list(paired.weights(pictures, draws)))
    assert counts.shape == (draws, pictures) and (counts.sum(axis=1) == pictures).all()
    return [np.repeat(np.arange(pictures), each) for each in counts]


def histograms(seed, seeds=2, groups=5):
    return np.random.default_rng(seed).integers(0, 50, (seeds, groups, 2, BINS))


def plain_pxap(pixels):
    """The area under precision over recall, edge by edge from the highest."""
    objects, background = pixels
    area, found, false, before = 0.0, 0, 0, None
    for bin_ in reversed(range(BINS)):
        found, false = found + int(objects[bin_]), false + int(background[bin_])
        recall = found / int(objects.sum())
        if before is not None and found + false:
            area += found / (found + false) * (recall - before)
        before = recall
    return area


def test_means_are_those_of_the_drawn_pictures(few):
    values = np.random.default_rng(1).random((3, 11))
    found = paired.mean_draws(values)
    expected = [[row[each].mean() for each in drawn_indices(11, 40)] for row in values]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert len(np.unique(found[0])) > 30


def test_pxap_is_that_of_the_drawn_groups_summed(few):
    pixels = histograms(2)
    expected = [np.mean([plain_pxap(of_seed[each].sum(axis=0)) for of_seed in pixels]) for each in drawn_indices(5, 7)]
    np.testing.assert_allclose(paired.pxap_draws(pixels), expected, rtol=0, atol=1e-12)


def test_pixels_beyond_the_exact_integers_of_float32(few):
    """ImageNet's 50000 pictures of 224 x 224 pixels are 2.5e9 of them."""
    pixels = np.full((1, 2, 2, BINS), 2**31 + 1)
    pixels[0, 1, 0, :500] = 0
    expected = [plain_pxap(pixels[0][each].sum(axis=0)) for each in drawn_indices(2, 7)]
    np.testing.assert_allclose(paired.pxap_draws(pixels), expected, rtol=1e-14)


def test_an_interval_is_the_binomial_one():
    """Of many independent pictures; one in five is a hit."""
    pictures = 400
    hits = np.arange(pictures) % 5 == 0
    (draws,) = paired.mean_draws([hits])
    deviation = np.sqrt(0.2 * 0.8 / pictures)
    assert draws.shape == (10_000,)
    assert draws.mean() == pytest.approx(0.2, abs=4 * deviation / 100)
    np.testing.assert_allclose(percentiles(draws), 0.2 + deviation * np.array([-1.96, 1.96]), atol=deviation / 8)


def test_rows_are_drawn_together():
    """Equal rows never differ; their own intervals, taken apart, would."""
    hits = np.arange(60) % 3 == 0
    better = hits.copy()
    better[[1, 2, 4, 5, 7, 8]] = True
    same, again, above = paired.mean_draws([hits, hits, better])
    assert not (same - again).any() and paired.p_value(same - again) == 1
    assert percentiles(same - again) == (0, 0)
    gain = above - same
    assert (gain >= 0).all() and percentiles(gain)[0] > 0
    assert percentiles(above)[0] < percentiles(same)[1]
    np.testing.assert_array_equal(paired.mean_draws([better])[0], above)


def test_one_picture_more_is_no_significant_gain():
    """It is missed in 1 of e draws: the difference is 0 there, so two-sided p is 2 / e."""
    one = np.zeros(50)
    one[17] = 1
    zero, drawn = paired.mean_draws([np.zeros(50), one])
    assert paired.p_value(drawn - zero) == pytest.approx(2 * (1 - 1 / 50) ** 50, abs=0.03)
    assert percentiles(drawn - zero)[0] == 0


@pytest.mark.parametrize(
    ("draws", "expected"),
    [
        (np.ones(999), 2 / 1000),
        (-np.ones(999), 2 / 1000),
        (np.zeros(999), 1),
        (np.repeat([-1.0, 1.0], [24, 975]), 2 * 25 / 1000),
        (np.repeat([-1.0, 0.0, 1.0], [10, 14, 975]), 2 * 25 / 1000),
        (np.repeat([-1.0, 1.0], [500, 499]), 1),
    ],
)
def test_p_values(draws, expected):
    assert paired.p_value(draws) == pytest.approx(expected, abs=1e-12)


def test_ties_of_three_seeds_are_ties():
    """Counted in whole numbers of hits; floating point misses one tie in three."""
    hits = np.random.default_rng(3).integers(0, 4, (2, 12))
    exact = [int(gain) for counts in paired.weights(12, paired.DRAWS) for gain in counts @ (hits[0] - hits[1])]
    drawn = paired.differences(*paired.mean_draws(hits / 3))
    assert np.count_nonzero(drawn == 0) == exact.count(0) > 500
    assert paired.p_value(drawn) == paired.p_value(np.array(exact))


@settings(max_examples=10, deadline=None)
@given(
    pictures=st.integers(1, 40),
    draws=st.integers(1, 60),
    room=st.integers(1, 500),
)
def test_draws_do_not_depend_on_how_many_are_in_memory(pictures, draws, room):
    whole = np.concatenate(list(paired.weights(pictures, draws)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paired, "_ROOM", room)
        parts = list(paired.weights(pictures, draws))
    assert len(parts) == -(-draws // max(1, room // pictures))
    np.testing.assert_array_equal(np.concatenate(parts), whole)
