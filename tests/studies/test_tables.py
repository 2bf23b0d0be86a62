"""results.csv, the table, the page and what is written, from made-up results."""

import csv
import io
import json

import made_plans
import made_results
import pytest

from e2wsol import study
from e2wsol.errors import UserError
from e2wsol.studies import tables
from e2wsol.studies.summary import Summary
from e2wsol.visualize.study_page import study_page

pytestmark = pytest.mark.usefixtures("few_draws")


def entries(document, part="rows"):
    return {entry["entry"]: entry for entry in document[part]}


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
    assert "DGL, middle layer (block10 of CAM's network)" in cells
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
    names = {".e2wsol.jsonl", "study.json", "results.csv", "papers.csv", "table.md", "index.html"}
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
    with pytest.raises(UserError, match=r"^output=.*study: no finished cell in it; cam-seed0 failed: no, and 1 more"):
        study.write(plan, {"cam-seed0": "failed: no", "cam_localizers-seed0": "needs cam-seed0, which failed"})
