import dataclasses
from typing import Any, ClassVar

from keras import ops

from e2wsol.config import option
from e2wsol.layers import PatchMixing
from e2wsol.methods.base import Tensors, cross_entropy, register
from e2wsol.methods.cam import CAM


@dataclasses.dataclass(frozen=True)
class CutMixOptions:
    """CutMix."""

    flag_prefix: ClassVar[str] = "cutmix_"

    beta: float = option(1.0, "the pictures' shares are drawn from Beta(this, this)", minimum=0.01)
    probability: float = option(1.0, "probability that a batch is mixed", minimum=0.0, maximum=1.0)


@register("cutmix")
class CutMix(CAM):
    """CutMix (Yun et al., ICCV 2019): a CAM classifier that trains on pictures with a rectangle of another one.

    Outputs of CAM, and "partner" int32 (B,) and "share" (B,): see PatchMixing.
    """

    Options = CutMixOptions

    @classmethod
    def augment(cls, images: Any, options: Any) -> tuple[Any, Tensors]:
        mixing = PatchMixing(options.beta, options.probability, name="patch_mixing")
        mixed, partner, share = mixing(images)
        return mixed, {"partner": partner, "share": share}

    def loss_terms(self, labels: Any, outputs: Tensors, training: bool = True) -> Tensors:
        """Cross-entropy with the labels of both pictures, by their shares of the area (equation 1)."""
        logits = outputs["logits"]
        share = ops.cast(outputs["share"], logits.dtype)
        partners = ops.take(ops.convert_to_tensor(labels), outputs["partner"], axis=0)
        mixed = share * cross_entropy(labels, logits) + (1 - share) * cross_entropy(partners, logits)
        return {"classification": mixed}
