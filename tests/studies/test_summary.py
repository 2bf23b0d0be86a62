"""study.json, results.csv and the table, from made-up results, against plain NumPy."""

import csv
import dataclasses
import io
import json
import shutil

import made_plans
import made_results
import numpy as np
import pytest

from e2wsol import study
from e2wsol.errors import UserError
from e2wsol.studies import paired, tables
from e2wsol.studies.claims import MARGIN, Claim
from e2wsol.studies.scores import BY_KEY
from e2wsol.studies.summary import Summary
from e2wsol.visualize.study_page import study_page

ROWS = ("cam", "adl", "spol_seg", "dgl", "dgl_last")
SHARES = {"cam": 0.5, "adl": 0.1, "spol_cam": 0.6, "spol_seg": 0.9, "dgl": 0.95, "dgl_last": 0.5}


@pytest.fixture(autouse=True, scope="module")
def few_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paired, "DRAWS", 500)
        patch.setattr(paired, "PIXEL_DRAWS", 5)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(Plan, {row: its Outcomes by seed}); ADL has one seed, SPOL's seg stage predicts no class and has no masks."""
    plan = made_plans.plan(tmp_path_factory.mktemp("made") / "study", rows=ROWS, seeds=(0, 3))
    found = {}
    for row in plan.rows:
        bare = {"classes": False, "masks": False} if row.name == "spol_seg" else {}
        seeds = plan.seeds[: 1 if row.name == "adl" else 2]
        found[row.name] = [made_results.finish(plan, row.name, seed, share=SHARES[row.name], **bare) for seed in seeds]
    return plan, found


@pytest.fixture(scope="module")
def document(made):
    return Summary(made[0]).document()


@pytest.fixture
def copied(made, tmp_path):
    """The same Plan in a folder that may be changed."""
    shutil.copytree(made[0].folder, tmp_path / "study")
    return dataclasses.replace(made[0], folder=tmp_path / "study")


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
    assert Claim("ours", "cam", "").verdict(interval) == above
    assert Claim("ours", "cam", "", not_below=True).verdict(interval) == not_below


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


def test_results_csv_holds_every_score_of_every_cell(made):
    plan, _ = made
    read = list(csv.DictReader(io.StringIO(tables.results_csv(Summary(plan)))))
    assert list(read[0]) == list(tables.HEADS)
    left = {name: list(filter(lambda line, name=name: line["row"] == name, read)) for name in entries_of(read)}
    assert list(left) == [row.name for row in plan.rows]
    for row in plan.rows:
        for seed in plan.seeds[: 1 if row.name == "adl" else 2]:
            result = json.loads((plan.result_dir(row, seed) / "result.json").read_text())
            own = [line for line in left[row.name] if line["seed"] == str(seed)]
            assert {(line["suite"], line["method"]) for line in own} == {("synthetic", row.method)}
            scores = [score for score in result["scores"] if score["localizer"] == result["method"]]
            expected = [
                [one["metric"], one["iou"], one["threshold_from"], one["threshold"], one["value"], one["interval"]]
                for one in scores
            ]
            if result["pxap"]:
                expected.append(["PxAP", None, "", None, result["pxap"][result["method"]], [0.1, 0.9]])
                expected.append(["PIoU", None, "", None, 0.125, None])
            for name, value in result["classification"].items():
                expected += [[f"{name} classification", None, "", None, value, None]] if value is not None else []
            assert [read_back(line) for line in own] == expected


def entries_of(lines):
    return dict.fromkeys(line["row"] for line in lines)


def read_back(line):
    iou, threshold, value, low, high = (
        float(line[key]) if line[key] else None for key in ("iou", "threshold", "value", "low", "high")
    )
    return [line["metric"], iou, line["threshold_from"], threshold, value, None if low is None else [low, high]]


def test_the_table_has_the_numbers(document):
    rows, lines = entries(document), tables.markdown(document).splitlines()
    cells = {line[2:].split(" | ")[0]: line[2:-2].split(" | ") for line in lines if line.startswith("| ")}
    cam = rows["cam"]["scores"]["gt_known_0.5"]
    low, high = cam["interval"]
    expected = f"{100 * cam['mean']:.1f} ± {100 * cam['deviation']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    assert cells["CAM"][1:3] == ["2", expected]
    assert "±" not in cells["ADL"][2] and cells["SPOL, seg stage"][6].strip() == ""
    assert cells["centre box"][2] == "0.0" and cells["centre Gaussian"][2] == "50.0"
    assert "DGL, middle layer (block10 of cam's network)" in cells
    (claim,) = [line for line in lines if line.startswith("| ADL: localizes better than CAM | gt_known_0.5")]
    against = rows["adl"]["against_cam"]["gt_known_0.5"]
    assert f"| {100 * against['difference']:+.1f} [" in claim and claim.endswith(f"| {against['p']:.4f} | no |")
    assert lines[-1] == "Not measured: ADL, seed 3: not run yet."
    assert lines[0].startswith("Split test, 60 pictures; read by GT-known Loc, IoU 0.5 and PxAP.")


def test_the_page_takes_the_document(document):
    page = study_page(document, {}, [])
    for row in document["rows"]:
        assert row["title"] in page
    assert f"{100 * entries(document)['cam']['scores']['gt_known_0.5']['mean']:.1f}" in page


def test_everything_is_written(copied, capsys):
    study.write(copied, {})
    names = {"study.json", "results.csv", "papers.csv", "table.md", "index.html"}
    assert names == {path.name for path in copied.folder.iterdir() if path.is_file()}
    document = json.loads((copied.folder / "study.json").read_text())
    table = (copied.folder / "table.md").read_text()
    assert table == tables.markdown(document) and table in capsys.readouterr().out
    assert made_results.CLASSES[0] in (copied.folder / "index.html").read_text()
    before = {name: (copied.folder / name).read_bytes() for name in names}
    study.write(copied, {})
    assert before == {name: (copied.folder / name).read_bytes() for name in names}


def test_a_study_of_which_nothing_is_finished(tmp_path):
    plan = made_plans.plan(tmp_path / "study", rows=["cam"], seeds=[0])
    with pytest.raises(UserError, match=r"--output=.*study: no finished cell in it; cam-seed0 failed: no, and 1 more"):
        study.write(plan, {"cam-seed0": "failed: no", "cam_localizers-seed0": "needs cam-seed0, which failed"})
