import json

import numpy as np
import pytest

from e2wsol.evaluation.results import all_thresholds, best_thresholds, summarize
from e2wsol.localization import protocols
from e2wsol.localization.baselines import Baselines
from e2wsol.localization.frame import Frame
from e2wsol.localization.metrics import LocalizationScorer
from e2wsol.localization.pixel_metrics import pxap

FRAME = Frame(size=24, resize=24)


def scored(protocol, *, boxes, count=6, thresholds=()):
    scorer, baselines = (kind(protocol, FRAME, thresholds=thresholds) for kind in (LocalizationScorer, Baselines))
    rng = np.random.default_rng(0)
    for number in range(count):
        start = rng.integers(0, 10, 2)
        facts = {
            "image_size": (24, 24),
            "label": number % 3,
            "top5": (number % 2, 2),
            "mask": np.eye(24, dtype=np.uint8),
        }
        facts["boxes"] = np.concatenate([start, start + rng.integers(3, 14, 2)])[None] if boxes else np.zeros((0, 4))
        scorer.update(rng.random((6, 6)), **facts)
        baselines.update(**facts)
    return scorer, baselines


@pytest.mark.parametrize("name", protocols.names())
def test_every_figure_is_plain_json(name):
    validation = best_thresholds("mine", *scored(protocols.get(name), boxes=True, count=4))
    scorer, baselines = scored(protocols.get(name), boxes=True, thresholds=all_thresholds(validation))
    found = json.loads(json.dumps(summarize("mine", scorer, baselines, validation), allow_nan=False))
    assert len(found["scores"]) == 3 * 3 * 3 * 3 and len(found["sizes"]["scores"]) == 3 * 3 * 3 * 3
    for score in found["scores"]:
        other = baselines.scorers.get(score["localizer"], scorer).score_at(
            score["metric"], score["iou"], score["threshold"]
        )
        assert (score["hits"], score["pictures"], score["left_out"]) == (other.hits, other.pictures, other.left_out)
    assert 0 <= found["max_box_acc"]["mine"]["mean"] == scorer.mean_max_box_acc()
    assert found["pxap"]["mine"] == pxap(scorer.pixels) <= 1


def test_pictures_with_masks_alone():
    """As the benchmark's data for PxAP: nothing to count hits on, and no NaN in the file."""
    found = summarize("mine", *scored(protocols.get("pxap"), boxes=False), None)
    json.dumps(found, allow_nan=False)
    assert {score["value"] for score in found["scores"]} == {None}
    assert {score["pictures"] for score in found["scores"]} == {0}
    assert found["max_box_acc"]["mine"]["mean"] is None and found["thresholds"]["validation"] is None
    low, high = found["pixel_intervals"]["mine"]["pxap"]
    assert low <= found["pxap"]["mine"] <= high
