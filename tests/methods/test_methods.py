"""What every method promises, on every backbone."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from e2wsol import config, methods
from e2wsol.backbones import ARCHITECTURES, BackboneOptions
from e2wsol.errors import UserError
from e2wsol.layers import AttentionDropout, MaxoutAttentionExcitation
from e2wsol.localization import protocols
from e2wsol.localization.boxes import extract_box
from e2wsol.localization.score_map import to_score_map
from e2wsol.methods.adl import ADLOptions
from e2wsol.methods.bas import BAS, BASOptions
from e2wsol.methods.cam import CAMOptions
from e2wsol.methods.dgl import DGLOptions
from e2wsol.methods.e2net import E2NetOptions
from e2wsol.methods.mnpo import MNPO, MNPOOptions
from e2wsol.methods.spol_cam import SPOLCam, SPOLCamOptions
from e2wsol.methods.spol_seg import SPOLSegOptions
from e2wsol.prediction import saved_model
from e2wsol.training.optimizers import NesterovMomentum

SIZE, CLASSES = 32, 4
IMAGES = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8)
LABELS = np.array([0, 3, 2, 1, 3, 0], np.int32)


def create(method="e2net", backbone="vgg16", options=(), seed=0, output_stride=8, **backbone_options):
    keras.utils.set_random_seed(seed)
    return methods.create(
        method,
        backbone=BackboneOptions(
            backbone=backbone, backbone_width=0.05, output_stride=output_stride, **backbone_options
        ),
        image_size=SIZE,
        num_classes=CLASSES,
        options=options,
    )


def stirred(model):
    """Small random numbers in every variable that starts at a constant, so that it counts."""
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        if len(weight.shape) == 1:
            # Of so few channels nothing may be left where SPOL multiplies its levels, if some are at zero.
            shift = 0.3 if "spol_level" in weight.path else 0
            weight.assign(weight + rng.normal(shift, 0.1, weight.shape))
    return model


# The pairs that the fast run takes: every method, and a backbone with batch normalization.
QUICK = (
    ("cam", "vgg16"),
    ("adl", "vgg16"),
    ("e2net", "vgg16"),
    ("bas", "vgg16"),
    ("bas", "mobilenet_v1"),
    ("dgl", "vgg16"),
    ("mnpo", "vgg16"),
    ("mnpos", "vgg16"),
)
# Tracing the networks for a SavedModel takes the longest.
QUICK_EXPORTS = ()


def pairs(quick):
    """Every method that classifies on every backbone; those not in `quick` are left to the slow run."""
    return [
        pytest.param(*pair, marks=[pytest.mark.slow] * (pair not in quick))
        for pair in itertools.product([n for n, m in methods.METHODS.items() if m.classifies], ARCHITECTURES)
        if pair[1] != "efficientnet_b7" or pair[0] == "cam"  # EfficientNet-B0 with 800 layers
        # What these add to CAM or BAS knows nothing of the backbone but the names of its levels.
        if pair[0] not in ("has", "acol", "spg", "cutmix") or pair[1] in ("vgg16", "mobilenet_v1")
    ]


@pytest.mark.parametrize(("method", "backbone"), pairs(QUICK))
def test_contract(method, backbone):
    model = create(method, backbone, output_stride=16)
    # Tracing a deep network takes longer than its one step.
    model.compile(NesterovMomentum(0.01), metrics=["accuracy"], run_eagerly=(method, backbone) != ("e2net", "vgg16"))
    before = [weight.numpy() for weight in model.trainable_weights]
    history = model.fit(IMAGES, LABELS, batch_size=6, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"][0]) and 0 <= history["accuracy"][0] <= 1
    assert any(np.any(weight != start) for weight, start in zip(model.trainable_weights, before))
    check_localize(model)


def map_side(model):
    """Side of the features that the maps lie on: BAS's trunk, SPOL's shallowest, that of gradients, else the last."""
    if type(model) is MNPO:  # fuses at the picture's own size
        return model.image_size
    end_points = model.backbone.output
    names = {BAS: model.architecture.trunk, SPOLCam: model.architecture.levels[0]}
    last = names.get(type(model), list(end_points)[-1])
    return end_points[getattr(model, "gradient_layer", last)].shape[1]


def check_localize(model):
    """Maps of the predicted class, of one and of many classes agree with each other."""
    outputs = model(IMAGES, training=False)
    logits, predicted_maps = model.localize(IMAGES)
    np.testing.assert_array_equal(logits, outputs["logits"])
    assert logits.shape == (6, CLASSES) and logits.dtype == predicted_maps.dtype == "float32"
    height, width = predicted_maps.shape[1:]
    assert height == width == map_side(model)
    every = np.tile(np.arange(CLASSES), (6, 1))
    _, maps = model.localize(IMAGES, every)
    assert maps.shape == (6, CLASSES, height, width)
    _, label_maps = model.localize(IMAGES, LABELS)
    chosen = np.asarray(maps)[np.arange(6), LABELS]
    np.testing.assert_allclose(label_maps, chosen, rtol=1e-4, atol=1e-6 * np.abs(chosen).max())
    predicted = np.argmax(logits, axis=1)
    chosen = np.asarray(maps)[np.arange(6), predicted]
    np.testing.assert_allclose(predicted_maps, chosen, rtol=1e-4, atol=1e-6 * np.abs(chosen).max())


# A graph or a file is a backbone's and a method's: all backbones under one method, and all methods on one backbone.
EXPORTS = [
    pair
    for pair in pairs(QUICK_EXPORTS)
    if pair.values[1] == "vgg16" or (pair.values[0] == "cam" and pair.values[1] != "efficientnet_b7")
]


@pytest.mark.parametrize(("method", "backbone"), EXPORTS)
def test_file_is_the_method(method, backbone, tmp_path):
    model = create(method, backbone, output_stride=16)
    rng = np.random.default_rng(2)
    for weight in model.weights:
        weight.assign(weight + rng.uniform(0, 0.1, weight.shape))
    again = save_and_load(model, tmp_path / "model.keras")
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(model.localize(IMAGES, LABELS), again.localize(IMAGES, LABELS)):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("method", "backbone"), EXPORTS)
def test_export_is_the_eager_method_and_the_numpy_box_extractor(method, backbone, tmp_path):
    model = stirred(create(method, backbone, output_stride=16))
    protocol = protocols.get(model.protocol)
    saved_model.write(model, protocol, tmp_path / "export", {})
    found = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"](images=tf.constant(IMAGES[:2]))
    logits, maps = (np.asarray(tensor) for tensor in model.localize(IMAGES[:2]))
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-3, atol=1e-4 * np.abs(logits).max())
    score_maps = [to_score_map(each, SIZE, protocol) for each in maps]
    assert all(score_map.max() > 0 for score_map in score_maps)  # of flat maps nothing could be told
    np.testing.assert_allclose(found["map"], score_maps, atol=1e-3)
    settings = {"image_size": (SIZE, SIZE), "size": SIZE, "threshold": protocol.default_threshold}
    boxes = [extract_box(each, protocol=protocol.name, **settings) for each in maps]
    np.testing.assert_array_equal(found["box"], boxes)


def save_and_load(model, path):
    model.save(path)
    again = keras.saving.load_model(path)
    assert type(again) is type(model) and again.get_config() == model.get_config()
    return again


def test_loss_is_the_mean_cross_entropy():
    model = create("cam")
    logits = np.random.default_rng(0).normal(size=(6, CLASSES)).astype(np.float32)
    powers = np.exp(logits.astype(np.float64))
    expected = -np.log(powers / powers.sum(1, keepdims=True))[np.arange(6), LABELS]
    assert float(model.compute_loss(IMAGES, LABELS, {"logits": logits})) == pytest.approx(expected.mean(), rel=1e-5)
    weights = np.array([1, 0, 2, 0, 0, 1], np.float32)
    weighted = model.compute_loss(IMAGES, LABELS, {"logits": logits}, sample_weight=weights)
    assert float(weighted) == pytest.approx((expected * weights).mean(), rel=1e-5)


@pytest.mark.parametrize(
    "backbone",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in ("vgg16", "mobilenet_v1"))) for name in ARCHITECTURES],
)
def test_cam_sums_to_the_logit_less_its_bias(backbone):
    model = stirred(create("cam", backbone))
    logits, maps = model.localize(IMAGES, np.tile(np.arange(CLASSES), (6, 1)))
    bias = model.get_layer("linear").bias.numpy()
    np.testing.assert_allclose(np.sum(maps, axis=(2, 3)), logits - bias, rtol=1e-3, atol=1e-4)


def test_cam_drops_pooled_features_in_training_only():
    model = create("cam", "mobilenet_v1", options=[CAMOptions(dropout=0.9)])
    assert isinstance(model.get_layer("linear_dropout"), keras.layers.Dropout)
    features = np.ones((1, model.get_layer("linear").kernel.shape[0]), np.float32)
    dropped = np.asarray(model.get_layer("linear_dropout")(features, training=True))
    assert set(np.unique(dropped)) == {0, np.float32(10)}
    first, second = (np.asarray(model(IMAGES, training=False)["logits"]) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert "linear_dropout" not in [layer.name for layer in create("cam", "mobilenet_v1").layers]


def test_adl_drops_in_training_only():
    model = create("adl", options=[ADLOptions(keep_prob=0.0, threshold=0.3)])
    plain = model(IMAGES, training=False)["logits"]
    np.testing.assert_array_equal(model(IMAGES)["logits"], plain)
    assert not np.allclose(model(IMAGES, training=True)["logits"], plain)


def inserted_layers(model, kind):
    return [layer.name for layer in model.backbone.layers if isinstance(layer, kind)]


@pytest.mark.slow
def test_positions_are_the_backbones_own_or_as_asked():
    assert inserted_layers(create("adl"), AttentionDropout) == ["adl_pool3", "adl_pool4", "adl_conv5_3"]
    asked = create("adl", options=[ADLOptions(positions=("pool2",))])
    assert inserted_layers(asked, AttentionDropout) == ["adl_pool2"]
    released = inserted_layers(create("e2net", "resnet50_se"), MaxoutAttentionExcitation)
    assert released == ["mae_group2_block0", "mae_group3_block0", "mae_group3"]
    asked = create("e2net", options=[ADLOptions(), E2NetOptions(mae_positions=("conv5_3",))])
    assert inserted_layers(asked, MaxoutAttentionExcitation) == ["mae_conv5_3"]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("adl", ADLOptions(("pool2", "pool4"), 0.4, 0.6)),
        (
            "e2net",
            E2NetOptions(("pool3",), 0.7, "minmax", ("horizontal", "left_oblique"), True, "cam_max"),
        ),
        ("bas", BASOptions(0.7, 0.05, 2, True, "own", 3, 80, "normal")),
        ("spol_cam", SPOLCamOptions("cross_entropy", 0.2)),
        ("spol_seg", SPOLSegOptions(0.3, 0.4, 0.05, 0.2)),
        ("mnpo", MNPOOptions(1.5)),
        ("mnpos", MNPOOptions(3.0, "pool3")),
        ("dgl", DGLOptions("pool3", 4.0, 0.25)),
    ],
)
def test_config_is_complete(method, options, tmp_path):
    model = create(method, options=[options], backbone_batch_norm=True, preprocessing="caffe")
    again = save_and_load(model, tmp_path / "model.keras")
    assert again.options == options and again.backbone_options == model.backbone_options
    assert config.to_mapping(again.options) == model.get_config()["options"]
    assert (again.image_size, again.num_classes, again.name) == (SIZE, CLASSES, method.replace("_", ""))
    np.testing.assert_array_equal(again.localize(IMAGES, LABELS)[1], model.localize(IMAGES, LABELS)[1])


@pytest.mark.slow
def test_compiled_model_goes_on_training_after_loading(tmp_path):
    model = create("cam")
    model.compile(NesterovMomentum(0.01, multipliers=[("conv.*", 0.1)]), run_eagerly=True)
    model.fit(IMAGES, LABELS, batch_size=3, verbose=0, shuffle=False)
    again = save_and_load(model, tmp_path / "model.keras")
    for trained in (model, again):
        trained.fit(IMAGES, LABELS, batch_size=3, verbose=0, shuffle=False)
    for one, other in zip(model.get_weights(), again.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


def test_half_precision_keeps_logits_and_maps_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        logits, maps = create("e2net").localize(IMAGES, LABELS)
    finally:
        keras.config.set_dtype_policy("float32")
    assert logits.dtype == maps.dtype == "float32"


def test_unknown_method_lists_the_valid_ones():
    with pytest.raises(UserError, match="method=cma: unknown; choose one of acol, adl, bas, cam, cutmix, dgl, e2net"):
        create("cma")
