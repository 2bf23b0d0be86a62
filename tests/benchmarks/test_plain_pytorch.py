"""The yardstick of the speed benchmarks computes what our networks, objectives and maps do."""

import pathlib
import sys

import keras
import numpy as np
import pytest

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.methods.spol_cam import SPOLCamOptions
from e2wsol.methods.spol_seg import SPOLSegOptions

torch = pytest.importorskip("torch")

SIDE, CLASSES = 64, 5
CASES = [
    *(("cam", "vgg16"), ("cam", "resnet50"), ("bas", "mobilenet_v1"), ("bas", "inception_v3"), ("dgl", "vgg16")),
    *(("e2net", "resnet50_se"), ("e2net", "vgg16"), ("mnpo", "vgg16"), ("mnpos", "mobilenet_v1")),
    *(("spol_cam", "resnet50"), ("spol_seg", "mobilenet_v1")),
]


@pytest.fixture(scope="module")
def plain_methods():
    """The module of that name, which stands beside the scripts."""
    folder = str(pathlib.Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        import plain_methods

        yield plain_methods
    finally:
        sys.path.remove(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "backbone", "channels_last"),
    # The layout in memory is the network's, whatever the method.
    [(*case, False) for case in CASES] + [(*case, True) for case in CASES[:3]],
)
def test_same_objective_gradients_and_maps(method, backbone, channels_last, plain_methods):
    model = made_model(method, backbone)
    plain = plain_methods.Plain(model, channels_last)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    labels = rng.integers(0, CLASSES, 3)
    targets = rng.integers(0, 256, (3, SIDE, SIDE, 2), dtype=np.uint8) if model.needs_pseudo_masks else labels

    plain.twin.eval()
    _, maps = model.localize(images, labels)
    _, plain_maps = plain.maps(torch.from_numpy(images), torch.from_numpy(labels))
    plain_maps = plain_maps.detach().numpy()
    np.testing.assert_allclose(maps, plain_maps, rtol=1e-3, atol=2e-4 * np.abs(plain_maps).max())

    plain.twin.train()
    plain_loss = plain.loss(torch.from_numpy(images), torch.from_numpy(targets))
    plain_loss.backward()
    loss, gradient = loss_and_gradient(model, images, targets)
    np.testing.assert_allclose(loss, plain_loss.item(), rtol=1e-4)
    first = next(p for p in plain.twin.parameters() if p.ndim == 4)
    np.testing.assert_allclose(np.linalg.norm(gradient), first.grad.norm().item(), rtol=0.02)


def made_model(method, backbone):
    keras.utils.set_random_seed(1)
    model = methods.create(
        method,
        backbone=BackboneOptions(backbone=backbone, backbone_width=0.1),
        image_size=SIDE,
        num_classes=CLASSES,
        options=[SPOLCamOptions(dropout=0.0), SPOLSegOptions(dropout=0.0)],
    )
    rng = np.random.default_rng(2)
    for variable in model.weights:
        if variable.path.endswith(("beta", "bias", "moving_mean", "moving_variance")):
            variable.assign(rng.uniform(0.5, 1.0, variable.shape))
    return model


def loss_and_gradient(model, images, targets):
    """The objective in training, and its gradient to the first kernel."""
    import tensorflow as tf

    kernel = next(v for v in model.trainable_variables if v.path.endswith("kernel") and len(v.shape) == 4)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(images, targets, model(images, training=True))
    return float(loss), tape.gradient(loss, kernel.value)
