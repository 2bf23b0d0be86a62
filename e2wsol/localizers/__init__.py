"""Localizers that look at a trained classifier from outside, by gradients with respect to any of its layers.

Below the methods, which may use their parts: `network.Network` describes a method or any Keras classifier,
`layer_gradients.LayerGradients` runs it and differentiates its outputs, `formulas` make maps of features and gradients.
"""

import e2wsol.installed_keras  # noqa: F401  # isort: skip

from e2wsol.localizers.classifiers import CAM, DGL, GradCAM, GradCAMPlusPlus, LayerCAM
from e2wsol.localizers.formulas import LOCALIZERS
from e2wsol.localizers.localizer import ALL_LAYERS, Localizer, LocalizerOptions

__all__ = [
    "ALL_LAYERS",
    "CAM",
    "DGL",
    "LOCALIZERS",
    "GradCAM",
    "GradCAMPlusPlus",
    "LayerCAM",
    "Localizer",
    "LocalizerOptions",
]
