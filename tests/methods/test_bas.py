"""BAS's branches, its erased branch's statistics and gradients, and its maps, against NumPy and rebuilt networks."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from made_statistics import track_the_pictures

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.errors import UserError
from e2wsol.methods.bas import BASOptions, suppression_ratio
from e2wsol.training.optimizers import NesterovMomentum

SIZE, CLASSES = 32, 5
# Noise of four brightnesses, for pictures that differ in more than their pixels.
IMAGES = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
IMAGES //= np.array([1, 2, 3, 6], np.uint8)[:, None, None, None]
LABELS = np.array([0, 4, 2, 1], np.int32)
# How the names of the layers behind the trunk begin; what is neither these nor a head is trunk.
TAILS = {"vgg16": ("conv5_",), "mobilenet_v1": ("conv_dw_12", "conv_pw_12", "conv_dw_13", "conv_pw_13")}


def create(backbone="vgg16", *, image_size=SIZE, **options):
    """BAS with trunk features of 4x4 and class maps of 2x2, no class dead, no variable without effect.

    Features speak for all classes but class 1: erasing them raises its logit and lowers the others'.
    """
    keras.utils.set_random_seed(0)
    model = methods.create(
        "bas",
        backbone=BackboneOptions(backbone=backbone, backbone_width=0.06, output_stride=16),
        image_size=image_size,
        num_classes=CLASSES,
        options=[BASOptions(**options)],
    )
    rng = np.random.default_rng(1)
    own = own_paths(model)
    for variable in model.variables:
        if len(variable.shape) == 1 and variable.path not in own:
            variable.assign(variable + rng.uniform(0.05, 0.15, variable.shape))
    kernel, bias = model.get_layer("classifier_cls").convolutions[-1].weights
    kernel.assign(np.abs(kernel) * np.where(np.arange(CLASSES) == 1, -0.3, 1.0))
    bias.assign(rng.uniform(1.0, 1.5, bias.shape))
    track_the_pictures(model, np.resize(IMAGES, (4, image_size, image_size, 3)))
    return model


def own_paths(model):
    return {variable.path for variable in model.erased_statistics.values()}


def numbers(tensors):
    return {name: np.asarray(tensor, np.float64) for name, tensor in tensors.items()}


def values(model):
    return {variable.path: variable.numpy() for variable in model.variables}


def label_saliency(outputs):
    """(B, H, W): of each picture the map of its label."""
    return np.stack([maps[..., label] for maps, label in zip(np.asarray(outputs["saliency"]), LABELS)])


def cross_entropies(logits):
    return np.log(np.exp(logits).sum(1)) - logits[np.arange(4), LABELS]


# ------------------------------------------------------------------------------- loss terms


def test_loss_terms():
    model = create(area_weight=0.7, guidance_weight=0.3)
    tensors = model(IMAGES, training=True)
    outputs, branches = numbers(tensors), numbers(model.branches(LABELS, tensors, True))
    logits, erased = outputs["logits"][np.arange(4), LABELS], branches["erased_logit"]
    kept = erased < logits
    assert kept.tolist() == [True, True, True, False]
    expected = {
        "classification": cross_entropies(outputs["logits"]),
        "guidance": 0.3 * cross_entropies(branches["foreground_logits"]),
        "suppression": np.where(kept, erased / (logits + 1e-8), 0),
        "area": 0.7 * label_saliency(outputs).mean((1, 2)),
    }
    terms = model.loss_terms(LABELS, tensors)
    assert terms.keys() == expected.keys()
    for name, term in terms.items():
        np.testing.assert_allclose(term, expected[name], rtol=1e-5, err_msg=name)
    loss = model.compute_loss(IMAGES, LABELS, tensors)
    assert float(loss) == pytest.approx(sum(expected.values()).mean(), rel=1e-5)


def test_what_the_branches_look_at():
    model = create()
    tensors = model(IMAGES, training=True)
    outputs, branches = numbers(tensors), numbers(model.branches(LABELS, tensors, True))
    saliency = label_saliency(outputs)
    assert saliency.shape[1:] == (4, 4) and saliency.std() > 0.01
    np.testing.assert_allclose(branches["saliency"], saliency, rtol=1e-6)
    np.testing.assert_allclose(branches["logit"], outputs["logits"][np.arange(4), LABELS], rtol=1e-6)
    # Each class map weighted, position by position, by the mean of the 2x2 saliencies over it.
    pooled = saliency.reshape(4, 2, 2, 2, 2).mean((2, 4))
    foreground = (outputs["class_maps"] * pooled[..., None]).mean((1, 2))
    np.testing.assert_allclose(branches["foreground_logits"], foreground, rtol=1e-5)
    np.testing.assert_allclose(outputs["logits"], outputs["class_maps"].mean((1, 2)), rtol=1e-5)


# Rows: logit, erased logit, ratio and its gradient with respect to the erased logit, where equality does
# not count and where it does.
RATIOS = [
    (2.0, 0.5, (0.25, 0.5), (0.25, 0.5)),
    (2.0, 0.0, (0.0, 0.5), (0.0, 0.5)),
    (4.0, 4.0, (0.0, 0.0), (1.0, 0.25)),
    (1.0, 3.0, (0.0, 0.0), (0.0, 0.0)),
    (0.0, 3.0, (0.0, 0.0), (0.0, 0.0)),
    (0.0, 0.0, (0.0, 0.0), (0.0, 1e8)),
]


@pytest.mark.parametrize("keep_equal", [False, True])
def test_suppression_ratio(keep_equal):
    logit, erased = (tf.constant([row[column] for row in RATIOS]) for column in (0, 1))
    with tf.GradientTape() as tape:
        tape.watch([logit, erased])
        ratio = suppression_ratio(logit, erased, keep_equal=keep_equal)
    to_logit, to_erased = tape.gradient(ratio, [logit, erased], unconnected_gradients="zero")
    expected, gradients = zip(*(row[3 if keep_equal else 2] for row in RATIOS))
    np.testing.assert_allclose(ratio, expected, rtol=1e-6, atol=0)
    np.testing.assert_allclose(to_erased, gradients, rtol=1e-6, atol=0)
    np.testing.assert_array_equal(to_logit, np.zeros(len(RATIOS)))


@pytest.mark.parametrize(("keep_equal", "suppression"), [(False, 0.0), (True, 1.0)])
def test_the_rule_for_equal_logits_is_the_models_option(keep_equal, suppression):
    model = create(equal_ratio=keep_equal)
    head = model.get_layer("classifier_loc")
    head.kernel.assign(np.zeros(head.kernel.shape))
    head.bias.assign(np.full(head.bias.shape, -1000.0))  # no foreground: nothing is erased
    outputs = model(IMAGES, training=True)
    branches = model.branches(LABELS, outputs, True)
    np.testing.assert_array_equal(branches["erased_logit"], branches["logit"])
    np.testing.assert_allclose(model.loss_terms(LABELS, outputs)["suppression"], suppression, rtol=1e-6)


# ------------------------------------------------------------------------------- erased branch


def convolution(x, layer):
    """3x3 convolution with zeros around and ReLU, by explicit sums over the nine offsets; float64."""
    kernel, bias = (np.asarray(weight, np.float64) for weight in layer.weights)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    total = sum(
        padded[:, row : row + height, column : column + width] @ kernel[row, column]
        for row in range(3)
        for column in range(3)
    )
    return np.maximum(0, total + bias)


@pytest.mark.parametrize("training", [True, False])
def test_erased_logit_of_vgg_in_numpy(training):
    model = create()
    outputs = model(IMAGES, training=training)
    arrays = numbers(outputs)
    x = arrays["trunk"] * (1 - label_saliency(arrays)[..., None])
    x = x.reshape(4, 2, 2, 2, 2, -1).max((2, 4))
    head = model.get_layer("classifier_cls").convolutions
    for layer in (*(model.backbone.get_layer(f"conv5_{number}") for number in (1, 2, 3)), *head[:2]):
        x = convolution(x, layer)
    kernel, bias = (np.asarray(weight, np.float64) for weight in head[2].weights)
    expected = np.maximum(0, x @ kernel[0, 0] + bias).mean((1, 2))[np.arange(4), LABELS]
    found = model.branches(LABELS, outputs, training)
    assert expected.std() > 0 and not np.allclose(expected, found["logit"], rtol=1e-2)
    np.testing.assert_allclose(found["erased_logit"], expected, rtol=1e-4)


def copied_tail(model, statistics=None):
    """A network of its own with the tail's layers and values; `statistics` by path stand in for its moving ones."""
    copy = keras.models.clone_model(model.tail)
    originals = {variable.path: variable.numpy() for variable in model.tail.variables} | (statistics or {})
    assert len(copy.variables) == len(originals) == len({variable.path for variable in copy.variables})
    for variable in copy.variables:
        variable.assign(originals[variable.path])
    return copy


