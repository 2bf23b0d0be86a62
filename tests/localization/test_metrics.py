import dataclasses
import json

import numpy as np
import pytest
from contours import reference_best_ious, rough_maps
from hypothesis import given, settings
from hypothesis import strategies as st

from e2wsol.localization import bootstrap, protocols
from e2wsol.localization.boxes import levels_at
from e2wsol.localization.frame import Frame
from e2wsol.localization.metrics import METRICS, OVERLAPS, LocalizationScorer
from e2wsol.localization.pixel_metrics import PixelCounter, pxap
from e2wsol.localization.tally import SIZES, size_of

BAS, E2NET, MAXBOXACC, MAXBOXACCV2 = map(protocols.get, ("bas", "e2net", "maxboxacc", "maxboxaccv2"))
MNPO, SPOL = map(protocols.get, ("mnpo", "spol"))
FRAME = Frame(size=32, resize=32)


def square_map(x0, y0, x1, y1):
    localization_map = np.zeros((32, 32), np.float32)
    localization_map[y0:y1, x0:x1] = 1
    return localization_map


def random_pictures(seed, count):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        start = rng.integers(0, 20, 2)
        yield {
            "localization_map": rng.random((8, 8)).astype(np.float32),
            "boxes": np.concatenate([start, start + rng.integers(4, 40, 2)])[None],
            "image_size": (64, 48),
            "label": rng.integers(4),
            "top5": rng.permutation(8)[:5],
            "mask": rng.choice(np.array([0, 1, 255], np.uint8), (48, 64)),
        }


def filled(seed, count, protocol=E2NET):
    scorer = LocalizationScorer(protocol, FRAME)
    for picture in random_pictures(seed, count):
        scorer.update(**picture)
    return scorer


def test_hits_of_the_three_metrics():
    scorer = LocalizationScorer(E2NET, FRAME, iou_thresholds=(0.5,))
    facts = {"boxes": [[8, 8, 23, 23]], "image_size": (32, 32)}
    good, bad = square_map(8, 8, 23, 23), square_map(0, 0, 4, 4)
    for localization_map, label, top5 in ((good, 3, (3, 1)), (good, 3, (1, 2, 3)), (good, 3, (1, 2)), (bad, 3, (3,))):
        scorer.update(localization_map, label=label, top5=top5, **facts)
    scores = {score.metric: (score.hits, score.pictures) for score in scorer.scores(0.09)}
    assert scores == {"GT-known Loc": (3, 4), "Top-1 Loc": (1, 4), "Top-5 Loc": (2, 4)}
    assert [(score.metric, score.hits) for score in scorer.classification()] == [("Top-1 Cls", 2), ("Top-5 Cls", 3)]


def test_only_the_first_five_classes_count():
    scorer = LocalizationScorer(E2NET, FRAME)
    scorer.update(square_map(2, 2, 9, 9), boxes=[[2, 2, 8, 8]], image_size=(32, 32), label=6, top5=range(10))
    assert scorer.total().classified_hits.tolist() == [0, 0]


def test_any_true_box_counts_for_maxboxacc_the_first_for_e2net():
    boxes = [[20, 20, 30, 30], [2, 2, 9, 9]]
    for protocol, hits in ((MAXBOXACC, 1), (E2NET, 0)):
        scorer = LocalizationScorer(protocol, FRAME)
        scorer.update(square_map(2, 2, 9, 9), boxes=boxes, image_size=(32, 32), label=0, top5=(0,))
        assert scorer.scores(protocol.default_threshold)[0].hits == hits


def test_picture_score_is_what_was_counted():
    scorer = LocalizationScorer(MAXBOXACC, FRAME)
    outcomes = [scorer.update(**picture) for picture in random_pictures(0, 5)]
    np.testing.assert_array_equal(scorer.hits[0], sum(outcome.hits.astype(int) for outcome in outcomes))
    assert outcomes[0].prediction.boxes.shape == (1000, 4)
    assert outcomes[0].prediction.score_map.shape == (32, 32)


