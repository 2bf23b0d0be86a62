"""MNPO's branch module, losses and fused maps, and MNPOs' gradient maps, against NumPy and OpenCV."""

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from e2wsol import methods
from e2wsol.backbones import ARCHITECTURES, BackboneOptions
from e2wsol.errors import UserError
from e2wsol.methods.mnpo import MNPOOptions, parallel_branch, resize_cubic
from e2wsol.methods.mnpos import gradient_maps, loss_cotangents

SIZE, CLASSES = 32, 4
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
LABELS = np.array([2, 0, 3], np.int32)
MANY = np.array([[2, 1], [0, 0], [3, 1]], np.int32)
BACKBONES = [pytest.param(name, marks=[pytest.mark.slow] * (name != "vgg16")) for name in ARCHITECTURES]


def create(method="mnpo", backbone="vgg16", *, image_size=SIZE, output_stride=16, **options):
    keras.utils.set_random_seed(0)
    model = methods.create(
        method,
        backbone=BackboneOptions(backbone=backbone, backbone_width=0.1, output_stride=output_stride),
        image_size=image_size,
        num_classes=CLASSES,
        options=[MNPOOptions(**options)],
    )
    stir(model)
    return model


def stir(model):
    """Random numbers in every variable that starts at a constant, so that it counts."""
    rng = np.random.default_rng(1)
    for variable in model.variables:
        if len(variable.shape) == 1:
            variable.assign(np.abs(variable + rng.normal(0, 0.2, variable.shape)))


def outputs_of(model, training=False):
    return {name: np.asarray(value, np.float64) for name, value in model(IMAGES, training=training).items()}


# ------------------------------------------------------------------------------- branch module


class PlainBranch:
    """The branch module in NumPy from the weights of a Keras one; inference."""

    def __init__(self, model):
        self.layers = {layer.name: layer for layer in model.layers}

    def convolution(self, x, name, stride=1):
        kernel = np.asarray(self.layers[name].kernel, np.float64)
        margin = kernel.shape[0] // 2
        x = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], (1, 2))[:, ::stride, ::stride]
        x = np.einsum("byxcij,ijco->byxo", windows, kernel)
        norm = self.layers[f"{name}_bn"]
        mean, variance, gamma, beta = (
            np.asarray(v, np.float64) for v in (norm.moving_mean, norm.moving_variance, norm.gamma, norm.beta)
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def bottleneck(self, x, name, stride=1, projected=False):
        y = np.maximum(self.convolution(x, f"{name}_conv1"), 0)
        y = np.maximum(self.convolution(y, f"{name}_conv2", stride), 0)
        y = self.convolution(y, f"{name}_conv3")
        return np.maximum(y + (self.convolution(x, f"{name}_convshortcut", stride) if projected else x), 0)

    def __call__(self, shallow, middle, deep, stride):
        x = self.bottleneck(shallow, "branch_layer1", stride, projected=True)[:, : middle.shape[1], : middle.shape[2]]
        x = np.concatenate([x, np.maximum(self.convolution(middle, "branch_conv1"), 0)], -1)
        x = self.bottleneck(x, "branch_layer2")
        return np.concatenate([x, np.maximum(self.convolution(deep, "branch_conv2"), 0)], -1)


@pytest.mark.parametrize(("shallow_side", "side", "stride"), [(8, 4, 2), (5, 5, 1), (7, 4, 2), (7, 3, 2)])
def test_branch_is_the_plain_one(shallow_side, side, stride):
    """Also where a pooling halved an odd side downwards: the branch drops its last row and column."""
    shapes = ((shallow_side, shallow_side, 6), (side, side, 5), (side, side, 7))
    inputs = [keras.Input(shape) for shape in shapes]
    model = keras.Model(inputs, parallel_branch(*inputs, channels=48))
    stir(model)
    arrays = [RNG.normal(size=(2, *shape)) for shape in shapes]
    found = model([array.astype(np.float32) for array in arrays], training=False)
    assert found.shape == (2, side, side, 48)
    np.testing.assert_allclose(found, PlainBranch(model)(*arrays, stride), rtol=1e-4, atol=1e-4)


def test_widths_and_size_are_the_releases():
    inputs = [keras.Input(shape) for shape in ((28, 28, 512), (14, 14, 512), (14, 14, 512))]
    model = keras.Model(inputs, parallel_branch(*inputs, channels=1024))
    widths = {layer.name: layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)}
    assert widths == {
        **{"branch_layer1_conv1": 224, "branch_layer1_conv2": 224, "branch_layer1_conv3": 896},
        **{"branch_layer1_convshortcut": 896, "branch_conv1": 64, "branch_conv2": 64},
        **{"branch_layer2_conv1": 240, "branch_layer2_conv2": 240, "branch_layer2_conv3": 960},
    }
    assert sum(np.prod(variable.shape) for variable in model.trainable_variables) == 2_278_080


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("image_size", "output_stride"), [(64, 16), (40, 16), (32, 8)])
def test_branch_stands_on_every_backbone(backbone, image_size, output_stride):
    model = create(backbone=backbone, image_size=image_size, output_stride=output_stride)
    assert model.output["branch_features"].shape == model.output["features"].shape
    levels = [model.backbone.output[name].shape[1] for name in model.architecture.branch_levels]
    last = list(model.backbone.output.values())[-1].shape[1]
    assert levels[1:] == [last, last]
    assert levels[0] == last if output_stride == 8 else levels[0] // 2 <= last <= (levels[0] + 1) // 2