def erased_by(tail, outputs, training):
    """The labels' erased logits by a given tail."""
    x = np.asarray(outputs["trunk"]) * (1 - label_saliency(outputs)[..., None])
    class_maps = np.asarray(tail(x, training=training))
    return class_maps.mean((1, 2))[np.arange(4), LABELS]


@pytest.mark.parametrize("statistics", ["shared", "own"])
@pytest.mark.parametrize("training", [True, False])
def test_erased_logit_of_a_network_with_batch_norm(training, statistics):
    """In training by the erased batch's statistics; else by the network's moving ones or by its own."""
    model = create("mobilenet_v1", erased_statistics=statistics)
    rng = np.random.default_rng(2)
    for variable in model.erased_statistics.values():
        variable.assign(rng.uniform(0.2, 0.6, variable.shape))
    outputs = model(IMAGES, training=training)
    own = {path: variable.numpy() for path, variable in model.erased_statistics.items()}
    assert bool(own) == (statistics == "own")
    expected = erased_by(copied_tail(model, own), outputs, training)
    found = model.branches(LABELS, outputs, training)["erased_logit"]
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    if own and not training:
        assert not np.allclose(erased_by(copied_tail(model), outputs, training), expected, rtol=1e-2)


@pytest.mark.parametrize("training", [True, False])
def test_loss_leaves_every_variable_alone_where_statistics_are_shared(training):
    model = create("mobilenet_v1")
    assert not model.erased_statistics
    start = values(model)
    outputs = model(IMAGES, training=training)
    after_forward = values(model)
    moved = [path for path, value in after_forward.items() if np.any(value != start[path])]
    assert bool(moved) == training and all("moving" in path for path in moved)
    model.loss_terms(LABELS, outputs, training)
    for path, value in values(model).items():
        np.testing.assert_array_equal(value, after_forward[path], err_msg=path)


