"""SPOL's network, losses and maps against plain NumPy."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from e2wsol import methods
from e2wsol.backbones import BackboneOptions, architecture
from e2wsol.methods.spol_cam import SPOLCamOptions
from e2wsol.methods.spol_seg import SPOLSegOptions
from e2wsol.training.optimizers import NesterovMomentum

SIZE, CLASSES = 64, 5
IMAGES = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
LABELS = np.array([0, 3, 2, 4], np.int32)
# Sides of the three levels at 64 pixels, output stride 16; ResNet50's at 32 are the release's.
LEVELS = {
    ("vgg16", 16): (8, 8, 4),
    ("mobilenet_v1", 16): (8, 8, 4),
    ("inception_v3", 16): (8, 8, 4),
    ("resnet50", 16): (8, 8, 4),
    ("resnet50", 32): (8, 4, 2),
}
# The fast run takes one of each method.
QUICK = {("spol_cam", "vgg16", 16), ("spol_seg", "vgg16", 16)}
ALL = [
    pytest.param(method, *key, marks=[pytest.mark.slow] * ((method, *key) not in QUICK))
    for method, key in itertools.product(("spol_cam", "spol_seg"), LEVELS)
]


def create(method, backbone="vgg16", output_stride=16, options=()):
    keras.utils.set_random_seed(0)
    return methods.create(
        method,
        backbone=BackboneOptions(backbone=backbone, backbone_width=0.05, output_stride=output_stride),
        image_size=SIZE,
        num_classes=CLASSES,
        options=options,
    )


def stirred(model):
    """Small random numbers in every variable above the backbone that starts at a constant, so that it counts."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if len(weight.shape) == 1 and weight.path.startswith("spol_") and "seed" not in weight.path:
            weight.assign(np.abs(weight + rng.normal(0, 0.1, weight.shape)))
        if weight.path.endswith("conv3_bn/gamma"):  # without it ResNet's features double with every block
            weight.assign(0.1 * weight)
    product, _ = Plain(model).fused()
    head = model.get_layer("spol_head")
    head.kernel.assign(head.kernel / product.std())
    return model


