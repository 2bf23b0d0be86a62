import importlib.util
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops
from localizers.made_methods import IMAGES, LABELS, WEIGHTS, assert_close, create

from e2wsol.backend_calls.pullback import pullback
from e2wsol.localizers import Localizer, LocalizerOptions
from e2wsol.localizers.layer_gradients import LayerGradients

rng = np.random.default_rng(0)
X, MATRIX, A, B = (rng.normal(size=shape).astype(np.float32) for shape in ((4, 3), (3, 2), (4, 2), (4,)))
OTHERS = [name for name in ("jax", "torch") if importlib.util.find_spec(name)]


def function(x):
    return {"linear": ops.matmul(x, MATRIX), "square": ops.sum(x**2, axis=1), "constant": ops.ones((4, 1))}


def test_products_by_the_calculus():
    outputs, pull = pullback(function, ops.convert_to_tensor(X))
    np.testing.assert_allclose(outputs["linear"], X @ MATRIX, rtol=1e-5)
    linear, both, nothing, none = pull(
        [{"linear": A}, {"square": B, "linear": A}, {}, {"constant": np.ones((4, 1), np.float32)}]
    )
    np.testing.assert_allclose(linear, A @ MATRIX.T, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(both, A @ MATRIX.T + 2 * X * B[:, None], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(nothing, np.zeros_like(X))
    np.testing.assert_array_equal(none, np.zeros_like(X))
    # As often as needed.
    np.testing.assert_array_equal(pull([{"linear": A}])[0], linear)


def test_several_inputs_and_half_precision():
    x = {"one": ops.convert_to_tensor(X), "other": ops.convert_to_tensor(2 * X, dtype="float16")}
    outputs, pull = pullback(lambda x: {"product": ops.cast(x["one"], "float16") * x["other"]}, x)
    [found] = pull([{"product": np.ones((4, 3), np.float32)}])
    types = [keras.backend.standardize_dtype(each.dtype) for each in (outputs["product"], found["other"], found["one"])]
    assert types == ["float16", "float16", "float32"]
    np.testing.assert_allclose(found["one"], 2 * X, rtol=2e-3)
    np.testing.assert_allclose(found["other"], X, rtol=2e-3)


def check_backend(folder):
    """What the parent process computed under TensorFlow comes out under this one's backend."""
    folder = pathlib.Path(folder)
    test_products_by_the_calculus()
    test_several_inputs_and_half_precision()
    with np.load(folder / "expected.npz") as arrays:
        expected = dict(arrays)
    model = keras.saving.load_model(folder / "model.keras")
    for name, found in computed(model).items():
        assert_close(keras.ops.convert_to_numpy(found), expected[name], 1e-3)
    assert all(not hasattr(weight.value, "grad") or weight.value.grad is None for weight in model.weights)


def computed(model):
    """Gradients and maps of a method, by name."""
    layers = ["pool4", "conv5_2", "branch_layer2_relu"]
    gradients = LayerGradients(model, layers)(IMAGES).gradients(
        [{"logits": WEIGHTS[0], "branch_logits": WEIGHTS[1]}, {"logits": WEIGHTS[1]}]
    )
    options = LocalizerOptions(localizer=("dgl", "gradcampp"), layer=("pool3", "conv5_1"), layer_fusion="mean")
    _, maps = Localizer(model, options).localize_layers(IMAGES, LABELS)
    found = {f"gradient {index} {layer}": each[layer] for index, each in enumerate(gradients) for layer in layers[:2]}
    return {**found, "inside the heads": gradients[0][layers[2]], **maps}


@pytest.mark.slow
@pytest.mark.parametrize("backend", OTHERS or [pytest.param("", marks=pytest.mark.skip("neither JAX nor PyTorch"))])
def test_other_backends_give_the_same(backend, tmp_path):
    model = create("mnpo")
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "expected.npz", **{name: np.asarray(each) for name, each in computed(model).items()})
    code = f"from backend_calls.test_pullback import check_backend; check_backend({str(tmp_path)!r})"
    paths = os.pathsep.join([str(pathlib.Path(__file__).parents[1]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