def first_erased_moments(model, outputs):
    """Mean and unbiased variance of what the tail's first batch normalization sees of the erased batch."""
    x = np.asarray(outputs["trunk"]) * (1 - label_saliency(outputs)[..., None])
    before = keras.Model(model.backbone.output["block11"], model.backbone.get_layer("conv_dw_12").output)
    x = np.asarray(before(x), np.float64)
    return x.mean((0, 1, 2)), x.var((0, 1, 2), ddof=1)


def test_own_statistics_follow_the_erased_batches():
    model = create("mobilenet_v1", erased_statistics="own")
    own = model.erased_statistics
    assert set(own) == {v.path for v in model.tail.variables if "moving" in v.path} and len(own) == 8
    for path, variable in own.items():
        np.testing.assert_array_equal(variable, 1.0 if path.endswith("variance") else 0.0)
    assert not own_paths(model) & {variable.path for variable in model.trainable_variables}
    mean, variance = np.zeros(own["conv_dw_12_bn/moving_mean"].shape), 1.0
    for images in (IMAGES, IMAGES[::-1] // 2):
        outputs = model(images, training=True)
        after_forward = values(model)
        model.loss_terms(LABELS, outputs, True)
        batch_mean, batch_variance = first_erased_moments(model, outputs)
        mean, variance = 0.9 * mean + 0.1 * batch_mean, 0.9 * variance + 0.1 * batch_variance
        np.testing.assert_allclose(own["conv_dw_12_bn/moving_mean"], mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(own["conv_dw_12_bn/moving_variance"], variance, rtol=1e-4)
        for path, value in values(model).items():
            assert path in own_paths(model) or np.array_equal(value, after_forward[path]), path
    before = values(model)
    model.loss_terms(LABELS, model(IMAGES, training=False), False)
    for path, value in values(model).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)


def test_own_statistics_are_saved(tmp_path):
    model = create("mobilenet_v1", erased_statistics="own")
    model.loss_terms(LABELS, model(IMAGES, training=True))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.erased_statistics.keys() == model.erased_statistics.keys()
    for path, variable in model.erased_statistics.items():
        np.testing.assert_array_equal(again.erased_statistics[path], variable, err_msg=path)
        assert np.any(variable != np.float32(path.endswith("variance"))), path
    erased = [m.branches(LABELS, m(IMAGES), False)["erased_logit"] for m in (model, again)]
    np.testing.assert_array_equal(*erased)


# ------------------------------------------------------------------------------- gradients


def by_path(tape, loss, model):
    """{path: gradient of the loss}, zeros where there is none."""
    found = zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables))
    return {variable.path: np.zeros(variable.shape) if g is None else np.asarray(g) for variable, g in found}