def test_picture_without_boxes_or_mask_leaves_those_denominators():
    scorer = LocalizationScorer(E2NET, FRAME)
    outcome = scorer.update(square_map(1, 1, 4, 4), boxes=np.zeros((0, 4)), image_size=(32, 32), label=0, top5=(0,))
    assert (scorer.located, scorer.classified, scorer.pixels.pictures) == (0, 1, 0)
    assert np.isnan(outcome.ious).all() and not outcome.hits.any()
    assert np.isnan(scorer.scores(0.09)[0].value)
    assert np.isnan(pxap(scorer.pixels))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 99), cut=st.integers(0, 6), protocol=st.sampled_from([BAS, E2NET, SPOL]))
def test_merged_scorers_equal_one_run(seed, cut, protocol):
    whole, first, second = filled(seed, 6, protocol), *(LocalizationScorer(protocol, FRAME) for _ in range(2))
    for index, picture in enumerate(random_pictures(seed, 6)):
        (first if index < cut else second).update(**picture)
    first.merge(second)
    np.testing.assert_array_equal(first.overlaps, whole.overlaps)
    assert first.pixel_groups.interval(pxap) == whole.pixel_groups.interval(pxap)
    default = protocol.default_threshold
    for size in (None, *range(len(SIZES))):
        ours, theirs = (one.score_at(METRICS[1], 0.5, default, size=size, interval=True) for one in (first, whole))
        np.testing.assert_equal(dataclasses.asdict(ours), dataclasses.asdict(theirs))
    assert json.dumps(first.curves()) == json.dumps(whole.curves())
    assert first.classification() == whole.classification()
    assert pxap(first.pixels) == pxap(whole.pixels)


@pytest.mark.parametrize("protocol", [BAS, E2NET], ids=["classes", "pictures"])
def test_only_the_same_rules_merge(protocol):
    first = LocalizationScorer(protocol, FRAME)
    with pytest.raises(ValueError, match="same protocol"):
        first.merge(LocalizationScorer(MAXBOXACC, FRAME))
    with pytest.raises(ValueError, match="same protocol"):
        first.merge(LocalizationScorer(protocol, FRAME, thresholds=(0.123,)))


def test_classes_weigh_the_same():
    scorer = LocalizationScorer(BAS, FRAME, iou_thresholds=(0.5,))
    table = [(0, 0.9, (0,)), (0, 0.9, (1, 0)), (0, 0.5, (0,)), (0, 0.2, (2,)), (1, 0.8, (1,)), (2, np.nan, (2,))]
    for label, iou, top5 in table:
        scorer.update_ious(np.full(len(scorer.thresholds), iou), label=label, top5=top5)
    scores = {score.metric: score for score in scorer.scores(0.15)}
    # Half of class 0 and all of class 1; IoU 0.5 is no hit, and class 2 has no picture with a box.
    assert scores["GT-known Loc"].value == 0.75 and scores["GT-known Loc"].average == "classes"
    assert scores["Top-1 Loc"].value == (1 / 4 + 1) / 2 and scores["Top-5 Loc"].value == 0.75
    assert (scores["GT-known Loc"].hits, scores["GT-known Loc"].pictures) == (3, 5)
    assert scorer.max_box_acc(0.5).value == 0.75 and scorer.curves()["gt_known_0.5"] == [0.75] * 101
    assert [score.value for score in scorer.classification()] == [(1 / 2 + 1 + 1) / 3, (3 / 4 + 1 + 1) / 3]


def test_an_average_over_pictures_is_the_share_of_all():
    for picture_wise, class_wise in zip(filled(5, 9).scores(0.09), filled(5, 9, BAS).scores(0.15)):
        assert picture_wise.average == "pictures" and class_wise.average == "classes"
        assert picture_wise.value == picture_wise.hits / picture_wise.pictures == picture_wise.hits / 9


