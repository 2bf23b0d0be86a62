import dataclasses
from typing import Any, ClassVar

from e2wsol.backbones import Architecture
from e2wsol.config import option
from e2wsol.localizers.formulas import PA, dual_gradients_formula
from e2wsol.localizers.layer_gradients import ForwardPass, LayerGradients, formula_maps
from e2wsol.methods.base import Method, Tensors, classifier, head_features, register
from e2wsol.methods.gradient import GradientLocalization


@dataclasses.dataclass(frozen=True)
class DGLOptions:
    """Dual-gradients localization."""

    flag_prefix: ClassVar[str] = "dgl_"

    layer: str = option("", "end point, or layer of the head, in which DGL looks; empty for the backbone's own")
    pa: float = option(PA, "label of the class in the cost whose gradient is taken", minimum=0.0)
    dropout: float = option(
        0.0,
        "share dropped in training before each convolution of the head and before the classifier",
        minimum=0.0,
        maximum=0.99,
    )


@register("dgl")
class DGL(GradientLocalization, Method):
    """Dual-gradients localization (Tan et al., ACM MM 2020): a plain classifier, and two gradients of it.

    Nothing is trained for the maps: gradients of the class's logit and of a cost with respect to the
    features at `layer` make them (see localizers.formulas). On the features under the classifier these
    are CAM's maps but for a constant. Any other classifier is localized alike by --localizer=dgl.

    Outputs: "logits" (B, C), "features" (B, h, w, c).
    """

    Options = DGLOptions
    protocol = "dgl"
    on_classifier = "DGL"

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self.gradient_layer = self.options.layer or self.architecture.dual_gradient_layer
        self.layer_gradients = LayerGradients(self, [self.gradient_layer], owner=self.Options)

    @classmethod
    def heads(
        cls, end_points: Tensors, architecture: Architecture, width: float, num_classes: int, options: Any
    ) -> Tensors:
        """The features under global average pooling, and a linear classifier on it."""
        features = list(end_points.values())[-1]
        features = head_features(features, architecture, width, "features", options.dropout)
        logits = classifier(features, num_classes, architecture, "linear", dropout=options.dropout)
        return {"logits": logits, "features": features}

    def maps_from(self, forward: ForwardPass, labels: Any) -> Any:
        """Maps (B, h, w) of one class an image, labels (B,)."""
        formula = dual_gradients_formula(self.options.pa)
        [maps] = formula_maps(forward, labels, [(formula, self.gradient_layer)], self.num_classes)
        return maps