# ------------------------------------------------------------------------------- losses and maps


def test_both_branches_share_the_classifier_and_have_their_loss():
    model = create()
    outputs = outputs_of(model)
    kernel, bias = (np.asarray(variable) for variable in model.get_layer("linear").weights)
    terms = model.loss_terms(LABELS, model(IMAGES, training=False))
    for logits, features, term in (
        ("logits", "features", "classification"),
        ("branch_logits", "branch_features", "branch"),
    ):
        expected = outputs[features].mean((1, 2)) @ kernel + bias
        np.testing.assert_allclose(outputs[logits], expected, rtol=1e-4, atol=1e-5)
        entropy = np.log(np.exp(expected).sum(1)) - expected[np.arange(3), LABELS]
        np.testing.assert_allclose(terms[term], entropy, rtol=1e-4)
    assert not np.allclose(outputs["logits"], outputs["branch_logits"])


def test_either_loss_trains_trunk_and_classifier():
    model = create()
    with tf.GradientTape(persistent=True) as tape:
        terms = model.loss_terms(LABELS, model(IMAGES, training=True))
    for term in terms.values():
        gradients = dict(
            zip((v.path for v in model.trainable_variables), tape.gradient(term, model.trainable_variables))
        )
        assert np.any(gradients["conv1_1/kernel"]) and np.any(gradients["linear/kernel"])
    assert np.any(gradients["branch_layer1_conv1/kernel"])


@pytest.mark.parametrize("factor", [1.0, 2.0, 3.5])
def test_maps_are_resized_and_then_fused(factor):
    model = create(positive_weight=factor)
    head, scale = model.get_layer("features"), [outputs_of(model)[f"{name}features"].mean() for name in ("", "branch_")]
    for variable in head.weights:  # so that neither branch wins everywhere
        variable.assign(variable * scale[1] / scale[0])
    outputs, kernel = outputs_of(model), np.asarray(model.get_layer("linear").kernel, np.float64)
    kernel = np.where(kernel > 0, factor * kernel, kernel)
    expected = np.empty((3, 2, SIZE, SIZE))
    fused = []
    for picture, column in np.ndindex(3, 2):
        weights = kernel[:, MANY[picture, column]]
        main, branch = (
            cv2.resize(outputs[name][picture] @ weights / 4, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
            for name in ("features", "branch_features")
        )
        expected[picture, column] = np.maximum(main, branch)
        fused.append(np.mean(main > branch))
    assert outputs["features"].shape[1:3] == (2, 2) and any(0 < share < 1 for share in fused)
    found = model.localize(IMAGES, MANY)[1]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (14, 14), (40, 40)])
def test_resize_is_opencvs(shape):
    maps = RNG.normal(size=(2, 3, *shape)).astype(np.float32)
    expected = [
        [cv2.resize(one.astype(np.float64), (37, 37), interpolation=cv2.INTER_CUBIC) for one in m] for m in maps
    ]
    np.testing.assert_allclose(resize_cubic(tf.constant(maps), 37), expected, atol=2e-6)


# ------------------------------------------------------------------------------- MNPOs


