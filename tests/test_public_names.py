"""`import e2wsol` is light, and every public name is there."""

import inspect
import subprocess
import sys

import pytest

import e2wsol

HEAVY = ("tensorflow", "keras", "cv2", "numpy", "numba", "matplotlib", "absl")
LIGHT = "import sys, e2wsol; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
# Those that need no network: neither a backend nor Keras.
WITHOUT_KERAS = "import sys, e2wsol; e2wsol.extract_box, e2wsol.Evaluator, e2wsol.UserError; print(*sys.modules)"


def loaded(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_importing_loads_nothing_heavy():
    assert not loaded(LIGHT) & set(HEAVY)


def test_boxes_and_scores_need_no_keras():
    assert not loaded(WITHOUT_KERAS) & {"keras", "tensorflow", "jax", "torch"}


@pytest.mark.parametrize("name", sorted(set(e2wsol.__all__) - {"__version__"}))
def test_every_name_is_there_and_described(name):
    value = getattr(e2wsol, name)
    assert value.__name__ == name and inspect.getdoc(value)
    assert name in dir(e2wsol)


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="module 'e2wsol' has no attribute 'Bas'"):
        _ = e2wsol.Bas
