"""Localizers that look at a trained method from outside, by gradients with respect to any of its layers.

Below the methods, which may use their parts: `cut.Cut` runs a method and differentiates its outputs,
the formulas (dgl, gradcam, layercam) make maps of features and gradients.
"""

from e2wsol.localizers.localizer import ALL_LAYERS, LOCALIZERS, Localizer, LocalizerOptions

__all__ = ["ALL_LAYERS", "LOCALIZERS", "Localizer", "LocalizerOptions"]
