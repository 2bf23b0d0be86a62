"""How gradients become localization maps: CAM, Grad-CAM, Grad-CAM++, LayerCAM, and DGL with its kin.

A are the features of a layer (B, h, w, c), g the gradient of the class's logit with respect to them, q
that of a cost, and n(T) = T / |T| with the norm over a whole image. No map is normalised; all are float32
whatever the precision of the features, float64 where Keras's precision is that.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

PA = 10.0


@dataclasses.dataclass(frozen=True)
class GradientFormula:
    """A localizer on the features of one layer and gradients with respect to them.

    Attributes:
      maps: maps(features, *gradients), all (B, h, w, c), -> (B, h, w), not normalised.
      cotangents: for each of these gradients f(logits (B, C), chosen (B, C) one-hot) -> (B, C): the
        gradient is that of the sum of the logits with these weights, themselves held fixed.
      layer: field of backbones.Architecture that names its usual end point; "" for the last features.
      last_only: whether it means the last features and no other layer.
    """

    maps: Callable[..., Any]
    cotangents: tuple[Callable[[Any, Any], Any], ...]
    layer: str = ""
    last_only: bool = False


def class_logit(logits: Any, chosen: Any) -> Any:
    """Weights (B, C) of the class's logit: `chosen` itself."""
    return chosen


def cost(logits: Any, chosen: Any, pa: float = PA) -> Any:
    """Weights (B, C) of the logits whose gradient is that of DGL's cost: softmax - pa chosen.

    The cost is the softmax cross-entropy with a label of `pa`, 10 in the release, on the class. For
    labels that do not sum to 1 TensorFlow 1 back-propagates softmax - labels, which is not the
    derivative; the method was made with that.

    Args:
      logits: (B, C).
      chosen: (B, C) one-hot.
      pa: the label of the class.
    """
    logits, chosen = as_float(logits, chosen)
    return ops.softmax(logits) - pa * chosen


def class_activation_map(features: Any, gradient: Any) -> Any:
    """CAM (Zhou et al., CVPR 2016) on the features under global average pooling and a linear classifier.

    There the gradient of the class's logit is the classifier's row over h * w at every place; (B, h, w).
    """
    features, gradient = as_float(features, gradient)
    return ops.sum(gradient * features, axis=-1)


def grad_cam(features: Any, gradient: Any) -> Any:
    """Grad-CAM (Selvaraju et al., ICCV 2017, equations 1 and 2): ReLU(sum_c mean_hw(g) A); (B, h, w)."""
    features, gradient = as_float(features, gradient)
    return ops.relu(ops.einsum("bhwc,bc->bhw", features, ops.mean(gradient, axis=(1, 2))))


def grad_cam_plus_plus(features: Any, gradient: Any) -> Any:
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


def layer_cam(features: Any, gradient: Any) -> Any:
    """LayerCAM (Jiang et al., TIP 2021): ReLU(sum_c ReLU(g) A); (B, h, w)."""
    features, gradient = as_float(features, gradient)
    return ops.relu(ops.sum(ops.relu(gradient) * features, axis=-1))


def dual_gradients(features: Any, logit_gradient: Any, cost_gradient: Any) -> Any:
    """DGL (Tan et al., ACM MM 2020), as its authors' code computes it; (B, h, w).

    Class-aware enhanced maps n(A) - n(q), pixel-level class selection by g.
    """
    (logit_gradient,) = as_float(logit_gradient)
    return ops.sum(logit_gradient * (normalized(features) - normalized(cost_gradient)), axis=-1)


def sgl_g1(features: Any, logit_gradient: Any) -> Any:
    """SGL-G1 of DGL's authors, of one gradient: sum over channels of (n(A) + n(g)) n(g); (B, h, w)."""
    gradient = normalized(logit_gradient)
    return ops.sum((normalized(features) + gradient) * gradient, axis=-1)


def sgl_g2(features: Any, cost_gradient: Any) -> Any:
    """SGL-G2 of DGL's authors, of one gradient: sum over channels of (n(A) - n(q)) (-n(q)); (B, h, w)."""
    gradient = normalized(cost_gradient)
    return ops.sum((normalized(features) - gradient) * -gradient, axis=-1)


def normalized(x: Any) -> Any:
    """Features (B, h, w, c) over their norm in each image; a sum of squares below 1e-12 counts as that."""
    (x,) = as_float(x)
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=(1, 2, 3), keepdims=True), 1e-12))


def as_float(*tensors: Any) -> list[Any]:
    """The tensors in float32, float64 where that is the precision: sums over features do not fit into 16 bits."""
    dtype = "float64" if keras.config.dtype_policy().name == "float64" else "float32"
    return [ops.cast(tensor, dtype) for tensor in tensors]


@functools.cache
def dual_gradients_formula(pa: float = PA) -> GradientFormula:
    """DGL with a label of `pa` on the class in its cost."""
    return GradientFormula(dual_gradients, (class_logit, functools.partial(cost, pa=pa)), layer="dual_gradient_layer")


LOCALIZERS = {
    "cam": GradientFormula(class_activation_map, (class_logit,), last_only=True),
    "gradcam": GradientFormula(grad_cam, (class_logit,)),
    "gradcampp": GradientFormula(grad_cam_plus_plus, (class_logit,)),
    "layercam": GradientFormula(layer_cam, (class_logit,)),
    "dgl": dual_gradients_formula(),
    "sgl_g1": GradientFormula(sgl_g1, (class_logit,), layer="dual_gradient_layer"),
    "sgl_g2": GradientFormula(sgl_g2, (dual_gradients_formula().cotangents[1],), layer="dual_gradient_layer"),
}
