import os
import subprocess
import sys

import numpy as np
import pytest
from visualize import made_up

from e2wsol import report
from e2wsol.errors import UserError


def test_page_goes_beside_the_result(tmp_path):
    made_up.write_run(tmp_path)
    path = report.write_report(tmp_path / "result.json")
    assert path == tmp_path / "report" / "index.html"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and text.count("<figure") == 6
    assert os.listdir(path.parent) == ["index.html"]


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


def command(*arguments):
    return subprocess.run([sys.executable, "-m", "e2wsol.report", *arguments], capture_output=True, text=True)


def test_command(tmp_path):
    made_up.write_run(tmp_path)
    done = command(f"--result={tmp_path}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path}/report/index.html\n"


def test_command_names_what_is_missing(tmp_path):
    done = command(f"--result={tmp_path}/nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --result=") and done.stderr.count("\n") == 1