def gradients(model, name):
    """{path: gradient of the mean of one loss term}."""
    with tf.GradientTape() as tape:
        outputs = model(IMAGES, training=True)
        loss = tf.reduce_mean(model.loss_terms(LABELS, outputs)[name])
    return by_path(tape, loss, model)


def part(path, backbone):
    if path.startswith("classifier_"):
        return path.split("/")[0]
    return "tail" if path.startswith(TAILS[backbone]) else "trunk"


@pytest.mark.parametrize("backbone", TAILS)
@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("classification", {"trunk", "tail", "classifier_cls"}),
        ("guidance", {"trunk", "tail", "classifier_cls", "classifier_loc"}),
        ("suppression", {"trunk", "classifier_loc"}),
        ("area", {"trunk", "classifier_loc"}),
    ],
)
def test_what_each_loss_term_trains(backbone, name, parts):
    model = create(backbone)
    found = gradients(model, name)
    reached = {path for path, gradient in found.items() if np.any(gradient)}
    assert reached == {path for path in found if part(path, backbone) in parts}


@pytest.mark.parametrize("name", ["suppression", "area"])
def test_only_the_labels_saliency_is_trained(name):
    """And of the suppression only where erasing lowers the label's logit."""
    model = create()
    term = np.asarray(model.loss_terms(LABELS, model(IMAGES, training=True))[name])
    counted = LABELS[term > 0]
    assert counted.tolist() == ([0, 4, 2] if name == "suppression" else LABELS.tolist())
    found = gradients(model, name)
    for leaf in ("kernel", "bias"):
        trained = np.any(found[f"classifier_loc/{leaf}"].reshape(-1, CLASSES), axis=0)
        assert trained.tolist() == [label in counted for label in range(CLASSES)]


@pytest.mark.parametrize("backbone", TAILS)
def test_suppression_trains_by_the_saliency_alone(backbone):
    """As if trunk features, tail and logits of the ratio were numbers from outside."""
    model = create(backbone)
    outputs = model(IMAGES, training=True)
    trunk, tail = np.asarray(outputs["trunk"]), copied_tail(model)
    logits = np.asarray(outputs["logits"])[np.arange(4), LABELS]
    with tf.GradientTape() as tape:
        saliency = model(IMAGES, training=True)["saliency"]
        saliency = tf.stack([saliency[row, :, :, label] for row, label in enumerate(LABELS)])
        class_maps = tail(trunk * (1 - saliency[..., None]), training=True)
        erased = tf.stack([tf.reduce_mean(class_maps[row, :, :, label]) for row, label in enumerate(LABELS)])
        loss = tf.reduce_sum(tf.where(erased < logits, erased / logits, 0)) / 4
    assert np.sum(erased < logits) == 3
    found = gradients(model, "suppression")
    for path, expected in by_path(tape, loss, model).items():
        tolerance = 1e-3 * np.abs(expected).max()
        np.testing.assert_allclose(found[path], expected, rtol=1e-3, atol=tolerance, err_msg=path)


# ------------------------------------------------------------------------------- maps


@pytest.mark.parametrize("top_k", [0, 1, 2, 4, CLASSES, CLASSES + 3])
def test_maps_are_the_mean_over_the_best_classes(top_k):
    model = create(top_k=top_k)
    outputs = numbers(model(IMAGES))
    order = np.argsort(-outputs["logits"], axis=1)
    assert np.diff(np.sort(outputs["logits"], axis=1)).min() > 1e-4 and len({*map(tuple, order)}) > 1
    labels = np.stack([LABELS, (LABELS + 1) % CLASSES], axis=1)
    _, maps = model.localize(IMAGES, labels)
    for picture in range(4):
        for column, label in enumerate(labels[picture]):
            best = [label] if top_k == 1 else order[picture][: top_k or CLASSES]
            expected = outputs["saliency"][picture][..., best].mean(-1)
            np.testing.assert_allclose(maps[picture, column], expected, rtol=1e-5)
    same = [np.allclose(first, second, rtol=1e-3) for first, second in np.asarray(maps)]
    assert same == [top_k != 1] * 4


# ------------------------------------------------------------------------------- heads, precision, errors


