"""Localization methods behind one contract (see base.Method), and the registry of their names."""

import dataclasses

from e2wsol.config import option
from e2wsol.errors import choose
from e2wsol.methods.acol import ACoL
from e2wsol.methods.adl import ADL
from e2wsol.methods.bas import BAS
from e2wsol.methods.base import Method
from e2wsol.methods.cam import CAM
from e2wsol.methods.cutmix import CutMix
from e2wsol.methods.dgl import DGL
from e2wsol.methods.e2net import E2Net
from e2wsol.methods.has import HaS
from e2wsol.methods.mnpo import MNPO
from e2wsol.methods.mnpos import MNPOs
from e2wsol.methods.spg import SPG
from e2wsol.methods.spol_cam import SPOLCam
from e2wsol.methods.spol_seg import SPOLSeg

METHODS = {
    "cam": CAM,
    "adl": ADL,
    "e2net": E2Net,
    "bas": BAS,
    "mnpo": MNPO,
    "mnpos": MNPOs,
    "dgl": DGL,
    "spol_cam": SPOLCam,
    "spol_seg": SPOLSeg,
    "has": HaS,
    "acol": ACoL,
    "spg": SPG,
    "cutmix": CutMix,
}

__all__ = ["METHODS", "Method", "MethodOptions", "create", "name_of", "option_classes"]


@dataclasses.dataclass(frozen=True)
class MethodOptions:
    """Which localization method."""

    method: str = option("e2net", "localization method", choices=tuple(METHODS))


def option_classes():
    """The option dataclasses of all methods, each once, for a command's flags."""
    classes = dict.fromkeys(method.Options for method in METHODS.values())
    return [options for options in classes if dataclasses.fields(options)]


def name_of(model):
    """The key of METHODS that a model is of."""
    return next(name for name, method in METHODS.items() if method is type(model))


def create(name, *, backbone, image_size, num_classes, options=()):
    """Builds the method called `name`.

    Args:
      name: a key of METHODS.
      backbone: BackboneOptions.
      image_size: side of the square input, pixels.
      num_classes: number of classes.
      options: option instances of any methods; the one that this method declares is used, defaults
        when there is none.

    Raises:
      UserError: unknown method, backbone or end point.
    """
    method = METHODS[choose(name, METHODS, "method")]
    own = next((instance for instance in options if isinstance(instance, method.Options)), None)
    return method(backbone=backbone, image_size=image_size, num_classes=num_classes, options=own)
