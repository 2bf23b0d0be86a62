"""DGL against plain formulas, and its flag files against the release's numbers."""

import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from e2wsol import config, methods, releases, train
from e2wsol.backbones import ARCHITECTURES, BackboneOptions
from e2wsol.data.pipeline import PipelineOptions
from e2wsol.errors import UserError
from e2wsol.localization import protocols
from e2wsol.localization.protocols import BoxOptions
from e2wsol.localization.score_map import to_score_map
from e2wsol.methods import MethodOptions
from e2wsol.methods.cam import CAM
from e2wsol.methods.dgl import DGLOptions
from e2wsol.training import optimizers
from e2wsol.training.loop import LoopOptions

ROOT = pathlib.Path(__file__).resolve().parents[2]
KIT = ROOT.parent / "shared" / "parity" / "public"
SIZE, CLASSES = 32, 5
IMAGES = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
LABELS = np.array([0, 4, 2])


def create(backbone="vgg16", method="dgl", output_stride=8, width=0.06, classes=CLASSES, **options):
    keras.utils.set_random_seed(0)
    model = methods.create(
        method,
        backbone=BackboneOptions(backbone=backbone, backbone_width=width, output_stride=output_stride),
        image_size=SIZE,
        num_classes=classes,
        options=[DGLOptions(**options)],
    )
    # A classifier that prefers one class clearly, and biases, which a zero would hide.
    kernel = model.get_layer("linear").kernel
    kernel.assign(10 * np.random.default_rng(1).normal(size=kernel.shape))
    return model


def unit(x):
    """Each picture's values (B, h, w, c) over their norm, in plain loops."""
    return np.stack([each / np.sqrt((each.astype(np.float64) ** 2).sum()) for each in x])


def probabilities(logits):
    powers = np.exp(np.asarray(logits, np.float64))
    return powers / powers.sum(1, keepdims=True)


def assert_close(found, expected, relative=1e-4):
    np.testing.assert_allclose(found, expected, rtol=0, atol=relative * np.abs(expected).max())


@pytest.mark.parametrize("pa", [10.0, 3.0])
def test_gradients_on_the_last_features_are_the_classifiers_rows(pa):
    """There both gradients are known: the rows of the classifier over h * w, weighted by e, and by p - pa e."""
    model = create(layer="features", pa=pa)
    outputs = model(IMAGES, training=False)
    features, kernel = np.asarray(outputs["features"], np.float64), model.get_layer("linear").kernel.numpy()
    area = np.prod(features.shape[1:3])
    chosen = np.eye(CLASSES)[LABELS]
    evidence, against = (
        np.broadcast_to((weights @ kernel.T / area)[:, None, None], features.shape)
        for weights in (chosen, probabilities(outputs["logits"]) - pa * chosen)
    )
    logits, maps = model.localize(IMAGES, LABELS)
    np.testing.assert_array_equal(logits, outputs["logits"])
    assert_close(maps, (evidence * (unit(features) - unit(against))).sum(-1))


def test_inner_layer_against_a_tape_through_the_layers_above():
    model = create(layer="conv5_3")
    logits, maps = model.localize(IMAGES)
    features = tf.constant(model.backbone(IMAGES)["conv5_3"])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(features)
        x = features
        for layer in ("features", "linear_gap", "linear"):
            x = model.get_layer(layer)(x)
        top = tf.reduce_max(x, axis=1)
        p, chosen = tf.stop_gradient(tf.nn.softmax(x)), tf.one_hot(tf.argmax(x, axis=1), CLASSES)
        cost = tf.reduce_sum((p - 10 * chosen) * x, axis=1)
    np.testing.assert_allclose(x, logits, rtol=1e-5, atol=1e-6)
    evidence, against = np.asarray(tape.gradient(top, features)), np.asarray(tape.gradient(cost, features))
    assert_close(maps, (evidence * (unit(features.numpy()) - unit(against))).sum(-1))


@pytest.mark.parametrize("pa", [10.0, 3.0])
def test_last_layer_is_cam_but_for_scale_and_constant(pa):
    model, protocol = create(layer="features", pa=pa), protocols.get("dgl")
    cam = create(method="cam")
    cam.set_weights(model.get_weights())
    assert isinstance(cam, CAM)
    for one, other in zip(model.localize(IMAGES, LABELS)[1], cam.localize(IMAGES, LABELS)[1]):
        np.testing.assert_allclose(
            *(to_score_map(np.asarray(each), SIZE, protocol) for each in (one, other)), rtol=0, atol=1e-4
        )


def test_pictures_do_not_mix():
    model = create()
    _, together = model.localize(IMAGES, LABELS)
    for number in range(len(IMAGES)):
        _, alone = model.localize(IMAGES[number : number + 1], LABELS[number : number + 1])
        assert_close(alone[0], together[number])


@pytest.mark.parametrize(
    "backbone", [pytest.param(name, marks=[pytest.mark.slow] * (name != "vgg16")) for name in ARCHITECTURES]
)
def test_usual_layer_is_an_end_point(backbone):
    model = create(backbone, width=0.05)
    layer = ARCHITECTURES[backbone].dual_gradient_layer
    assert model.gradient_layer == layer and layer in model.backbone.output


