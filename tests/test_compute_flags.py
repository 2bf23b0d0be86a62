"""--precision, --jit, --micro_batches and --steps_per_execution through the commands."""

import json

import numpy as np
import pytest
from made_runs import run, train_run
from PIL import Image

from e2wsol.training import checkpoints

pytestmark = pytest.mark.slow


def test_run_in_16_bits_goes_on_and_is_scored(tiny_records, tmp_path):
    flags = ("--method=cam", "--precision=mixed_float16", "--micro_batches=2", "--steps_per_execution=3")
    assert train_run(tiny_records, tmp_path / "run", *flags, "--epochs=1") == 0
    assert train_run(tiny_records, tmp_path / "run", *flags, "--jit") == 0
    last = checkpoints.last(tmp_path / "run" / "checkpoints")
    assert checkpoints.read_state(last)["step"] == 8
    with np.load(last / "optimizer.npz") as archive:
        assert 2.0**15 in [value for value in archive.values() if value.shape == ()]  # the loss scale
    for precision in ("float32", "mixed_bfloat16"):
        assert run("evaluate", f"--run_dir={tmp_path / 'run'}", f"--precision={precision}", "--samples=0") == 0
        result = json.loads((tmp_path / "run" / "result.json").read_text())
        assert result["precision"] == precision and result["dataset"]["pictures"] == 8


def test_run_of_another_precision_does_not_go_on(tiny_records, tmp_path, capsys):
    assert train_run(tiny_records, tmp_path / "run", "--method=cam", "--epochs=1") == 0
    assert train_run(tiny_records, tmp_path / "run", "--method=cam", "--precision=mixed_bfloat16") == 2
    assert "precision=mixed_bfloat16 (was float32)" in capsys.readouterr().err


def scores(run_dir):
    found = json.loads((run_dir / "result.json").read_text())["scores"]
    return {(s["localizer"], s["metric"], s.get("iou"), s["threshold_from"]): s["value"] for s in found}


def test_compiled_evaluation_has_the_same_scores(tiny_run):
    assert run("evaluate", f"--run_dir={tiny_run}", "--batch_size=3") == 0
    usual = scores(tiny_run)
    assert run("evaluate", f"--run_dir={tiny_run}", "--batch_size=3", "--jit") == 0
    assert scores(tiny_run) == pytest.approx(usual, abs=1e-3, nan_ok=True)


def test_compiled_prediction_has_the_same_boxes(tiny_run, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(5):
        picture = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((12, 14, 1))).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    boxes = {}
    for jit in (False, True):
        output = tmp_path / f"jit{jit}"
        flags = (f"--model={tiny_run}", f"--output={output}", "--batch_size=2", "--overlays=False", f"--jit={jit}")
        assert run("predict", *flags, *sorted(tmp_path.glob("*.png"))) == 0
        pictures = json.loads((output / "predictions.json").read_text())["pictures"]
        boxes[jit] = [picture["box"] for picture in pictures]
    assert len(boxes[True]) == 5
    np.testing.assert_allclose(boxes[True], boxes[False], atol=0.01)
