"""Localizers on plain Keras classifiers against PyTorch's autograd on the same weights, and against each other."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers
from localizers.made_methods import IMAGES as METHOD_IMAGES
from localizers.made_methods import LABELS as METHOD_LABELS
from localizers.made_methods import assert_close, create

from e2wsol.errors import ArgumentError
from e2wsol.localizers import CAM, DGL, GradCAM, GradCAMPlusPlus, LayerCAM, Localizer, LocalizerOptions
from e2wsol.localizers.network import Network

SIDE, CLASSES = 16, 5
rng = np.random.default_rng(0)
IMAGES = rng.normal(size=(4, SIDE, SIDE, 3)).astype(np.float32)
LABELS = np.array([1, 4, 0, 2])
EVERY = {"cam": CAM, "gradcam": GradCAM, "gradcampp": GradCAMPlusPlus, "layercam": LayerCAM, "dgl": DGL}
SHAPES = [(3, 3, 3, 8), (8,), (3, 3, 8, 12), (12,), (3, 3, 12, 10), (10,), (10, CLASSES), (CLASSES,)]
WEIGHTS = [np.random.default_rng(1).normal(size=shape, scale=0.3).astype(np.float32) for shape in SHAPES]


def convolutions(data_format=None):
    """The layers under the classifier: sides 16, 8 and 4."""
    more = {"padding": "same", "activation": "relu", "data_format": data_format}
    return [
        layers.Conv2D(8, 3, name="first", **more),
        layers.MaxPooling2D(name="pool1", data_format=data_format),
        layers.Conv2D(12, 3, name="second", **more),
        layers.MaxPooling2D(name="pool2", data_format=data_format),
        layers.Conv2D(10, 3, name="third", **more),
    ]


def chained(parts, shape=(SIDE, SIDE, 3), name="flat", weights=True):
    """A functional model of layers one upon the other, with WEIGHTS."""
    x = inputs = keras.Input(shape)
    for part in parts:
        x = part(x)
    model = keras.Model(inputs, x, name=name)
    if weights:
        model.set_weights(WEIGHTS)
    return model


def top(activation=None):
    return [layers.GlobalAveragePooling2D(name="gap"), layers.Dense(CLASSES, activation=activation, name="scores")]


@pytest.fixture(scope="module")
def flat():
    return chained(convolutions() + top())


def by_torch(layer, score=lambda logits: logits):
    """(features, gradient of the class's score, of DGL's cost, logits), channels last, by PyTorch's autograd."""
    torch = pytest.importorskip("torch")
    weights = [torch.tensor(each) for each in WEIGHTS]
    x, kept = torch.tensor(IMAGES).permute(0, 3, 1, 2), {}
    for index, name in enumerate(("first", "second", "third")):
        x = torch.nn.functional.conv2d(x, weights[2 * index].permute(3, 2, 0, 1), weights[2 * index + 1], padding=1)
        x = kept[name] = torch.relu(x).requires_grad_(True)
        x = torch.nn.functional.max_pool2d(x, 2) if name != "third" else x
    logits = x.mean(dim=(2, 3)) @ weights[6] + weights[7]
    chosen = torch.nn.functional.one_hot(torch.tensor(LABELS), CLASSES).float()
    cost = ((torch.softmax(logits, 1).detach() - 10 * chosen) * logits).sum()
    sums = (score(logits) * chosen).sum(), cost
    found = [torch.autograd.grad(each, kept[layer], retain_graph=True)[0] for each in sums]
    return [each.detach().permute(0, 2, 3, 1).numpy().astype(np.float64) for each in (kept[layer], *found)]


def unit(x):
    return x / np.sqrt(np.sum(x**2, axis=(1, 2, 3), keepdims=True))


def plus_plus(a, g, _):
    alpha = g**2 / np.where(g == 0, 1, 2 * g**2 + a.sum((1, 2), keepdims=True) * g**3)
    return np.maximum((a * (alpha * np.maximum(g, 0)).sum((1, 2), keepdims=True)).sum(-1), 0)


