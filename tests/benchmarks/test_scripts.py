"""The speed benchmarks run where there is neither TensorFlow nor numba, and their last line is JSON."""

import json
import os
import pathlib
import runpy
import subprocess
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
TINY = (
    "--backbone=vgg16",
    "--backbone_width=0.05",
    "--image_size=32",
    "--batch_size=2",
    "--num_classes=3",
    "--repeats=1",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "flags", "expected"),
    [
        (
            "train_step.py",
            ("--method=bas", "--against=pytorch,network"),
            {"ratio_to_plain_pytorch", "memory_to_plain_pytorch", "ratio_to_own_network", "pictures_per_second"},
        ),
        (
            "localize.py",
            ("--method=cam", "--localizer=gradcam"),
            {"cam_ratio", "cam_ratio_to_plain_pytorch", "gradcam_ratio", "gradcam_cpu_ratio"},
        ),
    ],
)
def test_without_tensorflow(script, flags, expected, tmp_path):
    pytest.importorskip("torch")
    blocked = '"tensorflow", "numba"'
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys([{blocked}]))\n")
    paths = str(tmp_path), str(BENCHMARKS.parent)
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, BENCHMARKS / script, *flags, *TINY]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures.keys() >= expected and figures["backend"] == "torch"
    assert all(figures[name] > 0 for name in expected)


@pytest.mark.slow
def test_unknown_method_is_one_line(monkeypatch, capsys):
    script = str(BENCHMARKS / "train_step.py")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(sys, "argv", [script, "--method=cam,nosuch"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(script, run_name="__main__")
    errors = capsys.readouterr().err
    assert caught.value.code == 2 and "--method=nosuch" in errors and errors.count("\n") == 1
