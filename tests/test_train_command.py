import json
import subprocess
import sys

import numpy as np
import pytest
from made_records import made_picture
from made_runs import TINY, run, train_run

from e2wsol import methods, trained_run
from e2wsol.training import checkpoints


def test_run_folder_holds_what_it_should(tiny_run):
    assert {path.name for path in tiny_run.iterdir()} >= {
        *("flags.json", "dataset.json", "metrics.jsonl", "checkpoints", "tensorboard")
    }
    flags = json.loads((tiny_run / "flags.json").read_text())["flags"]
    assert (flags["method"], flags["image_size"], flags["learning_rate"]) == ("e2net", 32, 0.02)
    assert checkpoints.last(tiny_run / "checkpoints").name == "step-00000008"
    assert list((tiny_run / "tensorboard").glob("events*"))
    model = trained_run.load_model(tiny_run / "checkpoints" / "best" / "model.keras")
    assert isinstance(model, methods.METHODS["e2net"]) and model.num_classes == 3


def test_failed_flags_leave_no_run_folder_and_start_weights_are_reported(tiny_records, tiny_run, tmp_path, capsys):
    assert train_run(tiny_records, tmp_path / "run", "--mae_positions=pool9") == 2
    assert not (tmp_path / "run").exists()
    source = tiny_run / "checkpoints" / "last" / "model.keras"
    flags = (f"--backbone_weights={source}", "--method=cam", "--epochs=1", "--steps_per_epoch=1")
    assert train_run(tiny_records, tmp_path / "run", *flags, "--learning_rate=0") == 0
    assert "start weights: 26 of 26 variables from " in capsys.readouterr().out
    one, other = (trained_run.load_model(path) for path in (source, tmp_path / "run/checkpoints/last/model.keras"))
    np.testing.assert_array_equal(one.backbone.get_layer("conv4_1").kernel, other.backbone.get_layer("conv4_1").kernel)


def test_one_class_alone_is_refused(tmp_path, capsys):
    (tmp_path / "in/ant").mkdir(parents=True)
    (tmp_path / "in/ant/0.jpg").write_bytes(made_picture(0, 0).jpeg)
    records = tmp_path / "records"
    assert run("build", f"--input={tmp_path / 'in'}", f"--output={records}", "--workers=1") == 0
    assert "note: ant is the only class: nothing can be learned from it" in capsys.readouterr().out
    assert train_run(records, tmp_path / "run", "--method=cam") == 2
    assert f"--data_dir={records}: has one class, ant: nothing can be learned from it" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_full_disk_ends_in_one_line_and_the_same_flags_go_on(tiny_records, tmp_path, capsys, monkeypatch):
    flags = ("--method=cam", "--steps_per_epoch=1", "--tensorboard_pictures=0", "--log_every=1")
    savez, calls = np.savez, []

    def full_at_the_second(*arguments, **values):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        savez(*arguments, **values)

    monkeypatch.setattr(np, "savez", full_at_the_second)
    assert train_run(tiny_records, tmp_path / "run", *flags) == 2
    captured = capsys.readouterr()
    errors = [line for line in captured.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "No space left on device" in errors[0] and "stays good" in errors[0]
    assert "start weights: none" in captured.out
    assert train_run(tiny_records, tmp_path / "run", *flags) == 0
    output = capsys.readouterr().out
    assert "resumed from" in output and "step-00000001" in output and "trained 2 steps" in output
    entries = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [(entry["kind"], entry["step"]) for entry in entries] == [
        *(("train", 1), ("epoch", 1), ("train", 2), ("epoch", 2))
    ]


@pytest.mark.slow
def test_real_process_with_a_flagfile(tiny_records, tmp_path):
    lines = ["# a tiny run", f"--data_dir={tiny_records}", "--method=cam", *TINY, "--epochs=1"]
    (tmp_path / "tiny.cfg").write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "e2wsol.train", f"--flagfile={tmp_path}/tiny.cfg", f"--run_dir={tmp_path}/run"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "trained 4 steps" in done.stdout
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr
    done = subprocess.run([*command, "--batch_size=4"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error:") and "with other flags: batch_size=4 (was 8)" in done.stderr


def test_help_shows_every_flag(capsys):
    assert run("train", "--help") == 0
    text = capsys.readouterr().out
    for flag in ("--run_dir", "--method", "--ose_orientations", "--learning_rate_multipliers", "--strategy"):
        assert flag in text