def pseudo_masks(seed=2):
    """uint8 (4, S, S, 2): every kind of pixel in stretches, the limits themselves among them."""
    rng = np.random.default_rng(seed)
    small = rng.choice([0, 2, 3, 63, 64, 255], (4, 8, 8, 2))
    return np.repeat(np.repeat(small, SIZE // 8, 1), SIZE // 8, 2).astype(np.uint8)


def softmax(x):
    powers = np.exp(np.asarray(x, np.float64))
    return powers / powers.sum(-1, keepdims=True)


def aligned(x, side):
    """(B, h, h, c) resized to side x side, corners on corners, by NumPy's interpolation along each axis."""
    old, new = np.linspace(0, 1, x.shape[1]), np.linspace(0, 1, side)
    rows = np.apply_along_axis(lambda values: np.interp(new, old, values), 1, x)
    return np.apply_along_axis(lambda values: np.interp(new, old, values), 2, rows)


class Plain:
    """The network above the backbone in NumPy, moving statistics in its batch normalizations."""

    def __init__(self, model):
        self.model = model
        end_points = model.backbone(IMAGES, training=False)
        self.levels = [np.asarray(end_points[name], np.float64) for name in architecture(self.backbone).levels]

    @property
    def backbone(self):
        return self.model.backbone_options.backbone

    def convolution(self, name, x):
        kernel, bias = (np.asarray(weight, np.float64) for weight in self.model.get_layer(name).weights)
        return x @ kernel[0, 0] + bias

    def normalized(self, name, x):
        norm = self.model.get_layer(f"{name}_bn")
        x = (x - norm.moving_mean) / np.sqrt(norm.moving_variance + 1e-5) * norm.gamma + norm.beta
        return np.maximum(x, 0)

    def fused(self):
        shared = 1
        for number, x in enumerate(self.levels, start=3):
            mean = x.mean((1, 2), keepdims=True)
            name = f"spol_squeeze{number}"
            shared = shared * self.normalized(name, self.convolution(name, mean))
        reduced = []
        for number, x in enumerate(self.levels, start=3):
            gate = 1 / (1 + np.exp(-self.convolution(f"spol_gate{number}", shared)))
            x = self.normalized(f"spol_level{number}", self.convolution(f"spol_level{number}", gate * x))
            reduced.append(aligned(x, self.levels[0].shape[1]))
        return reduced[0] * reduced[1] * reduced[2], reduced[2]


@pytest.mark.parametrize(("method", "backbone", "output_stride"), ALL)
def test_network_and_round_trip(method, backbone, output_stride, tmp_path):
    model = stirred(create(method, backbone, output_stride))
    plain = Plain(model)
    assert tuple(level.shape[1] for level in plain.levels) == LEVELS[backbone, output_stride]
    product, deepest = plain.fused()
    outputs = model(IMAGES, training=False)
    head = plain.convolution("spol_head", product)
    if method == "spol_cam":
        expected, found = np.maximum(head, 0), outputs["class_maps"]
        deep = np.maximum(plain.convolution("spol_head", deepest), 0)
        np.testing.assert_allclose(outputs["logits"], expected.mean((1, 2)), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(outputs["deep_logits"], deep.mean((1, 2)), rtol=1e-3, atol=1e-4)
    else:
        expected, found = head[..., 0], outputs["map"]
        assert "logits" not in outputs
    assert expected.std() > 1e-3 * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=1e-2 * expected.std())
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.get_config() == model.get_config()
    np.testing.assert_array_equal(again.localize(IMAGES, LABELS)[1], model.localize(IMAGES, LABELS)[1])


def test_the_fused_features_learn_from_the_deepest_level():
    model = create("spol_cam")
    rng = np.random.default_rng(0)
    deep, fused = (tf.constant(rng.normal(size=(4, CLASSES)), tf.float32) for _ in range(2))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([deep, fused])
        terms = model.loss_terms(LABELS, {"deep_logits": deep, "logits": fused})
    labelled = -np.log(softmax(deep)[np.arange(4), LABELS])
    distilled = -(softmax(deep) * np.log(softmax(fused))).sum(-1)
    np.testing.assert_allclose(terms["classification"], labelled / 2, rtol=1e-5)
    np.testing.assert_allclose(terms["distillation"], distilled / 2, rtol=1e-5)
    # The label reaches the deepest level alone, and the teacher is held fixed.
    assert tape.gradient(terms["classification"], fused) is None
    assert tape.gradient(terms["distillation"], deep) is None
    np.testing.assert_allclose(
        tape.gradient(terms["distillation"], fused), (softmax(fused) - softmax(deep)) / 2, atol=1e-6
    )


def test_objective_of_imagenet_is_the_label_on_the_fused_features():
    model = create("spol_cam", options=[SPOLCamOptions(objective="cross_entropy")])
    outputs = model(IMAGES, training=False)
    assert set(outputs) == {"class_maps", "logits"}
    terms = model.loss_terms(LABELS, outputs)
    expected = -np.log(softmax(outputs["logits"])[np.arange(4), LABELS])
    assert set(terms) == {"classification"}
    np.testing.assert_allclose(terms["classification"], expected, rtol=1e-5)


def test_maps_of_a_class_are_not_negative_and_their_mean_is_its_logit():
    model = stirred(create("spol_cam"))
    logits, maps = model.localize(IMAGES, np.tile(np.arange(CLASSES), (4, 1)))
    assert np.min(maps) == 0 < np.max(maps)
    np.testing.assert_allclose(np.mean(maps, axis=(2, 3)), logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.localize(IMAGES, LABELS)[1], np.asarray(maps)[np.arange(4), LABELS], atol=1e-6)


def test_segmentation_loss():
    """Resized logits; object and background pixels count, the mean is over all."""
    model, masks = create("spol_seg"), pseudo_masks()
    logits = np.random.default_rng(0).normal(0, 3, (4, 8, 8)).astype(np.float32)
    terms = model.loss_terms(masks, {"map": logits})
    resized = aligned(logits[..., None].astype(np.float64), SIZE)[..., 0]
    probability = 1 / (1 + np.exp(-resized))
    is_object = (masks >= 64).any(-1)
    weight = is_object | (masks[..., 0] <= 2)
    assert 0.1 < np.mean(weight) < 0.95 and 0.1 < np.mean(is_object) < 0.9
    losses = -np.where(is_object, np.log(probability), np.log1p(-probability))
    assert set(terms) == {"segmentation"}
    np.testing.assert_allclose(terms["segmentation"], (losses * weight).mean((1, 2)), rtol=1e-5)


def test_limits_of_the_pseudo_mask_are_options():
    options = SPOLSegOptions(foreground=0.5, prior=0.2, background=0.1)
    model = create("spol_seg", options=[options])
    masks = np.array([[128, 0], [127, 52], [127, 51], [25, 0], [26, 0]], np.uint8).reshape(1, 1, 5, 2)
    target, weight = model.target_and_weight(masks)
    assert np.asarray(target).tolist() == [[[1, 1, 0, 0, 0]]]
    assert np.asarray(weight).tolist() == [[[1, 1, 0, 1, 0]]]


def test_segmentation_knows_no_classes():
    model = stirred(create("spol_seg"))
    assert not model.classifies and model.needs_pseudo_masks
    logits, maps = model.localize(IMAGES)
    assert logits is None and maps.shape == (4, 8, 8) and maps.dtype == "float32"
    for labels, expected in ((LABELS, maps), (np.zeros((4, 3), int), np.stack([maps] * 3, axis=1))):
        logits, found = model.localize(IMAGES, labels)
        assert logits is None
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "targets"), [("spol_cam", LABELS), ("spol_seg", pseudo_masks())])
def test_fit_lowers_the_loss(method, targets):
    # Tracing the network takes longer than its few steps.
    model = create(method, options=[SPOLCamOptions(dropout=0.0), SPOLSegOptions(dropout=0.0)])
    model.compile(NesterovMomentum(0.01), metrics=["accuracy"] if model.classifies else None, run_eagerly=True)
    history = model.fit(IMAGES, targets, batch_size=4, epochs=4, verbose=0).history
    assert history["loss"][-1] < 0.98 * history["loss"][0]
    assert ("accuracy" in history) == model.classifies


@pytest.mark.parametrize("method", ["spol_cam", "spol_seg"])
def test_dropout_in_training_only(method):
    model = stirred(create(method))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    name = {"spol_cam": "logits", "spol_seg": "map"}[method]
    first, second = (np.asarray(model(IMAGES, training=True)[name]) for _ in range(2))
    assert np.abs(first - second).max() > 0
    first, second = (np.asarray(model(IMAGES, training=False)[name]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_half_precision_keeps_maps_and_losses_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        cam, seg = create("spol_cam"), create("spol_seg")
    finally:
        keras.config.set_dtype_policy("float32")
    logits, maps = cam.localize(IMAGES, LABELS)
    assert logits.dtype == maps.dtype == seg.localize(IMAGES)[1].dtype == "float32"
    assert seg.loss_terms(pseudo_masks(), seg(IMAGES))["segmentation"].dtype == "float32"