def test_unknown_layer_is_an_early_error_that_lists_the_layers():
    with pytest.raises(UserError, match=r"^layer=pool9: no such layer; choose among conv1_1, .*, features"):
        create(layer="pool9")


def test_dropout_stands_before_each_layer_of_the_head():
    model = create("inception_v3_slim", width=0.05, dropout=0.5)
    names = [layer.name for layer in model.layers]
    head = ["features_dropout1", "features_1", "features_dropout2", "features"]
    assert names[-7:] == [*head, "linear_gap", "linear_dropout", "linear"]
    assert {layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)} == {0.5}
    plain = create("inception_v3_slim", width=0.05)
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in plain.layers)
    plain.set_weights(model.get_weights())
    for one, other in zip(model.localize(IMAGES), plain.localize(IMAGES)):
        np.testing.assert_array_equal(one, other)


# dgl.md, section 5: architecture, output stride, epochs, dropout, decay of kernels.
RELEASED = {
    "vgg16": ("vgg16", 16, 30, 0.0, 5e-4),
    "inception_v3": ("inception_v3_slim", 8, 30, 0.5, 0.0),
    "resnet50": ("resnet50", 8, 30, 0.0, 0.0),
    "resnet50_se": ("resnet50_se", 8, 2, 0.0, 0.0),
}


def parsed(name):
    """{option class: instance} as the train command reads them from flags/NAME.cfg."""
    flags, positional, _ = config.parse(["train", f"--flagfile={ROOT}/flags/{name}.cfg"], train.TrainFlags)
    assert not positional
    return {type(instance): instance for instance in config.instances(flags)}


@pytest.mark.parametrize("backbone", RELEASED)
@pytest.mark.parametrize("data", ["", "_ilsvrc"])
def test_flags_as_released(backbone, data):
    options = parsed(f"dgl_{backbone}{data}")
    network, dgl, loop = options[BackboneOptions], options[DGLOptions], options[LoopOptions]
    rule = optimizers.create(options[optimizers.OptimizerOptions], steps_per_epoch=loop.steps_per_epoch)
    found = (network.backbone, network.output_stride, loop.epochs, dgl.dropout, rule.decay("conv1_1/kernel"))
    assert found == RELEASED[backbone]
    assert options[MethodOptions].method == "dgl" and network.preprocessing == "imagenet_bgr"
    assert (loop.batch_size, loop.steps_per_epoch) == (32, 8000 if data else 1000)
    assert (dgl.pa, options[BoxOptions].protocol, options[BoxOptions].threshold) == (10.0, "dgl", 0.15)
    assert (options[PipelineOptions].image_size, options[PipelineOptions].resize_size) == (224, 256)
    for epoch in range(50):
        expected = 0.002 * 0.1 ** min(epoch // 10, 4)
        assert float(rule._learning_rate(epoch * loop.steps_per_epoch)) == pytest.approx(expected, rel=1e-5), epoch
    assert rule.decay("linear/bias") == rule.decay("conv0_bn/gamma") == 0 and rule.momentum == 0.9


@pytest.mark.skipif(not KIT.is_dir(), reason="the parity kit is not at ../shared/parity")
@pytest.mark.parametrize("backbone", ["vgg16", pytest.param("inception_v3", marks=pytest.mark.slow)])
def test_multipliers_are_those_of_the_parity_case(backbone):
    case = json.loads((KIT / f"dgl_{backbone}_ilsvrc" / "case.json").read_text(encoding="utf-8"))
    rule = optimizers.create(parsed(f"dgl_{backbone}")[optimizers.OptimizerOptions], steps_per_epoch=1)
    network = RELEASED[backbone][0]
    model = create(network, classes=case["num_classes"])
    shapes = {path: variable.shape for path, variable in releases.variables(model).items()}
    ours = {pair.theirs: pair.ours for pair in releases.namings("dgl", network, shapes)[0].pairs}
    expected = {
        ours[name]: float(value.removeprefix("unmatched (").removesuffix(")"))
        for value, names in case["train"]["lr_multipliers_by_value"].items()
        for name in names
    }
    assert len(expected) == sum(entry["trainable"] for entry in case["parameters"])
    assert {path: rule.multiplier(path) for path in expected} == expected


@pytest.mark.slow
def test_multipliers_of_resnet():
    """dgl.md, section 5: beta and the classifier's bias twice, group3 and squeeze-and-excitation as the rest."""
    rule = optimizers.create(parsed("dgl_resnet50_se")[optimizers.OptimizerOptions], steps_per_epoch=1)
    model = create("resnet50_se", width=0.05)
    twice = {variable.path for variable in model.trainable_variables if rule.multiplier(variable.path) == 2}
    expected = {"linear/bias", "conv0_bn/beta", "group2_block5_conv3_bn/beta", "group1_block0_convshortcut_bn/beta"}
    assert expected < twice and not any(path.startswith("group3") or "_fc" in path for path in twice)
    assert {rule.multiplier(variable.path) for variable in model.trainable_variables} == {1, 2}
    # 1 + 3 * (3 + 4 + 6) betas of conv0 and the bottlenecks, one shortcut a group, the classifier's bias.
    assert len(twice) == 1 + 39 + 3 + 1