PLAIN = {
    "cam": lambda a, g, _: (a * g).sum(-1),
    "gradcam": lambda a, g, _: np.maximum((a * g.mean((1, 2), keepdims=True)).sum(-1), 0),
    "gradcampp": plus_plus,
    "layercam": lambda a, g, _: np.maximum((a * np.maximum(g, 0)).sum(-1), 0),
    "dgl": lambda a, g, q: (g * (unit(a) - unit(q))).sum(-1),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("layer", ["second", "third"])
def test_against_pytorch(flat, name, layer):
    if name == "cam" and layer != "third":
        pytest.skip("CAM lies on the last features alone")
    maps = EVERY[name](flat, layer=layer)(IMAGES, LABELS)
    assert isinstance(maps, np.ndarray) and maps.dtype == np.float32
    assert_close(maps, PLAIN[name](*by_torch(layer)), 1e-5)


def test_the_score_may_be_the_output_itself():
    torch = pytest.importorskip("torch")
    model = chained(convolutions() + top("softmax"))
    maps = GradCAM(model, layer="second", score="output")(IMAGES, LABELS)
    assert_close(maps, PLAIN["gradcam"](*by_torch("second", lambda logits: torch.softmax(logits, 1))), 1e-4)


def test_cam_sums_to_the_logit_and_gradcam_is_its_positive_part(flat):
    maps = CAM(flat)(IMAGES, LABELS)
    logits = np.asarray(flat(IMAGES))[np.arange(4), LABELS]
    np.testing.assert_allclose(maps.sum((1, 2)), logits - WEIGHTS[7][LABELS], rtol=1e-4, atol=1e-5)
    assert maps.min() < 0
    np.testing.assert_allclose(GradCAM(flat)(IMAGES, LABELS), np.maximum(maps, 0), rtol=1e-5, atol=1e-6)


class Functional(keras.Model):
    """A functional model by inheritance, as methods are."""


class Subclassed(keras.Model):
    """The same network, called by code."""

    def __init__(self, activation=None, ending=None, inner=False):
        super().__init__(name="subclassed")
        parts = convolutions()
        self.parts = [chained(parts, name="inside", weights=False)] if inner else parts
        self.top, self.ending = top(activation), ending
        self(IMAGES)
        self.set_weights(WEIGHTS)

    def call(self, x):
        for part in [*self.parts, *self.top, *([self.ending] if self.ending else [])]:
            x = part(x)
        return x


def sequential(parts):
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), *parts])
    model.set_weights(WEIGHTS)
    return model


def twice_nested():
    inside = chained([chained(convolutions(), name="inner", weights=False)], name="outer", weights=False)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = inside(layers.Identity()(inputs), training=False)
    for part in top("softmax"):
        x = part(x)
    model = Functional(inputs, x)
    model.set_weights(WEIGHTS)
    return model


