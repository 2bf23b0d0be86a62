"""Tiny methods, pictures, and gradients taken another way."""

import keras
import numpy as np
import tensorflow as tf

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.localizers.network import Network

SIZE, CLASSES = 64, 5
IMAGES = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
LABELS = np.array([1, 4, 2], np.int32)
WEIGHTS = np.random.default_rng(1).normal(size=(2, 3, CLASSES)).astype(np.float32)


def create(method="cam", backbone="vgg16", image_size=SIZE, width=0.1, options=()):
    """A method with random numbers in every variable, so that each counts."""
    keras.utils.set_random_seed(0)
    model = methods.create(
        method,
        backbone=BackboneOptions(backbone=backbone, backbone_width=width),
        image_size=image_size,
        num_classes=CLASSES,
        options=options,
    )
    rng = np.random.default_rng(2)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(np.asarray(weight) + rng.uniform(0, 0.2, weight.shape))
    return model


def direct_gradients(model, layers, cotangents, images=IMAGES):
    """What ForwardPass.gradients gives, from one tape over the whole network run layer outputs and all.

    `layers` are end points, or layers of the heads.
    """
    symbols = {layer: model.end_points.get(layer, None) for layer in layers}
    symbols = {layer: model.get_layer(layer).output if symbol is None else symbol for layer, symbol in symbols.items()}
    network = keras.Model(model.inputs[0], {"features": symbols, "outputs": dict(model.output)})
    with tf.GradientTape(persistent=True) as tape:
        found = network(images, training=False)
    found_gradients = []
    for cotangent in cotangents:
        targets = [found["outputs"][name] for name in cotangent]
        gradients = tape.gradient(
            targets, found["features"], [tf.constant(each) for each in cotangent.values()], unconnected_gradients="zero"
        )
        found_gradients.append(gradients)
    return found_gradients


def layer_names(model):
    """Every end point, and the map under a linear classifier where there is one."""
    network = Network(model)
    return list(dict.fromkeys([*model.end_points, *filter(None, [network.under_linear_classifier()])]))


def assert_close(found, expected, tolerance=1e-4):
    """Arrays equal to a share `tolerance` of their largest number, which must not be 0."""
    expected = np.asarray(expected)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def stretched(maps):
    maps = np.asarray(maps)
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    return (maps - low) / (high - low)