def test_thresholds_are_the_grid_and_what_was_asked_for():
    scorer = LocalizationScorer(E2NET, FRAME, thresholds=(0.075, 0.09))
    assert len(scorer.thresholds) == 102
    assert scorer.thresholds[scorer.index_of(0.075)] == 0.075
    with pytest.raises(ValueError, match="was not scored"):
        scorer.scores(0.0751)


def test_best_is_the_lowest_of_the_best():
    scorer = filled(2, 12)
    for iou in scorer.iou_thresholds:
        known = [
            next(s for s in scorer.scores(t) if s.metric == METRICS[0] and s.iou == iou) for t in scorer.thresholds
        ]
        values = [score.value for score in known]
        assert scorer.best(iou) == scorer.thresholds[values.index(max(values))]
        assert scorer.max_box_acc(iou).value == max(values)
        assert scorer.curves()[f"gt_known_{iou:g}"] == values


def test_pxap_against_sorting_the_pixels():
    """Average precision over all distinct bins, computed from the pixels one by one."""
    rng = np.random.default_rng(3)
    score_map, mask = np.round(rng.random((20, 20)), 2), rng.choice(np.array([0, 1, 255], np.uint8), (20, 20))
    score_map[0, :2] = 1.0
    counter = PixelCounter()
    counter.update(score_map, mask)
    kept = mask != 255
    scores, truth = np.floor(score_map[kept] * 1000 + 1e-9), mask[kept] == 1
    area, recall = 0.0, 0.0
    for edge in sorted(set(scores), reverse=True):
        chosen = scores >= edge
        area += truth[chosen].mean() * (truth[chosen].sum() / truth.sum() - recall)
        recall = truth[chosen].sum() / truth.sum()
    assert counter.object_pixels.sum() + counter.background_pixels.sum() == kept.sum()
    assert pxap(counter) == pytest.approx(area, rel=1e-12)


def test_pxap_of_a_perfect_map_is_one():
    counter = PixelCounter()
    mask = np.zeros((16, 16), np.uint8)
    mask[4:9] = 1
    counter.update(mask.astype(np.float64), mask)
    assert pxap(counter) == 1.0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), levels=st.integers(1, 9), boxes=st.integers(1, 3))
def test_best_of_every_contour_equals_plain_opencv(seed, levels, boxes):
    rng = np.random.default_rng(seed)
    scorer = LocalizationScorer(MAXBOXACCV2, FRAME)
    gray = rough_maps(seed, 2, 32, levels)[0]
    starts = rng.integers(0, 24, (boxes, 2))
    truth = np.concatenate([starts, starts + rng.integers(1, 12, (boxes, 2))], axis=1)
    outcome = scorer.update_boxes(
        scorer.boxes_of_score_map(gray / 255), boxes=truth, image_size=(32, 32), label=0, top5=(0,)
    )
    expected = reference_best_ious(gray, levels_at(gray, scorer.thresholds), truth, empty=(0, 0, 0, 0), clipped=True)
    np.testing.assert_array_equal(outcome.ious, expected)
    assert (outcome.hits == (np.array(expected) >= np.array((0.3, 0.5, 0.7))[:, None])).all()


def test_mean_over_ious_takes_each_at_its_best():
    scorer = filled(8, 9, MAXBOXACCV2)
    best = [scorer.hits[0, k].max() / 9 for k in range(3)]
    assert scorer.mean_max_box_acc() == pytest.approx(np.mean(best), rel=1e-12)


