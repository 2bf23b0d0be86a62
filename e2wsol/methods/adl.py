import dataclasses
from typing import Any, ClassVar

from e2wsol.backbones import Architecture
from e2wsol.config import option
from e2wsol.layers import AttentionDropout
from e2wsol.methods.base import register
from e2wsol.methods.cam import CAM


@dataclasses.dataclass(frozen=True)
class ADLOptions:
    """Attention-based dropout layer."""

    flag_prefix: ClassVar[str] = "adl_"

    positions: tuple[str, ...] = option((), "end points behind which ADL stands; empty for the backbone's own")
    threshold: float = option(0.5, "drop positions above this share of the maximal attention", minimum=0.0)
    keep_prob: float = option(0.25, "probability of the importance map instead of dropping", minimum=0.0, maximum=1.0)


@register("adl")
class ADL(CAM):
    """Attention-based dropout layer (Choe and Shim, CVPR 2019) on a CAM classifier."""

    Options = ADLOptions

    @classmethod
    def inserted_layers(cls, architecture: Architecture, options: Any) -> dict[str, Any]:
        return {
            position: AttentionDropout(options.threshold, options.keep_prob, name=f"adl_{position}")
            for position in options.positions or architecture.attention_positions
        }
