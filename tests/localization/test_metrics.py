import json

import numpy as np
import pytest

from e2wsol.localization import protocols
from e2wsol.localization.frame import Frame
from e2wsol.localization.metrics import METRICS, LocalizationScorer
from e2wsol.localization.pxap import PixelCounter

BAS, E2NET, MAXBOXACC = map(protocols.get, ("bas", "e2net", "maxboxacc"))
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
        scorer.add(**picture)
    return scorer


def test_hits_of_the_three_metrics():
    scorer = LocalizationScorer(E2NET, FRAME, iou_thresholds=(0.5,))
    facts = {"boxes": [[8, 8, 23, 23]], "image_size": (32, 32)}
    good, bad = square_map(8, 8, 23, 23), square_map(0, 0, 4, 4)
    for localization_map, label, top5 in ((good, 3, (3, 1)), (good, 3, (1, 2, 3)), (good, 3, (1, 2)), (bad, 3, (3,))):
        scorer.add(localization_map, label=label, top5=top5, **facts)
    scores = {score.metric: (score.hits, score.pictures) for score in scorer.scores(0.09)}
    assert scores == {"GT-known Loc": (3, 4), "Top-1 Loc": (1, 4), "Top-5 Loc": (2, 4)}
    assert [(score.metric, score.hits) for score in scorer.classification()] == [("Top-1 Cls", 2), ("Top-5 Cls", 3)]


def test_only_the_first_five_classes_count():
    scorer = LocalizationScorer(E2NET, FRAME)
    scorer.add(square_map(2, 2, 9, 9), boxes=[[2, 2, 8, 8]], image_size=(32, 32), label=6, top5=range(10))
    assert scorer.total().classified_hits.tolist() == [0, 0]


def test_any_true_box_counts_for_maxboxacc_the_first_for_e2net():
    boxes = [[20, 20, 30, 30], [2, 2, 9, 9]]
    for protocol, hits in ((MAXBOXACC, 1), (E2NET, 0)):
        scorer = LocalizationScorer(protocol, FRAME)
        scorer.add(square_map(2, 2, 9, 9), boxes=boxes, image_size=(32, 32), label=0, top5=(0,))
        assert scorer.scores(protocol.default_threshold)[0].hits == hits


def test_picture_score_is_what_was_counted():
    scorer = LocalizationScorer(MAXBOXACC, FRAME)
    outcomes = [scorer.add(**picture) for picture in random_pictures(0, 5)]
    np.testing.assert_array_equal(scorer.hits[0], sum(outcome.hits.astype(int) for outcome in outcomes))
    assert outcomes[0].prediction.boxes.shape == (1000, 4)
    assert outcomes[0].prediction.score_map.shape == (32, 32)


def test_picture_without_boxes_or_mask_leaves_those_denominators():
    scorer = LocalizationScorer(E2NET, FRAME)
    outcome = scorer.add(square_map(1, 1, 4, 4), boxes=np.zeros((0, 4)), image_size=(32, 32), label=0, top5=(0,))
    assert (scorer.located, scorer.classified, scorer.pixels.pictures) == (0, 1, 0)
    assert np.isnan(outcome.ious).all() and not outcome.hits.any()
    assert np.isnan(scorer.scores(0.09)[0].value)
    assert np.isnan(scorer.pixels.value())


@pytest.mark.parametrize("protocol", [BAS, E2NET], ids=["classes", "pictures"])
def test_merged_scorers_equal_one_run(protocol):
    whole, first, second = filled(1, 7, protocol), *(LocalizationScorer(protocol, FRAME) for _ in range(2))
    for index, picture in enumerate(random_pictures(1, 7)):
        (first if index < 3 else second).add(**picture)
    first.merge(second)
    assert json.dumps(first.curves()) == json.dumps(whole.curves())
    assert first.classification() == whole.classification()
    assert first.pixels.value() == whole.pixels.value()
    with pytest.raises(ValueError, match="same protocol"):
        first.merge(LocalizationScorer(MAXBOXACC, FRAME))
    with pytest.raises(ValueError, match="same protocol"):
        first.merge(LocalizationScorer(protocol, FRAME, thresholds=(0.123,)))


def test_classes_weigh_the_same():
    scorer = LocalizationScorer(BAS, FRAME, iou_thresholds=(0.5,))
    table = [(0, 0.9, (0,)), (0, 0.9, (1, 0)), (0, 0.5, (0,)), (0, 0.2, (2,)), (1, 0.8, (1,)), (2, np.nan, (2,))]
    for label, iou, top5 in table:
        scorer.count(np.full(len(scorer.thresholds), iou), label=label, top5=top5)
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
    counter.add(score_map, mask)
    kept = mask != 255
    scores, truth = np.floor(score_map[kept] * 1000 + 1e-9), mask[kept] == 1
    area, recall = 0.0, 0.0
    for edge in sorted(set(scores), reverse=True):
        chosen = scores >= edge
        area += truth[chosen].mean() * (truth[chosen].sum() / truth.sum() - recall)
        recall = truth[chosen].sum() / truth.sum()
    assert counter.object_pixels.sum() + counter.background_pixels.sum() == kept.sum()
    assert counter.value() == pytest.approx(area, rel=1e-12)


def test_pxap_of_a_perfect_map_is_one():
    counter = PixelCounter()
    mask = np.zeros((16, 16), np.uint8)
    mask[4:9] = 1
    counter.add(mask.astype(np.float64), mask)
    assert counter.value() == 1.0
