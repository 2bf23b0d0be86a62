"""Backbones: functional Keras models from uint8 images to named end points."""

import e2wsol.installed_keras  # noqa: F401  # isort: skip

import dataclasses
from collections.abc import Mapping

import keras

from e2wsol.backbones.base import Architecture, BackboneOptions, EndPoints, scaled
from e2wsol.backbones.efficientnet import EFFICIENTNET_B0, EFFICIENTNET_B7
from e2wsol.backbones.inception import INCEPTION_V3, INCEPTION_V3_SLIM
from e2wsol.backbones.mobilenet import MOBILENET_V1
from e2wsol.backbones.resnet import RESNET50, RESNET50_SE
from e2wsol.backbones.vgg import VGG16
from e2wsol.errors import ArgumentError, choose
from e2wsol.layers import Preprocessing

ARCHITECTURES = {
    "vgg16": VGG16,
    "resnet50": RESNET50,
    "resnet50_se": RESNET50_SE,
    "mobilenet_v1": MOBILENET_V1,
    "inception_v3": INCEPTION_V3,
    "inception_v3_slim": INCEPTION_V3_SLIM,
    "efficientnet_b0": EFFICIENTNET_B0,
    "efficientnet_b7": EFFICIENTNET_B7,
}

__all__ = ["ARCHITECTURES", "Architecture", "BackboneOptions", "architecture", "build", "scaled"]


def architecture(name: str) -> Architecture:
    """The Architecture called `name`; an ArgumentError lists the valid names."""
    return ARCHITECTURES[choose(name, ARCHITECTURES, "backbone", owner=BackboneOptions)]


def build(
    options: BackboneOptions, image_size: int, inserted: Mapping[str, keras.layers.Layer] | None = None
) -> keras.Model:
    """Builds a backbone.

    Args:
      options: BackboneOptions.
      image_size: side S of the square input.
      inserted: end point name -> layer that is put right behind it (the marked feature is what it gives).

    Returns:
      a functional keras.Model from uint8 RGB pictures (B, S, S, 3) in 0..255 to a dict of all end
      points (B, h, w, c), in order from input to output; the last is the final feature. Its attribute
      `inserted_names` has the names of the inserted layers.

    Raises:
      UserError: unknown backbone, or an inserted layer at an end point that does not exist.
    """
    family = architecture(options.backbone)
    options = _resolved(options, family)
    images = keras.Input((image_size, image_size, 3), dtype="uint8", name="images")
    end_points = EndPoints(inserted)
    family.build(Preprocessing(options.preprocessing, name="preprocessing")(images), options, end_points)
    end_points.check()
    network = keras.Model(images, dict(end_points), name=options.backbone)
    network.inserted_names = tuple(layer.name for layer in (inserted or {}).values())
    return network


def _resolved(options: BackboneOptions, family: Architecture) -> BackboneOptions:
    """The options with the family's own choices in place of "auto"."""
    scheme = family.preprocessing if options.preprocessing == "auto" else options.preprocessing
    conventions = family.conventions[0] if options.backbone_conventions == "auto" else options.backbone_conventions
    if conventions not in family.conventions:
        problem = f"{options.backbone} follows {', '.join(family.conventions)} only"
        raise ArgumentError("backbone_conventions", conventions, problem, owner=BackboneOptions)
    if options.output_stride not in family.output_strides:
        choices = ", ".join(map(str, family.output_strides))
        problem = f"{options.backbone} has {choices} only"
        raise ArgumentError("output_stride", options.output_stride, problem, owner=BackboneOptions)
    return dataclasses.replace(options, preprocessing=scheme, backbone_conventions=conventions)
