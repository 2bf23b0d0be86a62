"""Every method in 16 bits: the network's features are, what comes out of it is float32."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from made_statistics import track_the_pictures

from e2wsol import compute, methods
from e2wsol.backbones import BackboneOptions
from e2wsol.localizers import LOCALIZERS, Localizer, LocalizerOptions
from e2wsol.methods.adl import ADLOptions
from e2wsol.training.optimizers import optimizer_class

SIZE, CLASSES = 32, 4
IMAGES = tf.constant(np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8))
MASKS = np.random.default_rng(1).integers(0, 256, (4, SIZE, SIZE, 2), dtype=np.uint8)
BATCH = {"label": tf.constant([0, 3, 2, 1]), "pseudo_mask": tf.constant(MASKS)}
PRECISIONS = ("mixed_bfloat16", "mixed_float16")


@pytest.fixture(params=PRECISIONS)
def precision(request):
    """Networks built in the test compute so; afterwards in float32 again."""
    compute.use(compute.ComputeOptions(precision=request.param))
    yield request.param
    compute.use(compute.ComputeOptions())


def create(method, backbone):
    keras.utils.set_random_seed(0)
    options = BackboneOptions(backbone=backbone, backbone_width=0.1, output_stride=8)
    kept = ADLOptions(keep_prob=1.0)  # of maps as even as an untrained network's it drops everything
    model = methods.create(method, backbone=options, image_size=SIZE, num_classes=CLASSES, options=[kept])
    track_the_pictures(model, IMAGES)
    return model


def step(model, precision):
    """Losses picture by picture of one training step, the gradients, and the changes of the weights."""
    variables = model.trainable_variables
    optimizer = optimizer_class(precision)(0.01)
    optimizer.build(variables)
    if precision == "mixed_float16":
        optimizer.loss_scale.assign(2.0**6)  # where training comes to after some skipped steps
    before = [variable.numpy() for variable in variables]
    with tf.GradientTape() as tape:
        terms = model.loss_terms(model.targets(BATCH), model(IMAGES, training=True), True)
        loss = optimizer.scale_loss(tf.reduce_mean(sum(terms.values())))
    gradients = tape.gradient(loss, variables)
    optimizer.apply(gradients, variables)
    return terms, gradients, [np.abs(one - two.numpy()).max() for one, two in zip(before, variables)]


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["vgg16", "mobilenet_v1"])
@pytest.mark.parametrize("method", methods.METHODS)
def test_features_have_16_bits_and_results_32(method, backbone, precision):
    model = create(method, backbone)
    assert {end_point.dtype for end_point in model.backbone.output.values()} == {precision.removeprefix("mixed_")}
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    logits, maps = model.localize(IMAGES, BATCH["label"])
    assert maps.dtype == tf.float32 and np.isfinite(maps).all() and np.ptp(maps) > 0
    assert logits is None or (logits.dtype == tf.float32 and np.isfinite(logits).all())
    terms, gradients, changes = step(model, precision)
    for name, term in terms.items():
        assert term.dtype == tf.float32 and np.isfinite(term).all(), name
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert np.mean([change > 0 for change in changes]) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("localizer", LOCALIZERS)
def test_localizers_maps_have_32_bits(localizer, precision):
    model = create("cam", "mobilenet_v1")
    looking = Localizer(model, LocalizerOptions(localizer=(localizer,)))
    _, maps = looking.localize(IMAGES, BATCH["label"])
    assert maps.dtype == tf.float32 and np.isfinite(maps).all() and np.ptp(maps) > 0


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cam", "e2net", "bas"])
def test_maps_are_near_those_of_float32(method, precision):
    """The same weights: to a share of the map's range, as 8 or 11 bits of significand allow."""
    half = create(method, "vgg16")
    compute.use(compute.ComputeOptions())
    full = create(method, "vgg16")
    full.set_weights(half.get_weights())
    _, expected = full.localize(IMAGES, BATCH["label"])
    _, found = half.localize(IMAGES, BATCH["label"])
    share = 0.2 if precision == "mixed_bfloat16" else 0.03
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * np.ptp(expected))
