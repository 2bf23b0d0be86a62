import numpy as np
import pytest

from e2wsol.visualize.gallery import OUTCOMES, outcome, outcomes

TRUE = [[20, 20, 60, 60], [-1, -1, -1, -1]]


def found(box, true=TRUE, **facts):
    return outcome(np.array(box), np.array(true), **{"hit": False, "label": 1, "prediction": 1} | facts)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "hit"),
        ({"prediction": 2}, "wrong-class"),
        ({"prediction": -1}, "hit"),
        ({"label": 0, "prediction": 0}, "hit"),
    ],
)
def test_a_hit_is_the_evaluators_and_the_class_decides(facts, expected):
    assert found([0, 0, 1, 1], hit=True, **facts) == expected


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([30, 30, 40, 40], "too-small"),
        ([18, 30, 24, 40], "too-small"),  # two thirds of it inside
        ([17, 30, 23, 40], "elsewhere"),  # half of it
        ([0, 0, 96, 96], "too-big"),
        ([33, 0, 133, 96], "too-big"),  # holds two thirds of the true box
        ([34, 0, 134, 96], "elsewhere"),
        ([70, 70, 90, 90], "elsewhere"),
        ([60, 20, 99, 60], "elsewhere"),  # touches it
        ([40, 20, 80, 60], "elsewhere"),  # as large, and shares a half
        ([30, 30, 30, 30], "elsewhere"),  # no area
        ([-1, -1, -1, -1], "elsewhere"),
    ],
)
def test_misses_by_what_the_boxes_share(box, expected):
    assert found(box) == expected
    assert found(box, prediction=2) == expected


def test_the_true_box_of_the_highest_iou_counts():
    large = [0, 0, 200, 200]
    assert found([30, 30, 40, 40], [large]) == "too-small"
    assert found([0, 0, 90, 90], [large, *TRUE]) == "too-small"
    assert found([10, 10, 90, 90], [[100, 100, 200, 200], *TRUE]) == "too-big"


def test_a_box_of_the_true_size_that_misses_is_elsewhere():
    # Moved by less than a third of its side it would have an IoU of 0.5.
    outcomes_by_move = {move: found([20 + move, 20, 60 + move, 60]) for move in range(14, 41)}
    assert set(outcomes_by_move.values()) == {"elsewhere"}


def test_without_a_true_box_nothing_is_judged():
    assert found([0, 0, 9, 9], np.zeros((0, 4))) == found([0, 0, 9, 9], TRUE[1:]) == "no-true-box"


def test_every_outcome_has_a_name_and_a_rule():
    samples = {
        "predicted_boxes": np.array([[0, 0, 96, 96], [20, 20, 60, 60]]),
        "true_boxes": np.array([TRUE, TRUE]),
        "hits": np.array([False, True]),
        "labels": np.array([0, 1]),
        "predictions": np.array([0, 0]),
    }
    assert outcomes(samples) == ["too-big", "wrong-class"]
    assert set(outcomes(samples)) < set(OUTCOMES)
