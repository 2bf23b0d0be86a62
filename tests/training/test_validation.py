"""Scores on split val during training, against the evaluator on the host."""

import dataclasses

import pytest
from made_loops import VIEW, kill, made_loop
from made_records import made_picture, write_dataset

from e2wsol.evaluation.maps import NetworkMaps
from e2wsol.evaluation.scoring import Evaluation
from e2wsol.localization import protocols


def evaluated(loop, protocol):
    evaluation = Evaluation(loop.info, VIEW, protocol, NetworkMaps(loop.model), batch=4, threads=1)
    (scorer,) = evaluation.score("val")[0].values()
    return scorer


@pytest.mark.parametrize(
    "name", ["bas", *(pytest.param(name, marks=pytest.mark.slow) for name in ("maxboxacc", "e2net"))]
)
@pytest.mark.parametrize("replicas", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_boxes_of_the_graph_score_as_those_of_the_evaluator(tiny_records, tmp_path, name, replicas):
    rules = protocols.get(name)
    # Over pictures; at a threshold where some boxes of an untrained network hit.
    protocol = dataclasses.replace(rules, average="pictures", default_threshold=0.3)
    strategy = "mirrored" if replicas else "none"
    loop = made_loop(
        tiny_records, tmp_path, strategy=strategy, replicas=replicas, protocol=protocol, validate_localization=True
    )
    scores, expected = loop.validation.scores(), evaluated(loop, protocol)
    expected = expected.score_at("GT-known Loc", 0.5, protocol.default_threshold)
    assert expected.pictures == 9 and 0 < expected.hits < 9
    assert scores["val_gt_known"] == pytest.approx(expected.value, abs=1e-7)
    assert set(scores) == {"val_top1", "val_top5", "val_gt_known"}


def test_classification_alone_unless_asked_for(tiny_records, tmp_path):
    loop = made_loop(tiny_records, tmp_path, protocol=protocols.get("maxboxacc"))
    assert set(loop.validation.scores()) == {"val_top1", "val_top5"}


@pytest.mark.parametrize("dead", [False, True])
def test_classes_of_the_graph_score_as_those_of_the_evaluator(tiny_records, tmp_path, dead):
    """All logits of a dead network are equal: it names one class, and is not right about every picture."""
    loop = made_loop(tiny_records, tmp_path)
    if dead:
        kill(loop)
    top1, _ = evaluated(loop, protocols.get("maxboxacc")).classification()
    assert 0 < top1.hits < 9
    assert loop.validation.scores()["val_top1"] == pytest.approx(top1.value, abs=1e-7)


@pytest.mark.parametrize("localization", [False, True])
def test_pictures_without_any_box(tmp_path, localization):
    """Photos of one's own: tf.data's unbatch ends the process at a tensor of no boxes."""
    pictures = [made_picture(number, number % 3, boxes=()) for number in range(10)]
    records = write_dataset(tmp_path, {split: [pictures] for split in ("train", "val")})
    settings = {"protocol": protocols.get("maxboxacc"), "validate_localization": localization}
    assert set(made_loop(records, tmp_path, **settings).validation.scores()) == {"val_top1", "val_top5"}
