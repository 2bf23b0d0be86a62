"""study.json from made-up results, against plain NumPy."""

import json
import shutil

import made_plans
import made_results
import numpy as np
import pytest

from e2wsol.errors import UserError
from e2wsol.studies import paired
from e2wsol.studies.papers import MARGIN, Claim
from e2wsol.studies.scores import BY_KEY
from e2wsol.studies.summary import Summary

pytestmark = pytest.mark.usefixtures("few_draws")


def located(outcomes, within=9):
    """(54,) share of the seeds whose box of the picture hits at IoU 0.5, by what is noted of it."""
    each = [one.hits[:, 1] & (one.ranks < within) & ~np.isnan(one.ious[:, 1]) for one in outcomes]
    return np.mean(each, axis=0)[made_results.WITHOUT_BOX :]


def entries(document, part="rows"):
    return {entry["entry"]: entry for entry in document[part]}


def test_means_and_deviations(made, document):
    _, found = made
    rows = entries(document)
    for name, outcomes in found.items():
        score = rows[name]["scores"]["gt_known_0.5"]
        by_seed = [located([one]).mean() for one in outcomes]
        assert score["by_seed"] == pytest.approx(by_seed, abs=1e-12)
        assert score["mean"] == pytest.approx(sum(by_seed) / len(by_seed), abs=1e-12)
        deviation = score["deviation"]
        assert deviation is None if name == "adl" else deviation == pytest.approx(np.std(by_seed, ddof=1), abs=1e-12)
        assert score["interval"][0] < score["mean"] < score["interval"][1]
        best = rows[name]["scores"]["gt_known_0.5_best"]
        assert best["mean"] == pytest.approx(score["mean"] + 2 / 54, abs=1e-12) and best["interval"] is None
    assert rows["cam"]["seconds"] == 31.5 and rows["adl"]["seeds"] == [0] and rows["cam"]["seeds"] == [0, 3]
    assert rows["dgl"]["of"] == "cam" and rows["dgl"]["layer"] == "block10" and rows["cam"]["layer"] is None


def test_differences_by_seed_pair_the_seeds_that_both_have(made, document):
    """ADL has seed 0 alone, CAM and DGL have 0 and 3."""
    _, found = made
    rows = entries(document)
    for name, count in (("adl", 1), ("dgl", 2)):
        pairs = zip(found[name], found["cam"][:count], strict=True)
        expected = [located([ours]).mean() - located([theirs]).mean() for ours, theirs in pairs]
        assert rows[name]["against_cam"]["gt_known_0.5"]["by_seed"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("key", "within"), [("gt_known_0.5", 9), ("top1_loc_0.5", 1), ("top5_loc_0.5", 5)])
def test_differences_over_the_same_pictures(made, document, key, within):
    """Against indices drawn by the same weights, picture by picture."""
    _, found = made
    rows = entries(document)
    ours, theirs = (located(found[name], within) for name in ("dgl", "cam"))
    counts = np.concatenate(list(paired.weights(54, 500)))
    drawn = [(ours - theirs)[np.repeat(np.arange(54), count)].mean() for count in counts]
    against = rows["dgl"]["against_cam"][key]
    assert against["difference"] == pytest.approx(np.mean(ours) - np.mean(theirs), abs=1e-12)
    assert against["interval"] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1e-12)
    lower, higher = np.sum(np.array(drawn) < -1e-9), np.sum(np.array(drawn) > 1e-9)
    ties = 500 - lower - higher
    assert against["p"] == pytest.approx(min(1, 2 * (min(lower, higher) + ties + 1) / 501))
    assert rows["cam"]["against_cam"] is None


def test_classification_counts_pictures_without_a_box(made, document):
    _, found = made
    rows = entries(document)
    score = rows["cam"]["scores"]["top1_class"]
    assert score["mean"] == pytest.approx(np.mean([np.mean(one.ranks == 0) for one in found["cam"]]), abs=1e-12)
    assert score["interval"][0] < score["mean"] < score["interval"][1]


def test_what_a_row_does_not_have(made, document):
    """Without classes no Top-1, without masks no PxAP, neither its own nor a difference, and no column of nothing."""
    rows = entries(document)
    assert set(rows["spol_seg"]["scores"]) == {"gt_known_0.5", "gt_known_0.5_best", "gt_known_0.7", "gt_known_0.7_best"}
    assert set(rows["spol_seg"]["against_cam"]) == {"gt_known_0.5", "gt_known_0.7"}
    assert {metric["key"] for metric in document["metrics"]} == set(BY_KEY)
    claims = {(claim["entry"], claim["metric"]): claim for claim in document["claims"]}
    assert claims["spol_seg", "pxap"]["holds"] == "not measured" and claims["spol_seg", "pxap"]["p"] is None
    json.dumps(document, allow_nan=False)

    bare = made_plans.plan(made[0].folder.parent / "bare", rows=["cam"], seeds=[0])
    made_results.finish(bare, "cam", 0, classes=False, masks=False)
    found = Summary(bare).document()
    assert [metric["key"] for metric in found["metrics"]] == [key for key in BY_KEY if key.startswith("gt_known")]
    assert found["suite"]["read_by"] == ["gt_known_0.5"] and found["claims"] == []


