import json
import os
import subprocess
import sys

import bas_cases
import check
import kit
import numpy as np
import pytest
from report import Report

EVALUATION = kit.SHARED_KIT / "evaluation"
needs_kit = pytest.mark.skipif(not EVALUATION.is_dir(), reason="the parity kit is not at ../shared/parity")


def write_case(folder, case, arrays=None):
    folder.mkdir(parents=True)
    (folder / "case.json").write_text(json.dumps(case))
    if arrays is not None:
        np.savez(folder / "arrays.npz", **arrays)
    return folder


@needs_kit
def test_evaluation_case_passes(capsys):
    assert check.main([str(EVALUATION), "--strict"]) == 0
    line = capsys.readouterr().out.splitlines()
    assert len(line) == 1 and line[0].startswith("PASS evaluation wsol_levels=0 wsol_boxes=0")
    assert "missing" not in line[0]
    for quantity in ("wsol_v2_counts", "wsol_v2_contours", "mnpo_counts", "spol_totals"):
        assert f" {quantity}=0 " in line[0] + " "


@needs_kit
def test_one_wrong_pixel_fails(tmp_path, capsys):
    case, arrays = kit.load(EVALUATION)
    arrays["e2net_boxes"][3, 1, 2] += 1
    write_case(tmp_path / "deep" / "down" / "tampered", case, arrays)
    assert check.main([str(tmp_path)]) == 1
    line = capsys.readouterr().out
    assert line.startswith("FAIL ") and "e2net_boxes=1(bound 0)" in line and "e2net_iou=" in line


@needs_kit
def test_what_a_case_lacks_is_named_and_the_rest_is_checked(tmp_path, capsys):
    case, arrays = kit.load(EVALUATION)
    del case["kind"], arrays["e2net_boxes"], arrays["spol_iou"]
    write_case(tmp_path / "evaluation", case, arrays)
    assert check.main([str(tmp_path)]) == 0
    line = capsys.readouterr().out
    assert line.startswith("PASS ") and " wsol_levels=0 " in line and " mnpo_counts=0 " in line
    assert "absent from the case: " in line and "e2net_boxes" in line.partition("absent from the case: ")[2]


def test_a_part_that_lacks_an_array_is_named():
    report, case = Report(), {"train": {"losses": {"bas_loss": {"area_weight": 1.5}}}, "dataset": "cub"}
    report.part(bas_cases._check_ratio, kit.Arrays(), case)
    report.part(bas_cases._check_ratio, kit.Arrays(unit_bas_input=np.ones((2, 3))), case)
    assert report.absent == ["unit_bas_input", "unit_bas_loss"] and not report.failed
    assert report.line() == "MISSING absent from the case: unit_bas_input, unit_bas_loss"


def test_unknown_method_is_missing(tmp_path, capsys):
    write_case(tmp_path / "case", {"method": "nothing_yet"}, {})
    assert check.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip().endswith("case missing: nothing_yet")
    assert check.main([str(tmp_path), "--strict"]) == 1


def test_broken_case_fails_and_the_others_are_checked(tmp_path, capsys):
    write_case(tmp_path / "a", {"kind": "evaluation"}, {"maps": np.zeros(1)})
    write_case(tmp_path / "b", {"method": "nothing_yet"})
    write_case(tmp_path / "c", {"method": "nothing_yet"}, {})
    assert check.main([str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["FAIL", "FAIL", "MISSING"]
    assert "KeyError" in lines[0] and "arrays.npz" in lines[1]


@pytest.mark.parametrize("make", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_bad_folder_is_one_line(tmp_path, make):
    folder = tmp_path / "cases"
    if make:
        folder.mkdir()
    script = os.path.join(os.path.dirname(check.__file__), "check.py")
    run = subprocess.run([sys.executable, script, str(folder)], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stdout == "" and run.stderr.count("\n") == 1 and str(folder) in run.stderr


def test_report_keeps_the_worst_and_names_the_bound():
    report = Report("case")
    report.add("loss", 0.5, 1.0)
    report.add("loss", 0.2, 1.0)
    report.equal("boxes", [1, 2], [1, 2])
    assert report.line() == "PASS case loss=0.5 boxes=0"
    report.close("map", [1.0, np.nan], [1.0, 2.0], relative=1e-3)
    assert report.failed and "map=nan(bound 0.001)" in report.line()
    other = Report("case")
    other.equal("boxes", [1], [1, 2])
    assert other.line() == "FAIL case [boxes: shape (1,), expected (2,)]"


def test_generated_weights_follow_their_names():
    weight = kit.parameter("conv.weight", (8, 4, 3, 3), 0, "torch")
    assert weight.dtype == np.float32
    assert np.isclose(weight.std(), np.sqrt(2 / 36), rtol=0.2)
    assert np.isclose(kit.parameter("conv/W", (3, 3, 4, 8), 0, "tf").std(), np.sqrt(2 / 36), rtol=0.2)
    assert (kit.parameter("bn/variance/EMA", (9,), 0, "tf") >= 0.5).all()
    assert not np.array_equal(kit.parameter("a/b", (4,), 0, "tf"), kit.parameter("a/b", (4,), 1, "tf"))
