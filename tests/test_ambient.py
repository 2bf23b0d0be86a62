"""What surrounds a command (settings of Keras, variables, streams) changes no number and ends nothing."""

import json
import os
import pathlib
import shlex
import subprocess
import sys

import keras
import numpy as np
import pytest
from made_runs import run, train_run
from PIL import Image

import e2wsol
from e2wsol import compute
from e2wsol.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]
STRANGE = {"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.01, "backend": "jax"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"é鳥{number}.png")
    return folder


@pytest.fixture(scope="module")
def expected(tiny_run, photos, tmp_path_factory):
    output = tmp_path_factory.mktemp("expected")
    assert run("predict", f"--model={tiny_run}", f"--output={output}", "--overlays=false", photos) == 0
    return json.loads((output / "predictions.json").read_text())


SURROUNDINGS = {
    # variables and settings: what is said of them on standard error
    "settings": (
        {"KERAS_HOME": "{settings}", "KERAS_BACKEND": "tensorflow"},
        "",
        "sets floatx=float32, image_data_format",
    ),
    "variables": (
        {
            "HOME": None,
            "TMPDIR": "/nowhere",
            "OMP_NUM_THREADS": "many",
            "TF_USE_LEGACY_KERAS": "1",
            "PYTHONOPTIMIZE": "2",
            "LC_ALL": "C",
            "LC_NUMERIC": "de_DE.UTF-8",
            "KERAS_HOME": "/proc/nowhere",
            "PYTHONIOENCODING": "ascii",
        },
        "umask 077;",
        "",
    ),
    "closed": ({}, "exec <&- >&- 2>&-;", ""),
    "read by nobody": ({}, "exec > >(true) 2>&1; sleep 1;", ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_boxes_are_the_same(tiny_run, photos, expected, tmp_path, name):
    variables, before, said = SURROUNDINGS[name]
    (tmp_path / "keras.json").write_text(json.dumps(STRANGE))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for variable, value in variables.items():
        environment.pop(variable, None)
        environment |= {variable: value.format(settings=tmp_path)} if value is not None else {}
    command = [sys.executable, "-m", "e2wsol.predict", f"--model={tiny_run}", f"--output={tmp_path / 'o'}"]
    command += ["--overlays=false", str(photos)]
    (tmp_path / "read_only").mkdir(mode=0o555)
    done = subprocess.run(
        ["bash", "-c", f"{before} {shlex.join(command)}"],
        env=environment,
        cwd=tmp_path / "read_only",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / "o" / "predictions.json").read_text()) == expected
    assert said in done.stderr and "Traceback" not in done.stderr and "error" not in done.stderr.lower()


@pytest.mark.parametrize(
    "text", ['{"floatx": "float8"}', '{"epsilon": "small"}', '{"image_data_format": 3}', "[]", '{"backend": "mxnet"}']
)
@pytest.mark.slow
def test_settings_that_keras_refuses_end_in_one_line(tmp_path, text):
    (tmp_path / "keras.json").write_text(text)
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-m", "e2wsol.predict", "--help"],
        env=environment | {"KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: predict ") and "which cannot start (" in done.stderr
    assert str(tmp_path / "keras.json") in done.stderr


@pytest.fixture
def keras_settings():
    """Keras' settings put back after a test that changes them."""
    found = {name: getattr(keras.config, name)() for name in ("floatx", "image_data_format", "epsilon", "dtype_policy")}
    yield
    for name, value in found.items():
        getattr(keras.config, f"set_{name}")(value)


def test_commands_set_what_they_compute_with(keras_settings):
    assert compute.settle() == []
    keras.config.set_floatx("float16")
    keras.config.set_image_data_format("channels_first")
    keras.config.set_epsilon(0.01)
    (line,) = compute.settle()
    assert line == (
        "Keras was set to floatx=float16, image_data_format=channels_first, epsilon=0.01; this command sets "
        "floatx=float32, image_data_format=channels_last, epsilon=1e-07"
    )
    assert keras.config.dtype_policy().name == "float32" and compute.settle() == []


def made():
    return e2wsol.CAM(num_classes=3, image_size=32, backbone="vgg16", backbone_width=0.02)


@pytest.mark.parametrize(
    ("name", "value"), [("floatx", "float16"), ("image_data_format", "channels_first"), ("dtype_policy", "float16")]
)
def test_a_program_with_other_settings_is_told_so(keras_settings, name, value):
    getattr(keras.config, f"set_{name}")(value)
    with pytest.raises(UserError, match=r"^Keras is set to .*keras\.config\.set_"):
        made()


def test_a_program_in_mixed_precision_has_nearly_the_same_maps(keras_settings):
    """Weights stay 32-bit ones: the same network gives the same maps, as near as 16 bits are."""
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    keras.utils.set_random_seed(0)
    whole = made()
    keras.config.set_dtype_policy("mixed_float16")
    half = made()
    half.set_weights(whole.get_weights())
    for one, other in zip(whole.localize(images), half.localize(images)):
        np.testing.assert_allclose(one, other, atol=2e-2 * float(np.abs(one).max()) + 1e-3)


@pytest.mark.slow
def test_a_run_folder_that_is_removed_ends_the_training(tiny_records, tmp_path, monkeypatch, capsys):
    from e2wsol.training.callbacks import TensorBoardLog

    folder = tmp_path / "run"

    def remove(self, epoch, logs=None):
        folder.rename(tmp_path / "moved")

    monkeypatch.setattr(TensorBoardLog, "on_epoch_end", remove)
    assert train_run(tiny_records, folder, "--method=cam", "--epochs=1") == 2
    assert f"{folder / 'metrics.jsonl'}: has vanished; the run folder was removed or moved" in capsys.readouterr().err