def test_gradient_maps_are_the_formula():
    features, evidence, loss = RNG.normal(size=(3, 2, 4, 5, 6))
    weights = evidence.sum((1, 2))
    weights = np.where(weights > 0, 3 * weights, weights)
    expected = [(s / np.sqrt((s**2).sum()) - g / np.sqrt((g**2).sum())) @ w for s, g, w in zip(features, loss, weights)]
    found = gradient_maps(*(tf.constant(x, "float32") for x in (features, evidence, loss)), 3.0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_features_of_zeros_leave_a_finite_map():
    zeros, ones = tf.zeros((1, 2, 2, 3)), tf.ones((1, 2, 2, 3))
    np.testing.assert_array_equal(gradient_maps(zeros, ones, zeros, 2.0), np.zeros((1, 2, 2)))


def test_loss_cotangents_are_the_releases():
    logits = RNG.normal(size=(3, CLASSES))
    powers = np.exp(logits)
    chosen = np.eye(CLASSES)[LABELS]
    found = loss_cotangents({"logits": tf.constant(logits)}, chosen)["logits"]
    np.testing.assert_allclose(found, powers / powers.sum(1, keepdims=True) - 10 * chosen, rtol=1e-6)


def watched_gradients(model, layer, cotangents):
    """Features at `layer` and the gradients there, by a tape that watches zeros added to what the layer gives."""
    target, watched = model.backbone.get_layer(layer), {}
    plain_call = target.call

    def call(x):
        watched["features"] = plain_call(x)
        watched["added"] = tf.zeros_like(watched["features"])
        tape.watch(watched["added"])
        return watched["features"] + watched["added"]

    target.call = call
    try:
        with tf.GradientTape(persistent=True) as tape:
            outputs = model(IMAGES, training=False)
            sums = [sum(tf.reduce_sum(outputs[name] * w) for name, w in each.items()) for each in cotangents]
    finally:
        target.call = plain_call
    return watched["features"], [tape.gradient(total, watched["added"]) for total in sums]


@pytest.mark.parametrize(
    ("option", "layer"),
    [
        pytest.param("", "conv5_2_relu", marks=pytest.mark.slow),
        pytest.param("conv4_2", "conv4_2_relu", marks=pytest.mark.slow),
        ("pool4", "pool4"),
        pytest.param("conv5_3", "conv5_3_relu", marks=pytest.mark.slow),
    ],
)
def test_gradients_run_through_both_branches(option, layer):
    model = create("mnpos", layer=option)
    logits, maps = model.localize(IMAGES, LABELS)
    outputs = {name: value for name, value in outputs_of(model).items() if name.endswith("logits")}
    np.testing.assert_allclose(logits, outputs["logits"], rtol=1e-5, atol=1e-6)
    chosen = np.eye(CLASSES, dtype=np.float32)[LABELS]
    evidence, loss = dict.fromkeys(outputs, chosen), loss_cotangents(outputs, chosen)
    loss = {name: np.asarray(weights, np.float32) for name, weights in loss.items()}
    features, gradients = watched_gradients(model, layer, [evidence, loss, {"logits": chosen}])
    assert np.abs(gradients[0] - gradients[2]).max() > 1e-3 * np.abs(gradients[0]).max()
    expected = np.asarray(gradient_maps(features, *gradients[:2], 2.0))
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_each_class_has_its_map():
    model = create("mnpos")
    maps = np.asarray(model.localize(IMAGES, MANY)[1])
    for column in range(2):
        np.testing.assert_allclose(maps[:, column], model.localize(IMAGES, MANY[:, column])[1], rtol=1e-4, atol=1e-6)
    assert not np.allclose(maps[0, 0], maps[0, 1])


def test_ties_of_a_pooling_go_to_the_first_as_in_pytorch():
    """Half the windows of a pooling of ReLUs are all zero; where their gradient goes moves MNPOs' map at conv4_3."""
    x = tf.constant(np.float32([[0, 0, 1, 2], [0, 0, 2, 2]])[None, ..., None])
    with tf.GradientTape() as tape:
        tape.watch(x)
        pooled = keras.layers.MaxPooling2D(2)(x)
    gradient = tape.gradient(pooled, x)[0, ..., 0]
    np.testing.assert_array_equal(gradient, [[1, 0, 0, 1], [0, 0, 0, 0]])


@pytest.mark.parametrize("layer", ["features", "conv5_4", "group3"])
def test_layer_that_is_no_end_point_is_refused(layer):
    with pytest.raises(UserError, match=f"^layer={layer}: no such end point; choose among conv1_1, .*, conv5_3"):
        create("mnpos", layer=layer)
