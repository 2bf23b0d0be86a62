"""Bad input to train, evaluate and export: one line that begins with "error:", exit status 2."""

import json
import shutil
import subprocess
import sys

import pytest
from made_runs import TINY, run


def errors(capsys):
    """The lines that a command left on standard error, without progress bars."""
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    return [line for line in lines if line.strip() and "it/s]" not in line and "picture" not in line.split("error")[0]]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--method=cma"], "--method=cma: unknown; choose one of acol, "),
        (["--backbone=vgg"], "--backbone=vgg: unknown; choose one of efficientnet_b0, efficientnet_b7, inception"),
        (
            ["--protocol=e2"],
            "--protocol=e2: unknown; choose one of bas, dgl, e2net, maxboxacc, maxboxaccv2, mnpo, pxap, spol",
        ),
        (["--strategy=all"], "--strategy=all: unknown; choose one of none, mirrored"),
        (["--ose_orientations=original,diagonal"], "--ose_orientations=diagonal: unknown; choose one of original"),
        (["--method=bas", "--image_size=40", "--resize_size=40"], "--image_size=40: BAS needs a trunk map"),
        (["--bas_top_k=-1"], "--bas_top_k=-1: must be at least 0"),
        (["--epochs=ten"], "--epochs=ten: expected a whole number"),
        (["--learning_rate=fast"], "--learning_rate=fast: expected a number"),
        (["--epochs=0"], "--epochs=0: must be at least 1"),
        (["--epoch=3"], "epoch"),
        (["--resize_size=16"], "--resize_size=16: must be at least image_size=32"),
        (["--flagfile=nowhere.cfg"], "--flagfile=nowhere.cfg: No such file"),
        (["--backbone_weights=nowhere.npz"], "--backbone_weights=nowhere.npz: no such file"),
        (["--mae_positions=pool9"], "pool9: no such end point; choose among conv1_1"),
        (["--learning_rate_multipliers=conv"], "--learning_rate_multipliers=conv: expected PATTERN:FACTOR"),
        (["extra"], "extra: unexpected argument"),
        (["--data_dir="], "--data_dir is missing"),
        (["--run_dir="], "--run_dir is missing"),
        (["--data_dir=nowhere"], "nowhere/dataset.json: not found; make it with python -m tfrecords.build"),
    ],
)
def test_train(tiny_records, tmp_path, capsys, flags, expected):
    arguments = [f"--data_dir={tiny_records}", f"--run_dir={tmp_path / 'run'}", *TINY, *flags]
    assert run("train", *arguments) == 2
    found = errors(capsys)
    assert len(found) == 1 and found[0].startswith("error: ") and expected in found[0]
    assert not (tmp_path / "run").exists()


def test_run_folder_with_other_flags(tiny_records, tiny_run, capsys):
    arguments = [f"--data_dir={tiny_records}", f"--run_dir={tiny_run}", *TINY, "--method=cam", "--momentum=0.5"]
    before = (tiny_run / "flags.json").read_bytes()
    assert run("train", *arguments) == 2
    (line,) = errors(capsys)
    assert "method=cam (was e2net)" in line and "momentum=0.5 (was 0.9)" in line
    assert (tiny_run / "flags.json").read_bytes() == before


@pytest.mark.slow
def test_damaged_shard_is_named_while_training(tiny_records, tmp_path, capsys):
    records = shutil.copytree(tiny_records, tmp_path / "records")
    shard = sorted(records.glob("train-*"))[0]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 0xFF
    shard.write_bytes(data)
    arguments = [f"--data_dir={records}", f"--run_dir={tmp_path / 'run'}", *TINY, "--method=cam"]
    assert run("train", *arguments) == 2
    found = [line for line in errors(capsys) if line.startswith("error:")]
    assert len(found) == 1 and shard.name in found[0]
    shard.write_bytes(data[:100])
    assert run("train", *arguments) == 2
    assert f"{shard.name}: shard has 100 bytes" in errors(capsys)[-1]


@pytest.mark.parametrize("command", ["evaluate", "export"])
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--run_dir="], "--run_dir is missing"),
        (["--run_dir=nowhere"], "nowhere: no run folder"),
        (["--checkpoint=nowhere.keras"], "nowhere.keras: cannot be loaded"),
        (
            ["--protocol=e2"],
            "--protocol=e2: unknown; choose one of bas, dgl, e2net, maxboxacc, maxboxaccv2, mnpo, pxap, spol",
        ),
        (["--threshold=low"], "--threshold=low: expected a number"),
        (["--threshold=2"], "--threshold=2.0: must be at most 1"),
        (["extra"], "extra: unexpected argument"),
        (["--rundir=x"], "rundir"),
    ],
)
def test_evaluate_and_export(tiny_run, capsys, command, flags, expected):
    assert run(command, f"--run_dir={tiny_run}", *flags) == 2
    found = errors(capsys)
    assert len(found) == 1 and found[0].startswith("error: ") and expected in found[0]


def test_evaluate_other_data(tiny_run, tiny_records, tmp_path, capsys):
    for flags, expected in (
        (["--split=holdout"], "no split 'holdout'; this data set has test, train, val"),
        (["--threshold_split=holdout"], "no split 'holdout'"),
        (["--data_dir=nowhere"], "nowhere/dataset.json: not found"),
    ):
        assert run("evaluate", f"--run_dir={tiny_run}", *flags) == 2
        assert expected in next(line for line in errors(capsys) if line.startswith("error:"))
    records = shutil.copytree(tiny_records, tmp_path / "records")
    document = json.loads((records / "dataset.json").read_text())
    document["classes"] = ["gull", "tern", "auk"]
    (records / "dataset.json").write_text(json.dumps(document))
    assert run("evaluate", f"--run_dir={tiny_run}", f"--data_dir={records}") == 2
    assert f"--data_dir={records}: other classes than those of the run" in errors(capsys)[0]


@pytest.mark.slow
def test_export_into_a_folder_with_other_files(tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert run("export", f"--run_dir={tiny_run}", "--output=.") == 0
    assert (tmp_path / "notes.txt").read_text() == "mine" and (tmp_path / "saved_model.pb").is_file()


@pytest.mark.slow
def test_real_process_ends_with_one_line():
    """That of train: test_train_command.py; evaluate's standard error: test_workers.py."""
    done = subprocess.run(
        [sys.executable, "-m", "e2wsol.export", "--run_dir=nowhere"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
