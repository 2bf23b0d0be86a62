import json
import os
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
from visualize import made_up

from e2wsol import cli, report
from e2wsol.errors import UserError


def test_page_goes_beside_the_result(tmp_path):
    made_up.write_run(tmp_path)
    path = report.write_report(tmp_path / "result.json")
    assert path == tmp_path / "report" / "index.html"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and text.count("<figure") == 6
    assert os.listdir(path.parent) == ["index.html"]


def test_masks_that_the_run_learned_from_are_on_the_page(tmp_path):
    made_up.write_run(tmp_path / "run")
    plain = report.write_report(tmp_path / "run" / "result.json").read_text(encoding="utf-8")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    result["flags"]["data_dir"] = str(tmp_path / "records")
    (tmp_path / "run" / "result.json").write_text(json.dumps(result))
    for made, count in ((False, 0), (True, 1)):
        if made:
            (tmp_path / "records").mkdir()
            cv2.imwrite(str(tmp_path / "records" / "pseudo_masks.png"), np.full((24, 40, 3), 90, np.uint8))
        text = report.write_report(tmp_path / "run" / "result.json").read_text(encoding="utf-8")
        assert text.count("<img") == plain.count("<img") + count
        assert text.count("Pseudo masks in the training records") == count
    assert 'width="40" height="24"' in text


def test_output_and_missing_samples(tmp_path):
    made_up.write_run(tmp_path)
    (tmp_path / "samples.npz").unlink()
    path = report.write_report(tmp_path / "result.json", tmp_path / "deep" / "page.html")
    assert "<figure" not in path.read_text(encoding="utf-8")


def test_failure_leaves_the_old_page(tmp_path):
    made_up.write_run(tmp_path)
    path = report.write_report(tmp_path / "result.json")
    before = path.read_bytes()
    np.savez(tmp_path / "samples.npz", ids=np.zeros(1))
    with pytest.raises(UserError):
        report.write_report(tmp_path / "result.json")
    assert path.read_bytes() == before


def test_only_a_page_of_ours_is_replaced(tmp_path):
    made_up.write_run(tmp_path)
    page = tmp_path / "page.html"
    for _ in range(2):
        report.write_report(tmp_path / "result.json", page)
    page.write_text("<!doctype html>\n<html>mine</html>")
    for target, words in {
        page: "is there and was not written by report; move it away",
        tmp_path / "result.json": "is there and was not written by report",
        pathlib.Path("/dev/null"): "is a device or pipe; give the name of a file",
        tmp_path: "is a folder; name the page's file",
    }.items():
        before = os.lstat(target).st_mode, target.read_bytes() if target.is_file() else None
        with pytest.raises(UserError, match=f"^output={target}: {words}"):
            report.write_report(tmp_path / "result.json", target)
        with pytest.raises(UserError, match=f"^output={target}: {words}"):
            report.write_comparison(tmp_path / "result.json", tmp_path / "result.json", target)
        assert before == (os.lstat(target).st_mode, target.read_bytes() if target.is_file() else None)


@pytest.fixture
def command(monkeypatch, capsys):
    """command(*arguments) calls the command in this process; it returns what a CompletedProcess has."""

    def call(*arguments):
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["report", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.run(report.main, report.ReportOptions)
        stdout, stderr = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, caught.value.code, stdout, stderr)

    return call


def test_command_as_a_process(tmp_path):
    made_up.write_run(tmp_path)
    command = [sys.executable, "-m", "e2wsol.report", f"--run_dir={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path}/report/index.html\n"


def test_two_runs_side_by_side(tmp_path, command):
    made_up.write_run(tmp_path / "a")
    made_up.write_run(tmp_path / "b")
    done = command(f"--run_dir={tmp_path}/a", f"--compare={tmp_path}/b", "--pictures=3")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path}/a/report/compare-b.html\n"
    text = (tmp_path / "a/report/compare-b.html").read_text(encoding="utf-8")
    assert text.count("<figure") == 1 and "Outcome in a" in text and "Outcome in b" in text


def test_names_tell_runs_apart(tmp_path):
    def names(*paths):
        return report.run_names(*(tmp_path / path for path in paths))

    assert names("x/cam/result.json", "x/bas/result.json") == ("cam", "bas")
    assert names("x/cam/result.json", "y/cam/result.json") == ("x/cam", "y/cam")
    assert names("x/result.json", "x/older.json") == ("result.json", "older.json")


def test_other_data_cannot_be_compared(tmp_path, command):
    made_up.write_run(tmp_path / "a")
    made_up.write_run(tmp_path / "b")
    other = made_up.result(dataset={"name": "cars", "split": "test", "pictures": 100, "classes": 3})
    (tmp_path / "b/result.json").write_text(json.dumps(other))
    done = command(f"--run_dir={tmp_path}/a", f"--compare={tmp_path}/b")
    assert done.returncode == 2 and done.stdout == "" and not (tmp_path / "a/report").exists()
    assert done.stderr.startswith("error: --compare: data set 'cars'") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--compare={0}/nowhere"], "--compare={0}/nowhere: "),
        (["--output={0}"], "--output={0}: is a folder"),
        (["--pictures=-1"], "--pictures=-1: must be at least 0"),
    ],
)
def test_command_names_the_wrong_flag(tmp_path, command, flags, words):
    made_up.write_run(tmp_path)
    done = command(f"--run_dir={tmp_path}", *(flag.format(tmp_path) for flag in flags))
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: " + words.format(tmp_path))


def test_command_names_what_is_missing(command, tmp_path):
    done = command(f"--run_dir={tmp_path}/nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --run_dir=") and done.stderr.count("\n") == 1
