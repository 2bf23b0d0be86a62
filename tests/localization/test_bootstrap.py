import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2wsol.localization import bootstrap
from e2wsol.localization.pixel_metrics import EDGES, PixelCounter, piou, piou_threshold, pixel_ious, pxap
from e2wsol.localization.tally import Cells, mean_share


def brute_force(outcomes, figure, draws=4000):
    """Percentiles of figure(resampled pictures), resampling the pictures themselves."""
    rng = np.random.default_rng(11)
    values = [figure(outcomes[rng.integers(0, len(outcomes), len(outcomes))]) for _ in range(draws)]
    return np.nanquantile(values, (0.025, 0.975))


def cells(outcomes):
    """(n, 2) of class and outcome (1 hit, 0 miss, -1 left out) as Cells."""
    classes = np.unique(outcomes[:, 0])
    hits = [np.count_nonzero((outcomes == (one, 1)).all(1)) for one in classes]
    counted = [np.count_nonzero((outcomes[:, 0] == one) & (outcomes[:, 1] >= 0)) for one in classes]
    return Cells(np.array(hits), np.array(counted), int(np.count_nonzero(outcomes[:, 1] < 0)))


def class_mean(outcomes):
    kept = outcomes[outcomes[:, 1] >= 0]
    return np.mean([kept[kept[:, 0] == one, 1].mean() for one in np.unique(kept[:, 0])])


@pytest.mark.parametrize("classes", [1, 5])
@pytest.mark.parametrize("outside", [0.0, 0.2])
def test_interval_of_a_share_is_that_of_resampled_pictures(classes, outside):
    rng = np.random.default_rng(classes)
    hit = np.where(rng.random(150) < outside, -1, rng.random(150) < 0.7)
    outcomes = np.stack([rng.integers(0, classes, 150), hit.astype(int)], axis=1)
    assert cells(outcomes).value == pytest.approx(class_mean(outcomes), rel=1e-12)
    low, high = bootstrap.share_interval(cells(outcomes))
    assert low < cells(outcomes).value < high
    np.testing.assert_allclose((low, high), brute_force(outcomes, class_mean), atol=0.012)


def test_interval_of_nothing_and_of_sure_things():
    assert np.isnan(bootstrap.share_interval(Cells(np.zeros(2, int), np.zeros(2, int), 3))).all()
    assert np.isnan(bootstrap.share_interval(Cells(np.zeros(0, int), np.zeros(0, int), 0))).all()
    assert bootstrap.share_interval(Cells(np.array([4]), np.array([4]), 0)) == (1, 1)
    assert bootstrap.share_interval(Cells(np.array([0]), np.array([9]), 0)) == (0, 0)


def test_intervals_repeat_and_shrink_with_more_pictures():
    few, many = (Cells(np.array([7 * scale]), np.array([10 * scale]), 0) for scale in (1, 100))
    assert bootstrap.share_interval(few) == bootstrap.share_interval(few)
    widths = [np.diff(bootstrap.share_interval(one))[0] for one in (few, many)]
    # The normal approximation's width, 2 * 1.96 * sqrt(p (1 - p) / n).
    assert widths[1] == pytest.approx(2 * 1.96 * np.sqrt(0.21 / 1000), rel=0.1) and widths[0] > 5 * widths[1]


def test_interval_of_a_mean_is_at_least_as_wide_as_the_true_one():
    rng = np.random.default_rng(4)
    quality = rng.random(200)
    outcomes = np.stack([quality > 0.3, quality + 0.2 * rng.random(200) > 0.6, quality > 0.9], axis=1)
    parts = [bootstrap.share_interval(Cells(np.array([one.sum()]), np.array([200]), 0)) for one in outcomes.T]
    low, high = bootstrap.mean_interval(parts)
    true = brute_force(outcomes, lambda some: some.mean())
    assert low <= true[0] + 0.01 and high >= true[1] - 0.01
    assert high - low < 1.6 * (true[1] - true[0])


