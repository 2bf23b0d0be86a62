"""E2Net's head bank and fusion, against NumPy."""

import keras
import numpy as np
import pytest

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.layers import ORIENTATIONS, BatchNormalization
from e2wsol.methods.e2net import FUSIONS, E2NetOptions

SIZE, CLASSES = 32, 5
IMAGES = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
LABELS = np.array([0, 4, 2, 1])


def create(backbone="vgg16", **options):
    keras.utils.set_random_seed(0)
    return methods.create(
        "e2net",
        backbone=BackboneOptions(backbone=backbone, backbone_width=0.06, output_stride=8),
        image_size=SIZE,
        num_classes=CLASSES,
        options=[E2NetOptions(**options)],
    )


def heads(model, bank):
    """Features (B, h, w, c) and classifier weights (c, C) of every head."""
    outputs = {name: np.asarray(value, np.float64) for name, value in model(IMAGES, training=False).items()}
    kernels = [model.get_layer(f"{name}_linear").kernel.numpy().astype(np.float64) for name in bank]
    return [outputs[f"{name}_features"] for name in bank], kernels


def cam(features, kernel):
    """The class activation map of each picture's label, as the sum over channels, in plain loops."""
    return np.stack([f @ kernel[:, label] for f, label in zip(features, LABELS)]) / np.prod(features.shape[1:3])


@pytest.mark.parametrize("bank", [("original", "horizontal", "vertical"), ORIENTATIONS, ("left_oblique",)])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_fusion(fusion, bank):
    model = create(ose_orientations=bank, ose_fusion=fusion)
    features, kernels = heads(model, bank)
    mean = np.mean(kernels, axis=0)
    expected = {
        "feature_max": lambda: cam(np.max(features, axis=0), mean),
        "cam_max": lambda: np.max([cam(f, k) for f, k in zip(features, kernels)], axis=0),
        "cam_max_shared": lambda: np.max(
            [cam(features[0], mean), *(cam(f, k) for f, k in zip(features[1:], kernels[1:]))], axis=0
        ),
    }[fusion]()
    _, maps = model.localize(IMAGES, LABELS)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("backbone", ["vgg16", pytest.param("resnet50_se", marks=pytest.mark.slow)])
def test_logits_are_the_sum_of_the_heads(backbone):
    model = create(backbone, ose_orientations=ORIENTATIONS)
    outputs = model(IMAGES, training=False)
    total = 0
    for name in ORIENTATIONS:
        layer = model.get_layer(f"{name}_linear")
        logits = np.mean(outputs[f"{name}_features"], axis=(1, 2)) @ layer.kernel.numpy() + layer.bias.numpy()
        np.testing.assert_allclose(outputs[f"{name}_logits"], logits, rtol=1e-3, atol=1e-5)
        total = total + logits
    np.testing.assert_allclose(outputs["logits"], total, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_heads_as_released():
    """VGG: an oriented convolution with bias and a 3x3 one; ResNet: the oriented one alone, without bias."""
    paths = {weight.path for weight in create().weights}
    assert {"horizontal_conv/bias", "vertical_features/kernel", "original_features/kernel"} <= paths
    assert not any("original_conv" in path for path in paths)
    model = create("resnet50_se", ose_batch_norm=True)
    paths = {weight.path for weight in model.weights}
    assert "horizontal_conv/bias" not in paths and "horizontal_conv_bn/gamma" in paths
    assert not any("horizontal_features" in path for path in paths)
    assert isinstance(model.get_layer("vertical_conv_bn"), BatchNormalization)
    assert tuple(model.get_layer("horizontal_conv").kernel.shape[:2]) == (1, 3)
    assert tuple(model.get_layer("vertical_conv").kernel.shape[:2]) == (3, 1)


def test_features_are_not_negative():
    features, _ = heads(create(ose_orientations=ORIENTATIONS), ORIENTATIONS)
    assert all(f.min() >= 0 and f.max() > 0 for f in features)


def test_each_head_has_its_own_weights():
    features, _ = heads(create(ose_orientations=ORIENTATIONS), ORIENTATIONS)
    assert len({float(f.sum()) for f in features}) == len(ORIENTATIONS)
