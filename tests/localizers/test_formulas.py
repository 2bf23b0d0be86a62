"""Every formula against the same written down again in plain numpy, a picture at a time."""

import numpy as np
import pytest
from localizers.made_methods import assert_close

from e2wsol.localizers.formulas import (
    class_activation_map,
    cost,
    dual_gradients,
    grad_cam,
    grad_cam_plus_plus,
    layer_cam,
    normalized,
    sgl_g1,
    sgl_g2,
)

rng = np.random.default_rng(0)
S = np.maximum(rng.normal(size=(3, 5, 4, 6)), 0).astype(np.float32)
G, Q = (rng.normal(size=S.shape).astype(np.float32) for _ in range(2))


def unit(x):
    return x / np.sqrt(np.sum(x.astype(np.float64) ** 2))


def plus_plus(s, g):
    total = np.zeros(s.shape[:2])
    for channel in range(s.shape[2]):
        a, d = s[..., channel].astype(np.float64), g[..., channel].astype(np.float64)
        alpha = d**2 / (2 * d**2 + a.sum() * d**3)
        total += (alpha * np.maximum(d, 0)).sum() * a
    return np.maximum(total, 0)


EXPECTED = {
    dual_gradients: lambda s, g, q: (g * (unit(s) - unit(q))).sum(-1),
    sgl_g1: lambda s, g: ((unit(s) + unit(g)) * unit(g)).sum(-1),
    sgl_g2: lambda s, q: ((unit(s) - unit(q)) * -unit(q)).sum(-1),
    grad_cam: lambda s, g: np.maximum(sum(g[..., c].mean() * s[..., c] for c in range(6)), 0),
    grad_cam_plus_plus: plus_plus,
    layer_cam: lambda s, g: np.maximum((np.maximum(g, 0) * s).sum(-1), 0),
    class_activation_map: lambda s, g: (s * g).sum(-1),
}


@pytest.mark.parametrize("formula", EXPECTED, ids=lambda formula: formula.__name__)
def test_against_plain_numpy(formula):
    given = (S, G, Q) if formula is dual_gradients else (S, G)
    expected = [EXPECTED[formula](*arrays) for arrays in zip(*given)]
    assert_close(formula(*given), expected, 1e-5)
    half = formula(*(each.astype(np.float16) for each in given))
    assert half.dtype == "float32"
    assert_close(half, expected, 1e-2)


def test_no_gradient_at_all_gives_no_nan():
    nothing = np.zeros_like(S)
    for formula in EXPECTED:
        given = (S, nothing, nothing) if formula is dual_gradients else (S, nothing)
        np.testing.assert_array_equal(formula(*given), np.zeros(S.shape[:3]))
    np.testing.assert_array_equal(normalized(nothing), nothing)


def test_sums_beyond_half_precision():
    large = np.full((1, 64, 64, 64), 8, np.float16)  # the sum of squares is 16 million
    np.testing.assert_allclose(normalized(large), 1 / 512, rtol=1e-5)


def test_scale_of_the_class_gradient_does_not_move_the_map():
    one, other = dual_gradients(S, G, Q), dual_gradients(S, 1000 * G, Q / 7)
    assert_close(np.asarray(other) / 1000, one, 1e-5)


def test_cost_is_what_tensorflow_1_propagates_for_a_label_of_ten():
    logits = rng.normal(size=(4, 7)).astype(np.float32)
    chosen = np.eye(7, dtype=np.float32)[[0, 3, 6, 3]]
    powers = np.exp(logits.astype(np.float64))
    softmax = powers / powers.sum(1, keepdims=True)
    np.testing.assert_allclose(cost(logits, chosen), softmax - 10 * chosen, atol=1e-6)
    np.testing.assert_allclose(np.sum(cost(logits, chosen), axis=1), -9, atol=1e-5)
