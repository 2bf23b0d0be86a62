import dataclasses
from typing import Any, ClassVar

import keras
from keras import ops

from e2wsol.backbones import Architecture
from e2wsol.config import option
from e2wsol.layers import corner_resize
from e2wsol.methods import spol
from e2wsol.methods.base import Method, Tensors, logits_dtype, register


@dataclasses.dataclass(frozen=True)
class SPOLSegOptions:
    """SPOL's segmentation: which pixels of a pseudo mask are object, background, or neither."""

    flag_prefix: ClassVar[str] = "spol_seg_"

    foreground: float = option(0.25, "pixels whose foreground is above are object", minimum=0.0, maximum=1.0)
    prior: float = option(0.25, "pixels whose prior is above are object", minimum=0.0, maximum=1.0)
    background: float = option(
        0.01,
        "other pixels whose foreground is below are background, the rest teaches nothing",
        minimum=0.0,
        maximum=1.0,
    )
    dropout: float = option(
        0.5, "dropout of single numbers in front of the map, in training", minimum=0.0, maximum=0.99
    )


@register("spol_seg")
class SPOLSeg(Method):
    """Second stage of SPOL (Wei et al., CVPR 2021, section 3.3): segments the object, of whatever class.

    It learns from pseudo masks (see e2wsol.pseudo_masks) and predicts no class: train it with `fit` on
    (pictures, pseudo masks). Its protocol applies the sigmoid. Output: "map" (B, h, w) logits of the object.
    """

    Options = SPOLSegOptions
    protocol = "spol"
    classifies = False
    maps_are_logits = True
    needs_pseudo_masks = True

    @classmethod
    def heads(
        cls, end_points: Tensors, architecture: Architecture, width: float, num_classes: int, options: Any
    ) -> Tensors:
        product, _ = spol.fused_levels(end_points, architecture, width)
        x = keras.layers.Dropout(options.dropout, name="spol_dropout")(product)
        x = spol.head(1, dtype=logits_dtype())(x)
        return {"map": keras.layers.Reshape(x.shape[1:3], dtype=logits_dtype(), name="map")(x)}

    def targets(self, batch: Tensors) -> Any:
        return batch["pseudo_mask"]

    def loss_terms(self, labels: Any, outputs: Tensors, training: bool = True) -> Tensors:
        """Binary cross-entropy of the resized logits with pseudo masks `labels`, uint8 (B, S, S, 2) as in records.

        Pixels that are neither object nor background count in the mean, with a loss of 0, as released.
        """
        logits = corner_resize(outputs["map"][..., None], labels.shape[1:3])[..., 0]
        target, weight = self.target_and_weight(labels)
        losses = ops.binary_crossentropy(target, logits, from_logits=True)
        return {"segmentation": ops.mean(weight * losses, axis=(1, 2))}

    def target_and_weight(self, pseudo_masks: Any) -> tuple[Any, Any]:
        """(1 object and 0 else, 1 certain and 0 ignored), (B, S, S), of uint8 (B, S, S, 2): foreground and prior."""
        shares = ops.cast(pseudo_masks, logits_dtype()) / 255
        foreground, prior = shares[..., 0], shares[..., 1]
        target = ops.logical_or(foreground > self.options.foreground, prior > self.options.prior)
        certain = ops.logical_or(target, foreground < self.options.background)
        return ops.cast(target, logits_dtype()), ops.cast(certain, logits_dtype())

    def localize(self, images: Any, labels: Any = None) -> tuple[Any, Any]:
        """As Method.localize, but logits are None and the maps of all classes the same."""
        maps = self(images, training=False)["map"]
        if labels is not None and len(labels.shape) == 2:
            maps = ops.repeat(maps[:, None], labels.shape[1], axis=1)
        return None, maps
