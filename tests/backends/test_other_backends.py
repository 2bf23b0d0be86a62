"""The library under Keras' other backends, in environments of their own where TensorFlow is not installed."""

import ast
import pathlib
import re
import shlex
import subprocess

import environments
import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
ON_TENSORFLOW = ("tensorflow", "tensorboard")


def without_tensorflow():
    """What setup.py installs, except TensorFlow and TensorBoard."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    lists = [node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "install_requires"]
    return tuple(each for each in ast.literal_eval(lists[0]) if not each.startswith(ON_TENSORFLOW))


COMMON = without_tensorflow()
PACKAGES = {"jax": (*COMMON, "jax"), "torch": (*COMMON, "torch==2.13.0")}


def python_of(backend):
    """The Python of the backend's environment; skips the test where it cannot be made."""
    return environments.python_of(backend, PACKAGES[backend])


def environment(backend):
    """Variables of a process under that backend."""
    return environments.variables(KERAS_BACKEND=backend, PYTHONPATH=str(ROOT))


@pytest.fixture(scope="module")
def made_by_tensorflow(tmp_path_factory):
    """Folder of small models and what they predict here."""
    import on_backend

    folder = tmp_path_factory.mktemp("models")
    on_backend.write_expected(folder)
    return folder


def test_the_documented_install_leaves_out_tensorflow_alone():
    text = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
    documented = shlex.split(re.search(r"^\S+pip install (absl-py.*) jax$", text, re.MULTILINE).group(1))
    assert documented == [each if each.startswith("keras") else re.match(r"[\w-]+", each).group() for each in COMMON]


@pytest.mark.slow
@pytest.mark.parametrize("backend", PACKAGES)
def test_all_but_records_works_without_tensorflow(backend, made_by_tensorflow):
    command = [python_of(backend), HERE / "on_backend.py", made_by_tensorflow]
    done = subprocess.run(command, env=environment(backend), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"all well under {backend}"


@pytest.mark.slow
@pytest.mark.parametrize("backend", PACKAGES)
def test_predict_command_without_tensorflow(backend, made_by_tensorflow, tmp_path):
    import numpy as np
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)).save(tmp_path / "photo.png")
    arguments = [f"--model={made_by_tensorflow / 'cam.keras'}", f"--output={tmp_path / 'out'}", tmp_path / "photo.png"]
    command = [python_of(backend), "-m", "e2wsol.predict", *arguments]
    done = subprocess.run(command, env=environment(backend), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "predictions.json").exists() and (tmp_path / "out" / "overlays" / "photo.jpg").exists()
    evaluated = [python_of(backend), "-m", "e2wsol.evaluate", "--run_dir=x"]
    done = subprocess.run(evaluated, env=environment(backend), capture_output=True, text=True)
    expected = f"error: evaluate needs TensorFlow, and Keras runs on {backend}: pip install tensorflow and set"
    assert done.returncode == 2 and done.stderr == f"{expected} KERAS_BACKEND=tensorflow\n"
