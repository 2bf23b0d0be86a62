"""Backbones: functional Keras models from uint8 pictures to named end points."""

import keras

from e2wsol.backbones.base import Architecture, BackboneOptions, EndPoints, scaled
from e2wsol.backbones.mobilenet import MOBILENET_V1
from e2wsol.backbones.resnet_se import RESNET50_SE
from e2wsol.backbones.vgg import VGG16
from e2wsol.errors import choose
from e2wsol.layers import Preprocessing

ARCHITECTURES = {"vgg16": VGG16, "resnet50_se": RESNET50_SE, "mobilenet_v1": MOBILENET_V1}

__all__ = ["ARCHITECTURES", "Architecture", "BackboneOptions", "architecture", "build", "scaled"]


def architecture(name):
    """The Architecture called `name`; a UserError lists the valid names."""
    return ARCHITECTURES[choose(name, ARCHITECTURES, "backbone")]


def build(options, image_size, gates=None):
    """Builds a backbone.

    Args:
      options: BackboneOptions.
      image_size: side S of the square input.
      gates: end point name -> layer that is put right behind it (the marked feature is the gated one).

    Returns:
      a functional keras.Model from uint8 RGB pictures (B, S, S, 3) in 0..255 to a dict of all end
      points (B, h, w, c), in order from input to output; the last is the final feature.

    Raises:
      UserError: unknown backbone, or a gate at an end point that does not exist.
    """
    family = architecture(options.backbone)
    scheme = family.preprocessing if options.preprocessing == "auto" else options.preprocessing
    images = keras.Input((image_size, image_size, 3), dtype="uint8", name="images")
    end_points = EndPoints(gates)
    family.build(Preprocessing(scheme, name="preprocessing")(images), options, end_points)
    end_points.check()
    return keras.Model(images, dict(end_points), name=options.backbone)