def test_pictures_without_a_mask_of_spol_leave_the_denominator():
    scorer = LocalizationScorer(SPOL, FRAME, thresholds=(0.6,), iou_thresholds=(0.5,))
    facts = {"image_size": (32, 32), "label": 0, "top5": (0,)}
    logits = 4 * square_map(8, 8, 24, 24) - 2  # sigmoid 0.88 inside, 0.12 outside
    scorer.update(logits, boxes=[[8, 8, 24, 24]], **facts)
    scorer.update(logits, boxes=[[0, 0, 4, 4]], **facts)
    scorer.update(np.full((32, 32), -0.1), boxes=[[8, 8, 24, 24]], **facts)  # 0.475 everywhere
    whole, above = scorer.scores(0.2)[0], scorer.scores(0.6)[0]
    assert (whole.hits, whole.pictures, whole.left_out, whole.value) == (1, 3, 0, 1 / 3)
    assert (above.hits, above.pictures, above.left_out, above.value) == (1, 2, 1, 1 / 2)
    counting = LocalizationScorer(dataclasses.replace(SPOL, skip_empty=False), FRAME, iou_thresholds=(0.5,))
    counting.update(np.full((32, 32), -0.1), boxes=[[8, 8, 24, 24]], **facts)
    assert [(score.hits, score.pictures) for score in counting.scores(0.5)[:1]] == [(0, 1)]


def test_best_threshold_does_not_leave_pictures_out():
    """Above 0.9 only one picture has a box, and it hits: that is no better than two hits of three."""
    scorer = LocalizationScorer(SPOL, FRAME, iou_thresholds=(0.5,))
    logits = {0.95: 8, 0.7: 8, 0.5: 0}
    for peak, start in logits.items():
        found = np.where(square_map(8, 8, 24, 24) > 0, np.log(peak / (1 - peak)), -9.0)
        scorer.update(found, boxes=[[start, start, start + 16, start + 16]], image_size=(32, 32), label=0, top5=(0,))
    shares = scorer.shares()[0, 0]
    assert shares[scorer.index_of(0.92)] == 1 and np.isnan(shares[-1])
    assert 0 <= scorer.best(0.5) < 0.7 and scorer.max_box_acc(0.5).value == 2 / 3


def test_best_threshold_of_each_metric():
    """Two pictures that need other thresholds; only one of them is classified rightly."""
    scorer = LocalizationScorer(MNPO, FRAME, iou_thresholds=(0.5,))
    low, high = scorer.thresholds[4], scorer.thresholds[20]
    for right, hit in (
        (True, scorer.thresholds >= high),
        (False, scorer.thresholds <= low),
        (False, np.full(30, True)),
    ):
        scorer.update_ious(np.where(hit, 0.9, 0.1), label=0, top5=(0,) if right else (1,))
    by_metric = [scorer.best(0.5, metric) for metric in METRICS]
    assert by_metric == [scorer.thresholds[0], high, high]
    shared = LocalizationScorer(dataclasses.replace(MNPO, best_by_metric=False), FRAME, iou_thresholds=(0.5,))
    shared.tallies = scorer.tallies
    assert [shared.best(0.5, metric) for metric in METRICS] == [scorer.thresholds[0]] * 3


def test_without_predicted_classes_only_gt_known():
    scorer = LocalizationScorer(E2NET, FRAME)
    for picture in random_pictures(3, 4):
        scorer.update(**(picture | {"top5": None}))
    assert scorer.metrics == METRICS[:1] and {score.metric for score in scorer.scores(0.09)} == {METRICS[0]}
    assert (scorer.located, scorer.classified) == (4, 0)
    assert all(np.isnan(score.value) for score in scorer.classification())
    assert set(scorer.curves()) == {"thresholds", "gt_known_0.3", "gt_known_0.5", "gt_known_0.7"}


def test_sizes_of_objects():
    frame = Frame(size=100, resize=100)
    for side, name in ((30, "small"), (32, "medium"), (63, "medium"), (64, "large"), (400, "large")):
        boxes = np.array([[0, 0, side, side], [-90, -90, 5, 5]], np.float64)
        assert SIZES[size_of(boxes, frame)] == name
    assert size_of(np.zeros((0, 4)), frame) is None
    assert size_of(np.array([[120.0, 0, 90, 50]]), frame) == 0


