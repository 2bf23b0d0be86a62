"""outcomes.npz: every picture's outcome, from which the scores follow."""

import types

import numpy as np
import pytest

from e2wsol.errors import UserError
from e2wsol.evaluation import outcomes
from e2wsol.localization import protocols
from e2wsol.localization.frame import Frame
from e2wsol.localization.metrics import LocalizationScorer

CHOSEN = {0.3: 0.2, 0.5: 0.35, 0.7: 0.5}


@pytest.fixture
def noted():
    """(scorer, Outcomes) of thirty made-up pictures, three of them without a true box."""
    rng = np.random.default_rng(5)
    scorer = LocalizationScorer(protocols.get("maxboxacc"), Frame(resize=32, size=32), thresholds=CHOSEN.values())
    keeper = outcomes.OutcomeKeeper(CHOSEN)
    for number in range(30):
        low, sides = rng.uniform(0, 12, 2), rng.uniform(8, 20, 2)
        found = scorer.update(
            rng.random((4, 4)),
            boxes=np.array([[*low, *(low + sides)]])[: number % 10 != 9],
            image_size=(32, 32),
            label=int(rng.integers(8)),
            top5=rng.permutation(8)[:5],
            mask=(rng.random((32, 32)) < 0.3).astype(np.uint8),
        )
        keeper.update(types.SimpleNamespace(source_id=f"p{number}"), found, scorer)
    return scorer, keeper.outcomes(scorer)


def test_scores_follow_from_the_outcomes(noted):
    """GT-known, Top-1 and Top-5 Loc and the accuracies, counted again picture by picture."""
    scorer, found = noted
    located = ~np.isnan(found.ious).any(axis=1)
    assert located.sum() == 27 and found.ids.tolist() == [f"p{number}" for number in range(30)]
    for k, (iou, threshold) in enumerate(CHOSEN.items()):
        np.testing.assert_array_equal(found.hits[:, k], np.nan_to_num(found.ious[:, k]) >= iou)
        for metric, within in (("GT-known Loc", 6), ("Top-1 Loc", 1), ("Top-5 Loc", 5)):
            share = np.mean((found.hits[:, k] & (found.ranks < within))[located])
            assert share == pytest.approx(scorer.score_at(metric, iou, threshold).value, abs=1e-12)
    top1, top5 = scorer.classification()
    assert np.mean(found.ranks == 0) == pytest.approx(top1.value) and np.mean(found.ranks < 5) == pytest.approx(
        top5.value
    )
    np.testing.assert_array_equal(found.pixel_histograms.sum(axis=0)[0], scorer.pixels.object_pixels)
    assert len(found.pixel_histograms) == 30


def test_the_file_holds_what_was_noted(noted, tmp_path):
    """Saved and loaded again it is the same; anything else in its place is named."""
    file = tmp_path / outcomes.FILE_NAME
    with pytest.raises(UserError, match=r"outcomes.npz: does not exist; python -m e2wsol.evaluate writes it"):
        outcomes.load(file)
    noted[1].save(file)
    loaded = outcomes.load(file)
    for name in ("ids", "labels", "ranks", "iou_thresholds", "thresholds", "ious", "hits", "pixel_histograms"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(noted[1], name))
    np.savez(file, ids=np.zeros(2))
    with pytest.raises(UserError, match="no outcomes of python"):
        outcomes.load(file)
    file.write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(UserError, match="no outcomes"):
        outcomes.load(file)
