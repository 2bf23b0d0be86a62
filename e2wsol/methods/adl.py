import dataclasses

import keras

from e2wsol.config import option
from e2wsol.layers import AttentionDropout
from e2wsol.methods.cam import CAM


@dataclasses.dataclass(frozen=True)
class ADLOptions:
    """Attention-based dropout layer."""

    adl_positions: tuple[str, ...] = option((), "end points behind which ADL stands; empty for the backbone's own")
    adl_threshold: float = option(0.5, "drop positions above this share of the maximal attention", minimum=0.0)
    adl_keep_prob: float = option(
        0.25, "probability of the importance map instead of dropping", minimum=0.0, maximum=1.0
    )


@keras.saving.register_keras_serializable(package="e2wsol")
class ADL(CAM):
    """Attention-based dropout layer (Choe and Shim, CVPR 2019) on a CAM classifier."""

    Options = ADLOptions

    @classmethod
    def gates(cls, architecture, options):
        return {
            position: AttentionDropout(options.adl_threshold, options.adl_keep_prob, name=f"adl_{position}")
            for position in options.adl_positions or architecture.gate_positions
        }
