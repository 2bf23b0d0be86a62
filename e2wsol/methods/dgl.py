import dataclasses

import keras
from keras import ops

from e2wsol.config import option
from e2wsol.errors import UserError
from e2wsol.localizers.cut import Cut
from e2wsol.localizers.dgl import PA, cost, dual_gradients
from e2wsol.localizers.formula import as_float
from e2wsol.methods.base import Method, classifier, head_features
from e2wsol.methods.gradient import GradientLocalization


@dataclasses.dataclass(frozen=True)
class DGLOptions:
    """Dual-gradients localization."""

    dgl_layer: str = option("", "end point, or layer of the head, in which DGL looks; empty for the backbone's own")
    dgl_pa: float = option(PA, "label of the class in the cost whose gradient is taken", minimum=0.0)
    dgl_dropout: float = option(
        0.0,
        "share dropped in training before each convolution of the head and before the classifier",
        minimum=0.0,
        maximum=0.99,
    )


@keras.saving.register_keras_serializable(package="e2wsol")
class DGL(GradientLocalization, Method):
    """Dual-gradients localization (Tan et al., ACM MM 2020): a plain classifier, and two gradients of it.

    Nothing is trained for the maps: gradients of the class's logit and of a cost with respect to the
    features at `dgl_layer` make them (see localizers.dgl). On the features under the classifier these
    are CAM's maps but for a constant. Any other classifier is localized alike by --localizer=dgl.

    Outputs: "logits" (B, C), "features" (B, h, w, c).
    """

    Options = DGLOptions
    protocol = "dgl"

    def __init__(self, *, backbone, image_size, num_classes, options=None, name=None):
        super().__init__(backbone=backbone, image_size=image_size, num_classes=num_classes, options=options, name=name)
        self.gradient_layer = self.options.dgl_layer or self.architecture.dual_gradient_layer
        try:
            self.cut = Cut(self, [self.gradient_layer])
        except UserError as error:
            raise UserError(str(error).replace("--layer=", "--dgl_layer=", 1)) from None

    @classmethod
    def heads(cls, end_points, architecture, width, num_classes, options):
        features = list(end_points.values())[-1]
        features = head_features(features, architecture, width, "features", options.dgl_dropout)
        logits = classifier(features, num_classes, architecture, "linear", dropout=options.dgl_dropout)
        return {"logits": logits, "features": features}

    def maps_from(self, forward, labels):
        """Maps (B, h, w) of one class a picture, labels (B,), from a Pass."""
        (logits,) = as_float(forward.outputs["logits"])
        chosen = ops.one_hot(labels, self.num_classes, dtype=logits.dtype)
        weights = [{"logits": chosen}, {"logits": cost(logits, chosen, self.options.dgl_pa)}]
        evidence, against = (gradients[self.gradient_layer] for gradients in forward.gradients(weights))
        return dual_gradients(forward.features[self.gradient_layer], evidence, against)
