"""Grad-CAM and Grad-CAM++ of features A (B, h, w, c) and the gradient g of the class's logit with respect to them."""

from keras import ops

from e2wsol.localizers.formula import as_float


def grad_cam(features, gradient):
    """Grad-CAM (Selvaraju et al., ICCV 2017, equations 1 and 2): ReLU(sum_c mean_hw(g) A); (B, h, w)."""
    features, gradient = as_float(features, gradient)
    return ops.relu(ops.einsum("bhwc,bc->bhw", features, ops.mean(gradient, axis=(1, 2))))


def grad_cam_plus_plus(features, gradient):
    """Grad-CAM++ (Chattopadhay et al., WACV 2018): ReLU(sum_c sum_hw(alpha ReLU(g)) A); (B, h, w).

    alpha = g^2 / (2 g^2 + sum_hw(A) g^3), the paper's closed form for the score exp(logit): its
    factors exp(logit) cancel in alpha, and the one that remains scales the whole map by a positive
    number, so g is the gradient of the logit here.
    """
    features, gradient = as_float(features, gradient)
    square = ops.square(gradient)
    denominator = 2 * square + ops.sum(features, axis=(1, 2), keepdims=True) * square * gradient
    alpha = square / ops.where(denominator != 0, denominator, ops.ones_like(denominator))
    weights = ops.sum(alpha * ops.relu(gradient), axis=(1, 2))
    return ops.relu(ops.einsum("bhwc,bc->bhw", features, weights))
