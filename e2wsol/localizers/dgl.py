"""Dual-gradients localization (Tan et al., ACM MM 2020) and its kin, as their authors' code computes them.

S are the features of a layer (B, h, w, c), G the gradient of the class's logit with respect to them, Q
that of a cost, and n(T) = T / |T| with the norm over a whole picture.
"""

from keras import ops

from e2wsol.localizers.formula import as_float

PA = 10.0


def cost(logits, chosen, pa=PA):
    """Weights (B, C) of the logits whose gradient is that of the cost: softmax - pa chosen.

    The cost is the softmax cross-entropy with a label of `pa`, 10 in the release, on the class. For
    labels that do not sum to 1 TensorFlow 1 back-propagates softmax - labels, which is not the
    derivative; the method was made with that.

    Args:
      logits: (B, C).
      chosen: (B, C) one-hot.
    """
    logits, chosen = as_float(logits, chosen)
    return ops.softmax(logits) - pa * chosen


def dual_gradients(features, logit_gradient, cost_gradient):
    """DGL: class-aware enhanced maps n(S) - n(Q), pixel-level class selection by G; (B, h, w)."""
    (logit_gradient,) = as_float(logit_gradient)
    return ops.sum(logit_gradient * (normalized(features) - normalized(cost_gradient)), axis=-1)


def sgl_g1(features, logit_gradient):
    """SGL-G1, of one gradient: sum over channels of (n(S) + n(G)) n(G); (B, h, w)."""
    gradient = normalized(logit_gradient)
    return ops.sum((normalized(features) + gradient) * gradient, axis=-1)


def sgl_g2(features, cost_gradient):
    """SGL-G2, of one gradient: sum over channels of (n(S) - n(Q)) (-n(Q)); (B, h, w)."""
    gradient = normalized(cost_gradient)
    return ops.sum((normalized(features) - gradient) * -gradient, axis=-1)


def normalized(x):
    """Features (B, h, w, c) over their norm in each picture; a sum of squares below 1e-12 counts as that."""
    (x,) = as_float(x)
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=(1, 2, 3), keepdims=True), 1e-12))
