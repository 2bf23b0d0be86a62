"""python -m e2wsol.study: its messages, and a study of a tiny network from beginning to end."""

import csv
import json
import pathlib
import shutil

import made_runs
import pytest

from e2wsol import study

SUITE = "--suite=cub10"


def run(*arguments):
    return made_runs.run("study", *arguments)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], "--suite is missing; choose one of animals, cub10, cub50, synthetic, cub, ilsvrc"),
        (["--suite=birds"], "--suite=birds: unknown; choose one of animals"),
        ([SUITE, "--rows=cam,cma"], "--rows=cam,cma: no row cma; choose among cam, has, acol"),
        ([SUITE, "--seeds=0,1,0"], "--seeds=0,1,0: give at least one, each once"),
        ([SUITE, "--seeds="], "--seeds=: give at least one, each once"),
        ([SUITE, "--seeds=-1"], "--seeds=-1: must be at least 0"),
        ([SUITE, "--seeds=one"], "--seeds=one: expected a whole number"),
        ([SUITE, "--jobs=0"], "--jobs=0: must be at least 1"),
        ([SUITE, "more"], 'more: unexpected argument; what follows "--" are --FLAG=VALUE of e2wsol.train'),
        ([SUITE, "--", "--epochs", "3"], '3: unexpected argument; what follows "--" are --FLAG=VALUE'),
        ([SUITE, "--", "--seed=5"], "--seed=5: the study gives it to each training; see --seeds"),
        ([SUITE, "--", "--run_dir=x"], "--run_dir=x: the study gives it to each training; see --output"),
        ([SUITE, "--flags_dir=nowhere"], "--flags_dir=nowhere: nowhere/cub10.cfg does not exist; give the project's"),
        ([SUITE, "--report_only"], "no finished cell in it"),
        ([SUITE], "--input is missing: records/cub10 holds no records yet; give the pictures of Ten classes of CUB"),
        ([SUITE, "--input=nowhere"], "--input=nowhere: not found"),
        (
            [SUITE, "--input=.", "--backbone_weights=no.npz"],
            "--backbone_weights=no.npz: not found; give a file, imagenet",
        ),
        (["--suite=synthetic", "--backbone_weights="], "--backbone_weights=: not found; give a file, imagenet or none"),
    ],
)
def test_bad_flags_are_named(tmp_path, monkeypatch, capsys, flags, expected):
    """In one line, before anything is made."""
    monkeypatch.chdir(tmp_path)
    assert run(*flags) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and expected in err and err.count("\n") == 1 and not out
    assert not any(tmp_path.iterdir())


def test_dry_run_of_every_suite_makes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for suite in study.SUITES:
        assert run(f"--suite={suite}", "--dry_run", "--input=photos", "--", "--precision=mixed_float16") == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "# records: to do" and lines[1].startswith("python -m tfrecords.build --source=")
        trainings = [line for line in lines if line.startswith("python -m e2wsol.train ")]
        assert len(trainings) == 3 * 13 and all(line.endswith(" --precision=mixed_float16") for line in trainings)
    assert not any(tmp_path.iterdir())


TINY = (
    *("--backbone_width=0.1", "--image_size=32", "--resize_size=36", "--batch_size=8", "--epochs=1"),
    *("--steps_per_epoch=2", "--validate_every=1", "--learning_rate_steps=", "--shuffle_buffer=8", "--data_threads=1"),
)


@pytest.mark.slow
def test_a_tiny_study(tiny_records, tmp_path, monkeypatch, capsys):
    """CAM and DGL, two steps of a narrow network; again it runs nothing, and CAM's score is evaluate's."""
    monkeypatch.setenv("PYTHONPATH", str(pathlib.Path.cwd()))
    output = tmp_path / "study"
    flags = [SUITE, f"--data_dir={tiny_records}", f"--output={output}", "--rows=cam,dgl", "--seeds=4"]
    flags += ["--backbone_weights=none", "--", *TINY]
    assert run(*flags) == 0, capsys.readouterr()
    assert f"wrote {output / 'index.html'}, results.csv" in capsys.readouterr().out
    cells = {path: path.stat().st_mtime_ns for path in (output / "cells").iterdir()}
    assert {path.name for path in cells} == {
        f"{name}.{kind}" for name in ("cam-seed4", "cam_localizers-seed4") for kind in ("json", "log", "seconds")
    }
    written = {name: (output / name).read_bytes() for name in ("study.json", "results.csv", "table.md", "index.html")}

    assert run(*flags) == 0
    assert cells == {path: path.stat().st_mtime_ns for path in cells}
    assert written == {name: (output / name).read_bytes() for name in written}
    assert run(*flags[:-1], "--shuffle_buffer=9", flags[-1]) == 2
    assert "was made by another command, the difference is --shuffle_buffer=9" in capsys.readouterr().err

    again = tmp_path / "again"
    shutil.copytree(output / "runs" / "cam-seed4", again)
    assert made_runs.run("evaluate", f"--run_dir={again}") == 0
    score = next(
        one
        for one in json.loads((again / "result.json").read_text())["scores"]
        if (one["localizer"], one["metric"], one["iou"], one["threshold_from"])
        == ("cam", "GT-known Loc", 0.5, "validation")
    )
    lines = csv.DictReader((output / "results.csv").read_text().splitlines())
    (line,) = [
        line
        for line in lines
        if (line["row"], line["metric"], line["iou"], line["threshold_from"])
        == ("cam", "GT-known Loc", "0.5", "validation")
    ]
    assert float(line["value"]) == score["value"] and float(line["threshold"]) == score["threshold"]
    document = json.loads(written["study.json"])
    rows = {row["entry"]: row for row in document["rows"]}
    assert list(rows) == ["cam", "dgl", "centre_box", "centre_gaussian"] and rows["dgl"]["layer"] == "block10"
    assert rows["cam"]["scores"]["gt_known_0.5"]["mean"] == score["value"]
    assert document["missing"] == [] and document["suite"]["epochs"] == 1