def test_heads_start_as_asked():
    """Xavier uniform reaches up to sqrt(6 / (fan in + fan out)); normal has deviation 0.02; biases are zero."""
    for initializer in ("xavier", "normal"):
        keras.utils.set_random_seed(0)
        model = methods.create(
            "bas",
            backbone=BackboneOptions(backbone_width=0.25),
            image_size=SIZE,
            num_classes=40,
            options=[BASOptions(head_channels=100, initializer=initializer)],
        )
        layers = [*model.get_layer("classifier_cls").convolutions, model.get_layer("classifier_loc")]
        shapes = [tuple(layer.kernel.shape) for layer in layers]
        # The 1024 or as many as asked for, times the width; 128 channels at the ends of trunk and network.
        assert shapes == [(3, 3, 128, 25), (3, 3, 25, 25), (1, 1, 25, 40), (3, 3, 128, 40)]
        for layer, (height, width, inputs, outputs) in zip(layers, shapes):
            kernel = layer.kernel.numpy()
            np.testing.assert_array_equal(layer.bias, 0)
            if initializer == "normal":
                assert kernel.std() == pytest.approx(0.02, rel=0.1) and np.abs(kernel).max() > 0.045
            else:
                limit = np.sqrt(6 / (height * width * (inputs + outputs)))
                assert 0.97 * limit < np.abs(kernel).max() <= limit
                assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.1)


@functools.cache
def results(backbone, policy):
    """Logits, maps, branches and loss of the same network under a precision."""
    options = {"erased_statistics": "own", "warmup_epochs": 1}
    weights = create(backbone, **options).get_weights()
    keras.config.set_dtype_policy(policy)
    try:
        model = create(backbone, **options)
        model.set_weights(weights)
        logits, maps = model.localize(IMAGES, LABELS)
        outputs = model(IMAGES, training=True)
        branches = model.branches(LABELS, outputs, True)
        loss = model.compute_loss(IMAGES, LABELS, outputs)
    finally:
        keras.config.set_dtype_policy("float32")
    assert outputs["trunk"].dtype == policy.removeprefix("mixed_")
    return {"logits": logits, "maps": maps, "loss": loss, "saliency of all": outputs["saliency"], **branches}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "policy", "tolerance"),
    [
        *(("vgg16", "mixed_bfloat16", 0.02), ("vgg16", "mixed_float16", 0.003), ("vgg16", "float64", 1e-5)),
        # Half precision adds up over batch normalizations after one another.
        *(("mobilenet_v1", "mixed_bfloat16", 0.15), ("mobilenet_v1", "float64", 1e-4)),
    ],
)
def test_precisions(backbone, policy, tolerance):
    """Logits, maps and losses are float32 in half precision, and near those of float32."""
    expected = results(backbone, "float32")
    for name, value in results(backbone, policy).items():
        assert value.dtype == ("float64" if policy == "float64" else "float32"), name
        difference = np.asarray(value, np.float64) - np.asarray(expected[name], np.float64)
        assert np.sqrt(np.mean(difference**2)) <= tolerance * np.abs(expected[name]).max(), name


# ------------------------------------------------------------------------------- warm-up


def test_warm_up_trains_the_classifier_alone():
    model = create(warmup_epochs=2)
    model.compile(NesterovMomentum(0.01), run_eagerly=True)
    heads = {"classifier_loc/kernel": [], "classifier_cls/conv1/kernel": []}
    states = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            states.append(model.maps_are_trained)
            for path, value in values(model).items():
                if path in heads:
                    heads[path].append(value)

    start = values(model)
    model.fit(IMAGES, LABELS, batch_size=4, epochs=3, verbose=0, callbacks=[*model.callbacks(), Watch()])
    assert states == [False, False, True]
    for path, epochs in heads.items():
        changed = [bool(np.any(after != before)) for before, after in zip([start[path], *epochs], epochs)]
        assert changed == [path != "classifier_loc/kernel"] * 2 + [True]


def test_warm_up_switches_the_terms_of_the_objective():
    model, plain = create(warmup_epochs=1), create()
    for weight in (0.0, 1.0):
        model.objective_weight.assign(weight)
        found, full = (each.loss_terms(LABELS, each(IMAGES, training=True)) for each in (model, plain))
        for name, term in found.items():
            factor = 1.0 if name == "classification" else weight
            np.testing.assert_allclose(term, factor * np.asarray(full[name]), rtol=1e-5)
    assert plain.maps_are_trained and not plain.callbacks()


@pytest.mark.parametrize(("backbone", "image_size"), [("vgg16", 40), ("mobilenet_v1", 36)])
def test_image_size_that_leaves_the_maps_without_a_common_grid(backbone, image_size):
    with pytest.raises(UserError, match=rf"^image_size={image_size}: BAS needs .* not 5 and [23];") as caught:
        create(backbone, image_size=image_size)
    assert "\n" not in str(caught.value)
    assert create(backbone, image_size=64).image_size == 64
