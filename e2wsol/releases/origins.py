"""What a release's weights ask for besides a network of the right shape."""

import dataclasses

from e2wsol import flagfiles
from e2wsol.errors import UserError

CLASSES = {"cub": 200, "ilsvrc": 1000}


@dataclasses.dataclass(frozen=True)
class Origin:
    """How the pictures reach a release's network.

    Attributes:
      preprocessing: the scheme of BackboneOptions that its weights were trained with.
      conventions: whose padding and epsilons it has.
      resize: the library that its evaluation resizes with: "pillow" (antialiased) or "opencv" (not).
    """

    preprocessing: str
    conventions: str
    resize: str

    @property
    def flags(self):
        """{flag: value} that a model with these weights must have."""
        return {"preprocessing": self.preprocessing, "backbone_conventions": self.conventions}


_BAS = Origin("imagenet", "torch", "pillow")
_MNPO = Origin("imagenet", "auto", "pillow")
_SPOL = Origin("imagenet", "torch", "opencv")
_E2NET = Origin("imagenet_bgr", "auto", "opencv")
_DGL = Origin("imagenet_bgr", "tensorflow", "opencv")
ORIGINS = {
    **{"bas": _BAS, "mnpo": _MNPO, "mnpos": _MNPO, "spol_cam": _SPOL, "spol_seg": _SPOL},
    **{"e2net": _E2NET, "dgl": _DGL},
}
# Flagfiles that are not called METHOD_BACKBONE.
_FLAGFILES = {
    ("e2net", "vgg16"): "e2net_vgg",
    ("dgl", "inception_v3_slim"): "dgl_inception_v3",
    ("spol_cam", "resnet50"): "spol_cam",
    ("spol_seg", "resnet50"): "spol_seg",
}


def released_flagfile(method, backbone, dataset):
    """The flagfile of a release.

    Args:
      method, backbone: as --method and --backbone.
      dataset: a key of CLASSES.

    Raises:
      UserError: there is none.
    """
    name = _FLAGFILES.get((method, backbone), f"{method}_{backbone}")
    file = flagfiles.folder() / f"{name}{'' if dataset == 'cub' else f'_{dataset}'}.cfg"
    if not file.is_file():
        raise UserError(
            f"--dataset={dataset}: {method} on {backbone} has no released settings here ({file} is missing); "
            "give --flagfile and --num_classes"
        )
    return file
