"""Weakly supervised object localization (WSOL) in Keras 3.

Names are resolved when they are first used: `import e2wsol` alone loads neither Keras nor a backend.

    model = e2wsol.BAS(num_classes=200, backbone="vgg16", weights="imagenet")    a keras.Model to train
    run = e2wsol.load("runs/x")                                                  a trained localizer
    found = run.predict("photo.jpg"); found.box, found.class_name, found.map
    maps = e2wsol.GradCAM(classifier, layer="block5_conv3")(images, labels)      any Keras classifier
    box = e2wsol.extract_box(maps[0], image_size=(width, height))
    scorer = e2wsol.Evaluator(protocol="maxboxaccv2")

Commands: `e2wsol train`, or `python -m e2wsol.train`; `e2wsol --help` lists them.
"""

import importlib
from typing import TYPE_CHECKING, Any

from e2wsol import stop_signals

stop_signals.watch_command()

__version__ = "0.1.0"

_METHODS = ("ACoL", "ADL", "BAS", "CAM", "CutMix", "DGL", "E2Net", "HaS", "MNPO", "MNPOs", "SPG")
# Where each public name lives.
_MODULES: dict[str, str] = {
    **{name: f"methods.{name.lower()}" for name in _METHODS},
    "SPOLCam": "methods.spol_cam",
    "SPOLSeg": "methods.spol_seg",
    "GradCAM": "localizers",
    "GradCAMPlusPlus": "localizers",
    "LayerCAM": "localizers",
    "load": "trained_run",
    "TrainedRun": "trained_run",
    "ExportedModel": "prediction.saved_model",
    "Localization": "prediction.predictors",
    "extract_box": "localization.boxes",
    "Evaluator": "localization.evaluator",
    "UserError": "errors",
    "ArgumentError": "errors",
}
_WITHOUT_KERAS = ("errors", "localization.")

__all__ = ["__version__", *sorted(_MODULES)]

if TYPE_CHECKING:
    from e2wsol.errors import ArgumentError, UserError
    from e2wsol.localization.boxes import extract_box
    from e2wsol.localization.evaluator import Evaluator
    from e2wsol.localizers import GradCAM, GradCAMPlusPlus, LayerCAM
    from e2wsol.methods.acol import ACoL
    from e2wsol.methods.adl import ADL
    from e2wsol.methods.bas import BAS
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
    from e2wsol.prediction.predictors import Localization
    from e2wsol.prediction.saved_model import ExportedModel
    from e2wsol.trained_run import TrainedRun, load


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not _MODULES[name].startswith(_WITHOUT_KERAS):
        importlib.import_module(f"{__name__}.quiet_tensorflow")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
