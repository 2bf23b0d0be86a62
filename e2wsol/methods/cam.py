import dataclasses
from typing import Any, ClassVar

from e2wsol.backbones import Architecture
from e2wsol.config import option
from e2wsol.methods.base import Method, Tensors, class_activation_maps, classifier, head_features, register


@dataclasses.dataclass(frozen=True)
class CAMOptions:
    """Class activation maps."""

    flag_prefix: ClassVar[str] = "cam_"

    dropout: float = option(0.0, "dropout between pooling and classifier, in training", minimum=0.0, maximum=0.99)


@register("cam")
class CAM(Method):
    """Class activation maps (Zhou et al., CVPR 2016): the baseline of the field."""

    Options: ClassVar[type] = CAMOptions
    on_classifier = "CAM"

    @classmethod
    def heads(
        cls, end_points: Tensors, architecture: Architecture, width: float, num_classes: int, options: Any
    ) -> Tensors:
        features = head_features(list(end_points.values())[-1], architecture, width, "features")
        # Methods that are CAM but for what they train on have options of their own.
        dropout = options.dropout if isinstance(options, CAMOptions) else 0.0
        logits = classifier(features, num_classes, architecture, "linear", dropout=dropout)
        return {"logits": logits, "features": features}

    def class_maps(self, outputs: Tensors, labels: Any) -> Any:
        return class_activation_maps(outputs["features"], self.get_layer("linear").kernel, labels)