def picture(rng, skill):
    """PixelCounter of one map of 10x10 scores, better the more of `skill` is in it."""
    mask = (rng.random((10, 10)) < rng.uniform(0.1, 0.6)).astype(np.uint8)
    counter = PixelCounter()
    counter.update(np.clip((1 - skill) * rng.random((10, 10)) + skill * mask, 0, 1), mask)
    return counter


def summed(counters):
    total = PixelCounter()
    for counter in counters:
        total.merge(counter)
    return total


@pytest.mark.parametrize("figure", [pxap, piou])
def test_interval_of_pixel_figures_is_that_of_resampled_pictures(figure):
    rng = np.random.default_rng(0)
    counters = np.array([picture(rng, skill) for skill in rng.uniform(0, 0.5, 60)])
    groups = bootstrap.PixelGroups()
    for counter in counters:
        groups.update(counter)
    low, high = groups.interval(figure)
    assert low < figure(summed(counters)) < high
    np.testing.assert_allclose((low, high), brute_force(counters, lambda some: figure(summed(some)), 800), atol=0.01)


def test_more_pictures_than_groups(monkeypatch):
    """Groups of three pictures each still give about the interval of resampled pictures."""
    monkeypatch.setattr(bootstrap, "GROUPS", 40)
    rng = np.random.default_rng(1)
    counters = np.array([picture(rng, skill) for skill in rng.uniform(0, 0.5, 120)])
    groups = bootstrap.PixelGroups()
    for counter in counters:
        groups.update(counter)
    assert groups.histograms.shape[0] == 40 and groups.histograms.sum() == 120 * 100
    expected = brute_force(counters, lambda some: pxap(summed(some)), 500)
    np.testing.assert_allclose(np.diff(groups.interval(pxap)), np.diff(expected), rtol=0.35)


@settings(max_examples=15, deadline=None)
@given(first=st.integers(0, 7), second=st.integers(0, 7), seed=st.integers(0, 99))
def test_merged_groups_equal_one_run(first, second, seed):
    counters = [picture(np.random.default_rng((seed, number)), 0.3) for number in range(first + second)]
    whole, one, other = (bootstrap.PixelGroups() for _ in range(3))
    for number, counter in enumerate(counters):
        whole.update(counter)
        (one if number < first else other).update(counter)
    one.merge(other)
    np.testing.assert_array_equal(one.histograms, whole.histograms)
    assert one.pictures == whole.pictures
    np.testing.assert_array_equal(one.interval(pxap), whole.interval(pxap))


@given(st.data())
def test_mean_share_a_group_at_a_time(data):
    counts = data.draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=6))
    hits = np.array([min(pair) for pair in counts], np.int64)
    counted = np.array([max(pair) for pair in counts], np.int64)
    shares = [hit / count for hit, count in zip(hits, counted) if count]
    found = mean_share(hits, counted)
    assert found == pytest.approx(np.mean(shares), rel=1e-12) if shares else np.isnan(found)


def test_piou_from_the_pixels():
    """The peak IoU, with a binary mask made and counted at every edge."""
    rng = np.random.default_rng(5)
    score_map = np.round(rng.random((24, 24)) ** 2, 3)
    mask = np.where(score_map + rng.normal(0, 0.2, score_map.shape) > 0.4, 1, 0).astype(np.uint8)
    mask[:3] = 255
    counter = PixelCounter()
    counter.update(score_map, mask)
    kept = mask != 255
    expected = []
    for edge in EDGES[:-1]:
        chosen, truth = score_map[kept] >= edge, mask[kept] == 1
        expected.append((chosen & truth).sum() / (chosen | truth).sum())
    np.testing.assert_allclose(pixel_ious(counter), expected, rtol=1e-12)
    assert piou(counter) == max(expected) and piou_threshold(counter) == EDGES[np.argmax(expected)]


def test_piou_of_a_perfect_map_and_of_no_object():
    counter, mask = PixelCounter(), np.zeros((8, 8), np.uint8)
    counter.update(np.zeros((8, 8)), mask)
    assert np.isnan(piou(counter)) and np.isnan(pxap(counter))
    mask[2:5] = 1
    counter = PixelCounter()
    counter.update(mask.astype(float), mask)
    assert piou(counter) == 1 and piou_threshold(counter) == EDGES[1]
