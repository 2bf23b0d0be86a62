import dataclasses
from typing import Any, ClassVar

from e2wsol.config import option
from e2wsol.layers import PatchHiding
from e2wsol.methods.base import Tensors, register
from e2wsol.methods.cam import CAM


@dataclasses.dataclass(frozen=True)
class HaSOptions:
    """Hide-and-seek."""

    flag_prefix: ClassVar[str] = "has_"

    patch_size: int = option(44, "side of the squares that pictures are hidden by, pixels of --image_size", minimum=1)
    probability: float = option(0.5, "probability that a square is hidden", minimum=0.0, maximum=1.0)


@register("has")
class HaS(CAM):
    """Hide-and-seek (Kumar Singh and Lee, ICCV 2017): a CAM classifier that trains on partly hidden pictures."""

    Options = HaSOptions

    @classmethod
    def augment(cls, images: Any, options: Any) -> tuple[Any, Tensors]:
        hiding = PatchHiding(options.patch_size, options.probability, name="patch_hiding")
        return hiding(images), {}