@pytest.mark.parametrize("protocol", [BAS, MAXBOXACC, SPOL], ids=["classes", "pictures", "skipping"])
def test_scores_by_size_from_the_pictures(protocol):
    scorer, rows = LocalizationScorer(protocol, FRAME), []
    for number, picture in enumerate(random_pictures(6, 30), start=1):
        outcome = scorer.update(**(picture | {"boxes": [[0, 0, 2 * number, 1.5 * number]]}))
        rows.append((outcome.size, outcome.label, outcome.hits[1], outcome.prediction.empty, outcome.ious))
    column = scorer.index_of(protocol.default_threshold)
    assert len({size for size, *_ in rows}) == 3
    for wanted in range(3):
        kept = [row for row in rows if row[0] == wanted and not (protocol.skip_empty and row[3][column])]
        groups = {label if protocol.average == "classes" else 0 for _, label, *_ in kept}
        shares = [
            np.mean([row[2][column] for row in kept if protocol.average != "classes" or row[1] == group])
            for group in groups
        ]
        score = scorer.score_at(METRICS[0], 0.5, protocol.default_threshold, size=wanted)
        assert score.value == pytest.approx(np.mean(shares), rel=1e-12) and score.pictures == len(kept)
    at = np.array([row[4][column] for row in rows if not (protocol.skip_empty and row[3][column])])
    assert scorer.overlaps[column].tolist() == np.histogram(at, [*OVERLAPS, 1.0])[0].tolist()


def test_interval_of_a_score():
    scorer = LocalizationScorer(E2NET, FRAME, iou_thresholds=(0.5,))
    for number in range(40):
        scorer.update_ious(np.full(len(scorer.thresholds), 0.2 if number % 4 else 0.8), label=0, top5=(0,))
    score = scorer.score_at(METRICS[0], 0.5, 0.09, interval=True)
    draws = np.random.default_rng(3).binomial(40, 0.25, 20000) / 40
    np.testing.assert_allclose(score.interval, np.quantile(draws, (0.025, 0.975)), atol=0.026)
    assert scorer.scores(0.09)[0].interval is None


def sizes_in_bytes(scorer):
    arrays = [scorer.overlaps, scorer.pixel_groups.histograms, scorer.pixels.object_pixels, scorer.thresholds]
    for tally in scorer.tallies.values():
        arrays += [value for value in vars(tally).values() if isinstance(value, np.ndarray)]
    return sum(array.nbytes for array in arrays)


@pytest.mark.parametrize("protocol", [BAS, MAXBOXACCV2], ids=["classes", "pictures"])
def test_memory_does_not_grow_with_the_pictures(protocol):
    """All that a scorer holds, after its groups were met once, has a fixed size."""
    scorer, held = LocalizationScorer(protocol, FRAME), []
    for _ in range(4):
        for label in range(8):
            for size in (*range(3), None):
                ious = np.full(len(scorer.thresholds), np.nan if size is None else 0.6)
                scorer.update_ious(ious, label=label, top5=(label,), size=size)
        scorer.pixel_groups.update(picture_counter())
        held.append((sizes_in_bytes(scorer), len(scorer.tallies), set(vars(scorer))))
    assert held[0] == held[-1] and scorer.classified == 4 * 8 * 4
    assert len(scorer.tallies) == (8 * 4 if protocol is BAS else 4)
    assert held[0][0] < 5e6
    assert all(isinstance(value, int) for value in (scorer.pixels.pictures, scorer.pixel_groups.pictures))


def picture_counter():
    counter = PixelCounter()
    counter.update(np.full((4, 4), 0.5), np.eye(4, dtype=np.uint8))
    return counter


def test_an_outcome_alone_counts_nothing():
    scorer = LocalizationScorer(E2NET, FRAME)
    picture = next(random_pictures(0, 1))
    localization_map = picture.pop("localization_map")
    outcome = scorer.score_boxes(scorer.boxes_of_map(localization_map), **picture)
    assert not scorer.tallies and not scorer.pixels.pictures
    scorer.update_scores(outcome)
    whole = LocalizationScorer(E2NET, FRAME)
    whole.update(localization_map, **picture)
    np.testing.assert_array_equal(scorer.hits, whole.hits)
    assert pxap(scorer.pixels) == pxap(whole.pixels) and bootstrap.describe()["level"] == 0.95