SAME = {
    "softmax in the classifier": lambda: chained(convolutions() + top("softmax")),
    "softmax layer": lambda: chained([*convolutions(), *top(), layers.Softmax()]),
    "softmax activation": lambda: chained([*convolutions(), *top(), layers.Activation("softmax")]),
    "softmax operation": lambda: chained([*convolutions(), *top(), keras.ops.softmax]),
    "sigmoid in the classifier": lambda: chained(convolutions() + top("sigmoid")),
    "sigmoid activation": lambda: chained([*convolutions(), *top(), layers.Activation("sigmoid")]),
    "images of any size": lambda: chained(convolutions() + top("softmax"), (None, None, 3)),
    "dropout before the classifier": lambda: chained([*convolutions(), top()[0], layers.Dropout(0.5), top()[1]]),
    "sequential": lambda: sequential(convolutions() + top("softmax")),
    "nested in a sequential": lambda: sequential(
        [chained(convolutions(), name="base", weights=False), *top("softmax")]
    ),
    "sequential in a sequential": lambda: sequential(
        [keras.Sequential([keras.Input((SIDE, SIDE, 3)), *convolutions()], name="base"), *top()]
    ),
    "nested twice": twice_nested,
    "subclassed": Subclassed,
    "subclassed with softmax": lambda: Subclassed("softmax"),
    "subclassed with softmax layer": lambda: Subclassed(ending=layers.Softmax()),
    "subclassed with sigmoid activation": lambda: Subclassed(ending=layers.Activation("sigmoid")),
    "subclassed around a functional one": lambda: Subclassed("softmax", inner=True),
}
FULL_NAMES = {
    "nested in a sequential": "base/{}",
    "sequential in a sequential": "base/{}",
    "nested twice": "outer/inner/{}",
    "subclassed around a functional one": "inside/{}",
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same_network_in_another_form_gives_the_same_maps(flat, kind):
    model, full = SAME[kind](), FULL_NAMES.get(kind, "{}")
    by_code = isinstance(model, Subclassed)
    before = [(each.name, set(vars(each)), len(each._inbound_nodes)) for each in model._flatten_layers()]
    for localizer in (GradCAM, DGL):
        layer = full.format("second" if localizer is DGL else "third")
        for given in (layer,) if by_code else (layer, layer.split("/")[-1], None):
            found = localizer(model, layer=given)
            assert found.layer == layer
            assert_close(found(IMAGES, LABELS), localizer(flat)(IMAGES, LABELS), 1e-5)
    assert_close(LayerCAM(model, layer=layer)(IMAGES), LayerCAM(flat)(IMAGES), 1e-5)
    if not by_code:
        assert_close(CAM(model)(IMAGES, LABELS), CAM(flat)(IMAGES, LABELS), 1e-5)
    assert [(each.name, set(vars(each)), len(each._inbound_nodes)) for each in model._flatten_layers()] == before
    for found, expected in zip(model.get_weights(), WEIGHTS):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", EVERY)
def test_a_batch_is_its_images_one_by_one(flat, name):
    localizer = EVERY[name](flat)
    images = np.random.default_rng(7).normal(size=(8, SIDE, SIDE, 3)).astype(np.float32)
    alone = [localizer(images[index : index + 1])[0] for index in range(8)]
    assert_close(localizer(images), alone, 1e-6)


def test_labels(flat):
    localizer = DGL(flat)
    every = localizer(IMAGES, np.tile(np.arange(CLASSES), (4, 1)))
    assert every.shape == (4, CLASSES, 8, 8)
    assert_close(every[np.arange(4), LABELS], localizer(IMAGES, LABELS.tolist()), 1e-6)
    predicted = np.argmax(np.asarray(flat(IMAGES)), axis=1)
    assert_close(every[np.arange(4), predicted], localizer(IMAGES), 1e-6)


def test_pa_is_the_label_in_the_cost(flat):
    features, evidence, cost = by_torch("second")
    # Weights of the logits softmax - pa e: 3 in place of 10 adds 7 times the class's own gradient.
    expected = PLAIN["dgl"](features, evidence, cost + 7 * evidence)
    assert_close(DGL(flat, layer="second", pa=3.0)(IMAGES, LABELS), expected, 1e-5)


@pytest.mark.parametrize(
    ("build", "last", "middle"),
    [
        (keras.applications.VGG16, "block5_conv3", "block4_conv3"),
        (keras.applications.MobileNetV2, "out_relu", "block_13_expand_relu"),
        pytest.param(keras.applications.ResNet50, "conv5_block3_out", "conv4_block6_out", marks=pytest.mark.slow),
        pytest.param(
            keras.applications.EfficientNetB0, "top_activation", "block6a_expand_activation", marks=pytest.mark.slow
        ),
        pytest.param(keras.applications.DenseNet121, "relu", "pool4_conv", marks=pytest.mark.slow),
        pytest.param(keras.applications.InceptionV3, "mixed10", "mixed7", marks=pytest.mark.slow),
    ],
)
def test_usual_layers(build, last, middle):
    side = 139 if "Inception" in build.__name__ else 64
    model = build(input_shape=(side, side, 3), weights=None, classes=CLASSES)
    localizer = GradCAM(model)
    assert localizer.layer == last and LayerCAM(model).layer == DGL(model).layer == middle
    images = np.random.default_rng(3).normal(size=(2, side, side, 3)).astype(np.float32)
    maps = localizer(images, [1, 3])
    network = keras.Model(model.inputs[0], model.get_layer(last).output)
    assert maps.shape == tuple(network(images).shape[:3])


def test_one_layer_that_stands_twice():
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    model = chained([shared, shared, *top()], weights=False)
    assert list(Network(model).feature_maps) == ["shared", "shared:2"]
    once, again = (GradCAM(model, layer=layer)(IMAGES, LABELS) for layer in ("shared", "shared:2"))
    assert_close(again, GradCAM(model)(IMAGES, LABELS))
    assert np.abs(once - again).max() > 0


def test_saved_models(flat, tmp_path):
    expected = DGL(flat)(IMAGES, LABELS)
    for file in (tmp_path / "model.keras", tmp_path / "model.h5"):
        sequential([chained(convolutions(), name="base", weights=False), *top("softmax")]).save(file)
        assert_close(DGL(keras.saving.load_model(file))(IMAGES, LABELS), expected, 1e-5)


def test_preprocessing_by_name_and_by_function(flat):
    images = np.random.default_rng(5).integers(0, 256, IMAGES.shape, dtype=np.uint8)
    expected = GradCAM(flat)(images / 127.5 - 1, LABELS)
    assert_close(GradCAM(flat, preprocess="mobilenet")(images, LABELS), expected, 1e-5)
    assert_close(GradCAM(flat, preprocess=lambda x: x / 127.5 - 1)(images, LABELS), expected, 1e-5)
    # Keras's function writes into floats.
    floats = images.astype(np.float32)
    assert_close(GradCAM(flat, preprocess="mobilenet")(floats, LABELS), expected, 1e-5)
    np.testing.assert_array_equal(floats, images)


def test_mixed_precision(flat):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        parts = [*convolutions(), *top(), layers.Activation("softmax", dtype="float32")]
        model = chained(parts)
    finally:
        keras.config.set_dtype_policy("float32")
    maps = DGL(model)(IMAGES, LABELS)
    assert maps.dtype == np.float32
    assert_close(maps, DGL(flat)(IMAGES, LABELS), 0.05)


@pytest.mark.parametrize("method", ["cam", "mnpo", "bas"])
def test_methods_are_localized_as_by_the_command_line(method):
    model = create(method)
    for name, localizer in EVERY.items():
        if name == "cam" and method == "bas":
            continue
        for layer in (None,) if name == "cam" else (None, "conv5_3", "pool3"):
            options = LocalizerOptions(localizer=(name,), layer=(layer,) if layer else ())
            expected = Localizer(model, options).localize(METHOD_IMAGES, METHOD_LABELS)[1]
            found = localizer(model, layer=layer)
            assert Localizer(model, options).names == (f"{name}/{found.layer}",)
            np.testing.assert_array_equal(found(METHOD_IMAGES, METHOD_LABELS), expected)


def classified(parts, data_format, shape=(SIDE, SIDE, 3)):
    pooled = layers.GlobalAveragePooling2D(name="gap", data_format=data_format)
    return chained([*parts, pooled, layers.Dense(CLASSES, name="scores")], shape, weights=False)


def test_a_models_channel_order_is_seen():
    more = [layers.Permute((3, 1, 2), name="turned"), layers.ReLU(name="after")]
    orders = {
        classified(
            [*convolutions("channels_first"), layers.ReLU(name="after")], "channels_first", (3, SIDE, SIDE)
        ): True,
        classified(
            [layers.Identity(name="before"), *convolutions(), layers.ReLU(name="after")], "channels_last"
        ): False,
    }
    for model, expected in orders.items():
        network = Network(model)
        assert {network.channels_first(number) for number in network.feature_maps.values()} == {expected}
    network = Network(classified([*convolutions(), *more], "channels_first"))
    found = {name: network.channels_first(number) for name, number in network.feature_maps.items()}
    assert found == dict.fromkeys(("first", "pool1", "second", "pool2", "third"), False) | {
        "turned": True,
        "after": True,
    }
    assert network.last() == "after" and network.middle() == "second"


def check_channels_first(folder):
    """Under a backend that can convolve them: the maps that the parent process found with channels last."""
    model = classified(convolutions("channels_first"), "channels_first", (3, SIDE, SIDE))
    model.set_weights(WEIGHTS)
    with np.load(pathlib.Path(folder) / "expected.npz") as expected:
        for name, localizer in EVERY.items():
            assert_close(localizer(model)(IMAGES.transpose(0, 3, 1, 2), LABELS), expected[name], 1e-4)
            for kind in ("nested twice", "subclassed with softmax", "softmax operation"):
                layer = FULL_NAMES.get(kind, "{}").format("third")
                found = localizer(SAME[kind](), layer=layer)(IMAGES, LABELS) if name == "gradcam" else None
                assert found is None or np.abs(found - expected[name]).max() < 1e-4 * np.abs(expected[name]).max()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_channels_first_and_other_backends(flat, backend, tmp_path):
    if not importlib.util.find_spec(backend):
        pytest.skip(f"no {backend}")
    np.savez(tmp_path / "expected.npz", **{name: localizer(flat)(IMAGES, LABELS) for name, localizer in EVERY.items()})
    code = f"from localizers.test_classifiers import check_channels_first; check_channels_first({str(tmp_path)!r})"
    paths = os.pathsep.join([str(pathlib.Path(__file__).parents[1]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def no_maps():
    return chained([layers.Flatten(), layers.Dense(CLASSES)], weights=False)


def two_inputs():
    one, other = keras.Input((SIDE, SIDE, 3)), keras.Input((4,))
    pooled = layers.GlobalAveragePooling2D()(one)
    return keras.Model([one, other], layers.Concatenate()([pooled, other]), name="two")


def two_outputs():
    image = keras.Input((SIDE, SIDE, 3))
    features = layers.Conv2D(2, 3)(image)
    return keras.Model(image, [layers.GlobalAveragePooling2D()(features), features], name="two")


def unbuilt():
    return keras.Sequential([*convolutions(), *top()], name="open")


@pytest.mark.parametrize(
    ("localizer", "make", "options", "message"),
    [
        (GradCAM, lambda: "vgg16", {}, "model=str: must be a keras.Model"),
        (GradCAM, two_inputs, {}, r"model=two: takes .*\(None, 4\); must take images"),
        (GradCAM, lambda: chained([layers.GlobalAveragePooling1D()], (8, 3), weights=False), {}, "model=flat: takes"),
        (DGL, lambda: chained([layers.GlobalAveragePooling3D()], (8, 8, 8, 3), weights=False), {}, "must take images"),
        (GradCAM, two_outputs, {}, r"model=two: gives .* must give scores of classes \(B, C\) alone"),
        (GradCAM, lambda: chained(convolutions(), weights=False), {}, "model=flat: gives"),
        (DGL, no_maps, {}, "model=flat: has no layer whose output is a feature map"),
        (LayerCAM, unbuilt, {}, "model=open: has no input shape yet; begin it with keras.Input"),
        (
            GradCAM,
            Subclassed,
            {},
            "layer: must be named: a subclassed model has no graph .*; choose among first, pool1, second, .*, gap",
        ),
        (GradCAM, Subclassed, {"layer": "fourth"}, "layer=fourth: no such layer; choose among first, pool1"),
        (CAM, Subclassed, {"layer": "third"}, "model=subclassed: must end in global average pooling"),
    ],
)
def test_models_that_cannot_be_localized(localizer, make, options, message):
    with pytest.raises(ArgumentError, match=f"^.*{message}"):
        localizer(make(), **options)


@pytest.mark.parametrize(
    ("localizer", "options", "message"),
    [
        (GradCAM, {"layer": "fourth"}, "layer=fourth: no such layer; choose among first, pool1, second, pool2, third$"),
        (GradCAM, {"layer": "scores"}, "layer=scores: no such layer"),
        (CAM, {"layer": "second"}, "layer=second: CAM lies on third alone"),
        (GradCAM, {"preprocess": "alexnet"}, "preprocess=alexnet: unknown; choose one of convnext, densenet"),
        (LayerCAM, {"score": "softmax"}, "score=softmax: unknown; choose one of logit, output"),
    ],
)
def test_arguments(flat, localizer, options, message):
    with pytest.raises(ArgumentError, match=f"^{message}"):
        localizer(flat, **options)


def test_no_cam_on_flattened_features():
    model = chained([*convolutions(), layers.Flatten(), layers.Dense(CLASSES)], weights=False)
    with pytest.raises(ArgumentError, match=r"^model=flat: must end in global average pooling and one linear layer"):
        CAM(model)
    assert GradCAM(model).layer == "third"


def test_a_name_in_two_models_inside():
    parts = [chained(convolutions(), (SIDE, SIDE, 3), name, weights=False) for name in ("one", "other")]
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Add()([part(inputs) for part in parts])
    model = keras.Model(inputs, top()[1](top()[0](x)))
    with pytest.raises(
        ArgumentError, match=r"^layer=second: 2 models inside have it; choose among one/first, one/pool1"
    ):
        GradCAM(model, layer="second")
    assert GradCAM(model, layer="other/second").layer == "other/second"


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[0], [1], r"images: shape \(16, 16, 3\); the model takes \(B, 16, 16, 3\)"),
        (IMAGES[:, :8], None, r"images: shape \(4, 8, 16, 3\)"),
        (IMAGES, [1, 2], r"labels: shape \(2,\); must be \(4,\) or \(4, k\)"),
        (IMAGES, [0, 1, 2, 5], "labels=5: must be from 0 to 4"),
        (IMAGES, [0.0, 1.0, 2.0, 3.0], "labels: of type float"),
    ],
)
def test_images_and_labels_that_do_not_fit(flat, images, labels, message):
    with pytest.raises(ArgumentError, match=f"^{message}"):
        GradCAM(flat)(images, labels)


def test_layer_of_a_subclassed_model_that_gives_no_map():
    with pytest.raises(ArgumentError, match=r"^layer=gap: gives no feature map .* in subclassed"):
        GradCAM(Subclassed(), layer="gap")(IMAGES)