def test_the_centre_baselines_have_their_own_scores(document):
    """Zero is a score, too; and the box has no map."""
    rows = entries(document)
    box, gaussian = (
        {key: score["mean"] for key, score in rows[name]["scores"].items()}
        for name in ("centre_box", "centre_gaussian")
    )
    keys = ["gt_known_0.5", "gt_known_0.5_best", "gt_known_0.7", "gt_known_0.7_best"]
    assert box == dict.fromkeys(keys, 0) and gaussian == dict.fromkeys(keys, 0.5) | {"pxap": 0.25}
    assert all(score["interval"] is None for score in rows["centre_box"]["scores"].values())


def test_what_the_trainings_were_is_theirs(document):
    """Not what the flags of --report_only say."""
    found = {key: document["suite"][key] for key in ("epochs", "batch_size", "start_weights", "seconds", "pictures")}
    seconds = sum(30.0 + seed for seed in (0, 3)) * 5 - 33  # ADL has one seed only
    assert found == {"epochs": 3, "batch_size": 16, "start_weights": "made.npz", "seconds": seconds, "pictures": 60}


def test_verdicts(document):
    claims = {(claim["entry"], claim["metric"]): claim for claim in document["claims"]}
    found = {key: claim["holds"] for key, claim in claims.items()}
    assert found["dgl", "gt_known_0.5"] == "yes" and found["adl", "gt_known_0.5"] == "no"
    assert claims["dgl", "gt_known_0.5"]["p"] == pytest.approx(2 / 501)
    assert claims["adl", "gt_known_0.5"]["interval"][1] < 0


@pytest.mark.parametrize(
    ("interval", "above", "not_below"),
    [
        ((0.01, 0.2), "yes", "yes"),
        ((0.0, 0.2), "open", "yes"),
        ((-0.1, 0.1), "open", "open"),
        ((-MARGIN / 2, 0.1), "open", "yes"),
        ((-MARGIN / 2, -MARGIN / 4), "no", "yes"),
        ((-0.2, -MARGIN / 2), "no", "open"),
        ((-0.2, -2 * MARGIN), "no", "no"),
    ],
)
def test_a_verdict_is_where_the_interval_lies(interval, above, not_below):
    assert Claim("ours", "cam", "").verdict(interval)[0] == above
    assert Claim("ours", "cam", "", not_below=True).verdict(interval)[0] == not_below


def test_a_verdict_needs_every_seed():
    """An interval over pictures says nothing of other trainings."""
    claim = Claim("ours", "cam", "")
    assert claim.verdict((0.01, 0.2), (0.1, 0.2, 0.05)) == ("yes", "")
    assert claim.verdict((0.01, 0.2), (0.1, -0.03, 0.2)) == ("open", "by seed: +10.0, -3.0, +20.0")
    assert claim.verdict((-0.2, -0.1), (-0.1, -0.3)) == ("no", "")
    assert claim.verdict((-0.2, -0.1), (0.02, -0.3))[0] == "open"


def test_what_was_not_measured_is_listed(made, document):
    summary = Summary(made[0], {"adl-seed3": "failed: error: no"})
    expected = [{"entry": "adl", "title": "ADL", "seed": 3, "why": "failed: error: no"}]
    assert summary.document()["missing"] == expected
    assert document["missing"][0]["why"] == "not run yet"


@pytest.mark.parametrize(
    "changes", [{"protocol": "bas"}, {"image_size": 64}, {"average": "classes"}, {"skip_empty": True}]
)
def test_scores_by_other_rules_do_not_stand_in_one_table(copied, changes):
    shutil.rmtree(copied.run_dir("adl", 0))
    made_results.finish(copied, "adl", 0, **changes)
    with pytest.raises(UserError, match=r"adl, seed 0, was not scored as the others \(protocol, average, side or"):
        Summary(copied)


def test_other_pictures_do_not_either(copied):
    file = copied.run_dir("adl", 0) / "outcomes.npz"
    arrays = dict(np.load(file))
    arrays["ids"][[0, 1]] = arrays["ids"][[1, 0]]
    np.savez(file, **arrays)
    with pytest.raises(UserError, match="adl, seed 0, was not scored as the others"):
        Summary(copied)


@pytest.mark.parametrize("change", [{"average": "classes"}, {"left_out": 2}, {"threshold": 0.36}])
def test_no_interval_of_what_the_outcomes_are_not(copied, change):
    """A score over classes, one that leaves pictures out, or one at a threshold of its own metric."""
    for seed in copied.seeds:
        file = copied.run_dir("cam", seed) / "result.json"
        result = json.loads(file.read_text())
        result["scores"] = [{**one, **change} if one["metric"] == "Top-1 Loc" else one for one in result["scores"]]
        file.write_text(json.dumps(result))
    scores = entries(Summary(copied).document())["cam"]["scores"]
    assert scores["top1_loc_0.5"]["interval"] is None and scores["gt_known_0.5"]["interval"] is not None


@pytest.mark.parametrize("name", ["result.json", "outcomes.npz"])
def test_a_finished_cell_without_its_result(copied, name):
    (copied.run_dir("cam", 3) / name).unlink()
    with pytest.raises(UserError, match=rf"runs/cam-seed3/{name}: does not exist; python -m e2wsol.evaluate writes it"):
        Summary(copied)
    (copied.run_dir("cam", 3) / name).write_text("{")
    with pytest.raises(UserError, match=rf"runs/cam-seed3/{name}: no (result|outcomes) of python -m e2wsol.evaluate"):
        Summary(copied)
