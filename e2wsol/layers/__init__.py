"""Keras layers that the methods are made of; keras and keras.ops alone."""

import e2wsol.installed_keras  # noqa: F401  # isort: skip

from e2wsol.layers.attention import NORMALIZATIONS, AttentionDropout, MaxoutAttentionExcitation
from e2wsol.layers.convolutions import ORIENTATIONS, ConvolutionalClassifier, DiagonalConv2D, orientation_conv
from e2wsol.layers.corner_resize import CornerResize, corner_resize
from e2wsol.layers.images import PREPROCESSINGS, PatchHiding, PatchMixing, Preprocessing
from e2wsol.layers.normalization import BatchNormalization

__all__ = [
    "NORMALIZATIONS",
    "ORIENTATIONS",
    "PREPROCESSINGS",
    "AttentionDropout",
    "BatchNormalization",
    "ConvolutionalClassifier",
    "CornerResize",
    "DiagonalConv2D",
    "MaxoutAttentionExcitation",
    "PatchHiding",
    "PatchMixing",
    "Preprocessing",
    "corner_resize",
    "orientation_conv",
]
