from typing import Any

from keras import ops

from e2wsol.errors import ArgumentError
from e2wsol.localizers.layer_gradients import ForwardPass, LayerGradients
from e2wsol.methods.base import Tensors, logits_dtype, register
from e2wsol.methods.gradient import GradientLocalization
from e2wsol.methods.mnpo import MNPO, emphasized


@register("mnpos")
class MNPOs(GradientLocalization, MNPO):
    """MNPO's network with a map made of gradients: of the class's logits, and of a loss (see gradient_maps).

    Both are sums over the branches of the gradients with respect to the features at `layer`.
    """

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self.gradient_layer = self.options.layer or self.architecture.gradient_layer
        end_points = self.backbone.output
        if self.gradient_layer not in end_points:
            raise ArgumentError(
                "layer",
                self.gradient_layer,
                f"no such end point; choose among {', '.join(end_points)}",
                owner=self.Options,
            )
        self.layer_gradients = LayerGradients(self, [self.gradient_layer])

    def maps_from(self, forward: ForwardPass, labels: Any) -> Any:
        """Maps (B, h, w) of one class an image, labels (B,)."""
        chosen = ops.one_hot(labels, self.num_classes, dtype=logits_dtype())
        logits = {name: forward.outputs[name] for name in ("logits", "branch_logits")}
        evidence, loss = forward.gradients([dict.fromkeys(logits, chosen), loss_cotangents(logits, chosen)])
        layer = self.gradient_layer
        return gradient_maps(forward.features[layer], evidence[layer], loss[layer], self.options.positive_weight)


def loss_cotangents(logits: Tensors, chosen: Any) -> Tensors:
    """What the release back-propagates from each branch's logits as the gradient of its loss.

    Its loss is the cross-entropy with a target of 10 on the class, but the gradient that it gives for it
    is softmax - target, without the factor 10 on the softmax that the derivative has.

    Args:
      logits: {name: (B, C)}.
      chosen: (B, C) one-hot.

    Returns:
      {name: (B, C)}.
    """
    return {name: ops.softmax(values) - 10 * chosen for name, values in logits.items()}


def gradient_maps(features: Any, evidence: Any, loss_gradient: Any, positive_weight: float) -> Any:
    """Gradient post-processing: enhanced features, weighted by the class's gradients.

    Features and loss gradient are divided by their norms, the second is taken from the first, and
    channels are summed with the weights sum_hw(evidence), the positive ones times `positive_weight`.

    Args:
      features: (B, h, w, c).
      evidence: (B, h, w, c) gradient of the class's logits.
      loss_gradient: (B, h, w, c).
      positive_weight: float.

    Returns:
      (B, h, w) float32.
    """
    weights = emphasized(ops.sum(ops.cast(evidence, logits_dtype()), axis=(1, 2)), positive_weight)
    return ops.einsum("bhwc,bc->bhw", enhanced(features, loss_gradient), weights)


def enhanced(features: Any, loss_gradient: Any) -> Any:
    """Both (B, h, w, c) over their norms in each image, the second taken from the first; zeros stay zeros."""
    return _normalized(features) - _normalized(loss_gradient)


def _normalized(x):
    x = ops.cast(x, logits_dtype())
    norm = ops.sqrt(ops.sum(ops.square(x), axis=(1, 2, 3), keepdims=True))
    return x / ops.where(norm > 0, norm, ops.ones_like(norm))
