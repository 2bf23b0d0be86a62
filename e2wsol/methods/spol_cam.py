import dataclasses
from typing import Any

import keras
from keras import ops

from e2wsol.backbones import Architecture
from e2wsol.config import option
from e2wsol.methods import spol
from e2wsol.methods.base import Method, Tensors, cross_entropy, label_maps, logits_dtype, register


@dataclasses.dataclass(frozen=True)
class SPOLCamOptions:
    """SPOL's class maps."""

    objective: str = option(
        "self_distillation",
        "the deepest level learns the class and the fused features learn from it (released CUB code), or the fused "
        "features learn the class by cross_entropy (released ILSVRC code)",
        choices=("self_distillation", "cross_entropy"),
        flag="spol_objective",
    )
    dropout: float = option(
        0.5,
        "dropout of single numbers in front of the class maps, in training",
        minimum=0.0,
        maximum=0.99,
        flag="spol_cam_dropout",
    )


@register("spol_cam")
class SPOLCam(Method):
    """First stage of SPOL (Wei et al., CVPR 2021, section 3.1): class maps on shallow and deep features multiplied.

    From its maps e2wsol.pseudo_masks makes what SPOLSeg learns. Outputs: "class_maps" (B, h, w, C) >= 0 and
    "logits" (B, C), their means; with self-distillation "deep_logits" (B, C), the same on the deepest level alone.
    """

    Options = SPOLCamOptions

    @classmethod
    def heads(
        cls, end_points: Tensors, architecture: Architecture, width: float, num_classes: int, options: Any
    ) -> Tensors:
        product, deepest = spol.fused_levels(end_points, architecture, width)
        dropout = keras.layers.Dropout(options.dropout, name="spol_dropout")
        # Released: the ReLU stands in front of the mean, so no logit is negative.
        head = spol.head(num_classes, activation="relu", dtype=logits_dtype())
        mean = keras.layers.GlobalAveragePooling2D(dtype=logits_dtype(), name="logits")
        outputs = {"class_maps": head(dropout(product))}
        outputs["logits"] = mean(outputs["class_maps"])
        if options.objective == "self_distillation":
            outputs["deep_logits"] = mean(head(dropout(deepest)))
        return outputs

    def loss_terms(self, labels: Any, outputs: Tensors, training: bool = True) -> Tensors:
        """Cross-entropy of the deepest level and distillation into the fused features, half each; or cross-entropy."""
        if self.options.objective == "cross_entropy":
            return super().loss_terms(labels, outputs, training)
        teacher = ops.stop_gradient(ops.softmax(outputs["deep_logits"]))
        distillation = -ops.sum(teacher * ops.log_softmax(outputs["logits"]), axis=-1)
        return {
            "classification": cross_entropy(labels, outputs["deep_logits"]) / 2,
            "distillation": distillation / 2,
        }

    def class_maps(self, outputs: Tensors, labels: Any) -> Any:
        return label_maps(outputs["class_maps"], labels)
