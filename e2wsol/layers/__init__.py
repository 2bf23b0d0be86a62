"""Keras layers that the methods are made of; keras and keras.ops alone."""

from e2wsol.layers.attention_dropout import AttentionDropout
from e2wsol.layers.convolutional_classifier import ConvolutionalClassifier
from e2wsol.layers.corner_resize import CornerResize, corner_resize
from e2wsol.layers.maxout_attention import MaxoutAttentionExcitation
from e2wsol.layers.normalization import BatchNormalization
from e2wsol.layers.orientation import ORIENTATIONS, DiagonalConv2D, orientation_conv
from e2wsol.layers.patch_hiding import PatchHiding
from e2wsol.layers.patch_mixing import PatchMixing
from e2wsol.layers.preprocessing import PREPROCESSINGS, Preprocessing

__all__ = [
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
