import pathlib
import re
import subprocess

import keras
import numpy as np
import pytest

from e2wsol import backbones, methods
from e2wsol.backbones import BackboneOptions
from e2wsol.backbones.weights import load_start_weights
from e2wsol.errors import UserError

MOBILENET_FILE = pathlib.Path(__file__).parents[3] / "shared" / "data" / "mobilenet_v1_imagenet.npz"
VGG = BackboneOptions(backbone="vgg16", backbone_width=0.05)
FLAGS = pathlib.Path(__file__).parents[2] / "flags"
SCRIPT = FLAGS.parent / "scripts/prepare_weights.sh"


def network(options=VGG, seed=0, image_size=32):
    keras.utils.set_random_seed(seed)
    return backbones.build(options, image_size)


def values(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def test_none_changes_nothing():
    model = network()
    before = values(model)
    assert load_start_weights(model, VGG, "none") is None
    assert all(np.array_equal(value, before[path]) for path, value in values(model).items())


def test_npz_fills_by_name_and_reports(tmp_path):
    source = values(network(seed=1))
    source.pop("conv5_3/kernel")
    source["fc8/kernel"] = np.zeros((3, 3))
    np.savez(tmp_path / "start.npz", **source)
    model = network(seed=2)
    untouched = values(model)["conv5_3/kernel"]
    report = load_start_weights(model, VGG, str(tmp_path / "start.npz"))
    assert report.not_filled == ("conv5_3/kernel",) and report.unused == ("fc8/kernel",)
    assert len(report.filled) == 25 and "\n" not in report.text()
    assert all(text in report.text() for text in ("25 of 26 variables", "conv5_3/kernel", "fc8/kernel"))
    found = values(model)
    np.testing.assert_array_equal(found.pop("conv5_3/kernel"), untouched)
    for path, value in found.items():
        np.testing.assert_array_equal(value, source[path])


def test_keras_file_of_a_method_fills_its_backbone(tmp_path):
    keras.utils.set_random_seed(1)
    source = methods.create("cam", backbone=VGG, image_size=32, num_classes=3)
    source.save(tmp_path / "model.keras")
    model = methods.create("e2net", backbone=VGG, image_size=48, num_classes=4)
    report = load_start_weights(model.backbone, VGG, str(tmp_path / "model.keras"))
    assert len(report.filled) == 26 and report.share == 1
    assert {path.split("/")[0] for path in report.not_filled} == {"mae_pool3", "mae_pool4", "mae_conv5_3"}
    np.testing.assert_array_equal(
        model.backbone.get_layer("conv4_2").kernel, source.backbone.get_layer("conv4_2").kernel
    )


def test_wrong_files_are_named(tmp_path):
    np.savez(tmp_path / "other.npz", **{"stem/kernel": np.zeros(3)})
    np.savez(tmp_path / "shape.npz", **{"conv1_1/kernel": np.zeros((3, 3, 3, 64))})
    (tmp_path / "cut.npz").write_bytes((tmp_path / "shape.npz").read_bytes()[:300])
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "weights.pth").write_bytes(b"")
    for name, expected in {
        "nowhere.npz": "no such file",
        "other.npz": r"no variable fits vgg16; it names stem/kernel, the network has conv1_1",
        "shape.npz": r"conv1_1/kernel has shape \(3, 3, 3, 64\), the network needs \(3, 3, 3, 4\); check backbone_w",
        "cut.npz": "not a readable .npz",
        "text.npz": "not a readable .npz",
        "text.keras": "not a .keras model",
        "weights.pth": r"unknown kind of file; give .npz, .keras or .h5, or make an .npz of it with",
    }.items():
        with pytest.raises(UserError, match=expected) as caught:
            load_start_weights(network(), VGG, str(tmp_path / name))
        assert str(caught.value).startswith(f"weights={tmp_path / name}: ")


def partial(tmp_path, variables):
    """An .npz with these variables of the small VGG16 alone."""
    source = values(network(seed=1))
    np.savez(tmp_path / "part.npz", **{path: source[path] for path in variables})
    return str(tmp_path / "part.npz")


def test_too_little_is_refused_unless_asked_for(tmp_path):
    model, total = network(seed=2), 0
    before, sizes = values(model), {variable.path: variable.numpy().size for variable in model.weights}
    largest_first = sorted(sizes, key=sizes.get, reverse=True)
    for count in range(1, 27):
        total += sizes[largest_first[count - 1]]
        if enough := 2 * total >= sum(sizes.values()):
            break
        file, share = partial(tmp_path, largest_first[:count]), total / sum(sizes.values())
        words = (
            f"fills {share:.1%} of the numbers of vgg16 \\({count} of 26 variables; missing: .* and {22 - count} more"
        )
        with pytest.raises(UserError, match=words) as caught:
            load_start_weights(model, VGG, file)
        assert str(caught.value).startswith(f"weights={file}: ") and "allow_partial_weights=true" in str(caught.value)
    assert enough and all(np.array_equal(value, before[path]) for path, value in values(model).items())
    report = load_start_weights(model, VGG, file, allow_partial=True)
    assert report.share == pytest.approx(share) and len(report.filled) == count - 1
    report = load_start_weights(model, VGG, partial(tmp_path, largest_first[:count]))
    assert report.share == pytest.approx(total / sum(sizes.values())) and report.share >= 0.5


def test_another_network_with_a_layer_of_the_same_name_is_refused(tmp_path):
    layers = [keras.layers.Conv2D(32, 3, use_bias=False, name="conv1"), keras.layers.Conv2D(8, 3)]
    keras.Sequential([keras.Input((32, 32, 3)), *layers]).save(tmp_path / "other.keras")
    options = BackboneOptions(backbone="mobilenet_v1")
    with pytest.raises(UserError, match=r"fills 0\.0% of the numbers of mobilenet_v1 \(1 of 135 variables; missing: "):
        load_start_weights(network(options), options, str(tmp_path / "other.keras"))


TWINS = {name: family.applications for name, family in backbones.ARCHITECTURES.items() if family.applications}
SAVED = {"sequential": ".keras", "alone": ".weights.h5", "flat": ".npz", "nested": ".h5"}


def random_weights(model):
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if "float" in variable.dtype:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def transfer(base, form):
    """A user's classifier on a network of keras.applications."""
    if form == "alone":
        return base
    if form == "flat":
        return keras.Model(base.input, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(base.output)))
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    inside = keras.Sequential([keras.Input((96, 96, 3)), keras.layers.Rescaling(1 / 255), base, *head])
    return inside if form == "sequential" else keras.Sequential([keras.Input((96, 96, 3)), inside])


def save_as(model, folder, kind):
    file = str(folder / f"start{kind}")
    if kind == ".weights.h5":
        model.save_weights(file)
    elif kind == ".npz":
        np.savez(file, **{variable.path: variable.numpy() for variable in model.weights})
    else:
        model.save(file)
    return file


@pytest.mark.parametrize(
    ("backbone", "form", "kind"),
    [
        pytest.param("mobilenet_v1", "sequential", ".keras"),
        pytest.param("mobilenet_v1", "nested", ".weights.h5"),
        pytest.param("mobilenet_v1", "flat", ".npz", marks=pytest.mark.slow),
        # The form and the kind of file matter where names are numbers, as in InceptionV3.
        *(pytest.param("inception_v3", form, kind, marks=pytest.mark.slow) for form, kind in SAVED.items()),
        *(
            pytest.param(backbone, "sequential", ".weights.h5", marks=pytest.mark.slow)
            for backbone in TWINS
            if backbone not in ("mobilenet_v1", "inception_v3", "efficientnet_b7")
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")
def test_a_users_own_network_of_keras_applications_fills_ours(tmp_path, backbone, form, kind):
    """Every value is that of their variable; those of layers that Keras numbers are found by the order of creation."""
    for layer in (keras.layers.Conv2D(1, 1), keras.layers.BatchNormalization()):
        assert layer.name  # Keras' numbers do not start at 0
    base = random_weights(
        getattr(keras.applications, TWINS[backbone])(weights=None, include_top=False, input_shape=(96, 96, 3))
    )
    options = BackboneOptions(backbone=backbone)
    file = save_as(transfer(base, form), tmp_path, kind)
    ours = network(options, image_size=32)
    before = values(ours)
    report = load_start_weights(ours, options, file)
    assert {path.split("/")[-1] for path in report.not_filled} <= {"gamma"}  # InceptionV3 there has none
    assert len(report.filled) + len(report.not_filled) == len(ours.weights) and report.share > 0.99
    found = values(ours)
    for path in report.not_filled:
        np.testing.assert_array_equal(found[path], before[path])
    for path in report.filled:
        np.testing.assert_array_equal(found[path], value_of_twin(backbone, base, path))


def number_of(name):
    """Keras' running number in the name of a layer or a variable of it."""
    return int((re.search(r"_(\d+)(/|$)", name) or [0, 0])[1])


def value_of_twin(backbone, base, path):
    """The value of keras.applications' variable for ours, found by the order in which Keras made the layers."""
    layer, variable = path.rsplit("/", 1)
    family = backbones.ARCHITECTURES[backbone]
    if not family.applications_order:
        return getattr(base.get_layer(family.application_layers.get(layer, layer)), variable).numpy()
    kind = keras.layers.BatchNormalization if layer.endswith("_bn") else keras.layers.Conv2D
    made = sorted((each for each in base.layers if isinstance(each, kind)), key=lambda each: number_of(each.name))
    number = family.applications_order.index(layer.removesuffix("_bn"))
    return getattr(made[number], variable).numpy()


def test_two_networks_in_one_file_are_refused(tmp_path):
    images = keras.Input((32, 32, 3))
    parts = [
        keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3, name="conv1_1")], name=name)
        for name in ("teacher", "student")
    ]
    keras.Model(images, [part(images) for part in parts]).save(tmp_path / "two.keras")
    with pytest.raises(UserError, match="holds two variables called conv1_1/kernel; save the network alone"):
        load_start_weights(network(), VGG, str(tmp_path / "two.keras"))


def test_wrong_shape_fills_nothing(tmp_path):
    source = values(network(seed=1))
    source["conv5_3/bias"] = np.zeros(1)
    np.savez(tmp_path / "start.npz", **source)
    model = network(seed=2)
    before = values(model)
    with pytest.raises(UserError, match="conv5_3/bias"):
        load_start_weights(model, VGG, str(tmp_path / "start.npz"))
    assert all(np.array_equal(value, before[path]) for path, value in values(model).items())


def test_imagenet_without_network_is_one_line(monkeypatch):
    def fetch(**_):
        raise Exception("URL fetch failure on https://storage.googleapis.com/x: None --\n[Errno -3] name resolution")

    monkeypatch.setattr(keras.applications, "VGG16", fetch)
    with pytest.raises(UserError, match=r"^weights=imagenet: the file of keras.applications.VGG16 cannot"):
        load_start_weights(network(), VGG, "imagenet")


def test_imagenet_where_keras_has_no_such_network():
    options = BackboneOptions(backbone="resnet50_se", backbone_width=0.05)
    with pytest.raises(UserError, match=r"keras.applications has no resnet50_se"):
        load_start_weights(network(options), options, "imagenet")


@pytest.mark.parametrize(
    ("backbone", "name"), [("vgg16", "VGG16"), pytest.param("mobilenet_v1", "MobileNet", marks=pytest.mark.slow)]
)
def test_imagenet_fills_the_whole_network(monkeypatch, backbone, name):
    """With keras.applications' own random weights in the place of the downloaded ones."""
    keras.utils.set_random_seed(5)
    source = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(64, 64, 3))
    monkeypatch.setattr(keras.applications, name, lambda **_: source)
    options = BackboneOptions(backbone=backbone)
    model = network(options, image_size=64)
    report = load_start_weights(model, options, "imagenet")
    assert report.not_filled == () and report.unused == ()
    # The last features before a stride that one network has and the other has not.
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    last, theirs = ("conv5_3", "block5_conv3") if backbone == "vgg16" else ("block5", "conv_pw_5_relu")
    expected = keras.Model(source.inputs[0], source.get_layer(theirs).output)(model.get_layer("preprocessing")(images))
    np.testing.assert_allclose(model(images)[last], expected, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def inceptions():
    """(ours, keras.applications' InceptionV3, LoadReport): ours filled from theirs, which has numbers everywhere.

    Ours has output stride 8, so its mixed blocks have stride 1 and meet all of their positions.
    """
    rng = np.random.default_rng(0)
    theirs = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(None, None, 3))
    for weight in theirs.weights:
        if weight.path.endswith("kernel"):
            weight.assign(np.sqrt(2 / np.prod(weight.shape[:-1])) * rng.standard_normal(weight.shape))
        else:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    options = BackboneOptions(backbone="inception_v3", output_stride=8, preprocessing="symmetric")
    ours = network(options, image_size=72)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.applications, "InceptionV3", lambda **_: theirs)
        report = load_start_weights(ours, options, "imagenet")
    return ours, theirs, report


def part(model, first, last):
    """The part of `model` behind the layer `first` up to `last`, by name."""
    return keras.Model(model.get_layer(first).output, model.get_layer(last).output)


def pool_names(model):
    return [layer.name for layer in model.layers if isinstance(layer, keras.layers.MaxPooling2D)]


def assert_same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_imagenet_fills_inception_v3_but_for_gamma(inceptions):
    ours, theirs, report = inceptions
    assert report.unused == () and len(report.filled) == len(theirs.weights) == 376
    assert report.not_filled == tuple(weight.path for weight in ours.weights if weight.path.endswith("/gamma"))


@pytest.mark.slow
def test_inception_v3_has_every_block_of_keras_applications(inceptions):
    """On the same features and away from the border, where padding is not met."""
    ours, theirs, _ = inceptions
    _, second_pool, *_ = pool_names(theirs)
    names = ["5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"]
    before, their_before = "pool2", second_pool
    for number, name in enumerate(names):
        block, twin = part(ours, before, f"mixed_{name}_concat"), part(theirs, their_before, f"mixed{number}")
        features = np.random.default_rng(number).uniform(0, 1, (1, *block.input_shape[1:]))
        found, expected = np.asarray(block(features)), np.asarray(twin(features))
        if name in ("6a", "7a"):  # theirs: stride 2 without padding
            assert_same(found[:, 1:-1:2, 1:-1:2], expected)
        else:
            assert_same(found[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1])
        before, their_before = f"mixed_{name}_concat", f"mixed{number}"


@pytest.mark.slow
def test_inception_v3_has_the_stem_of_keras_applications(inceptions):
    ours, theirs, _ = inceptions
    first_pool, second_pool, *_ = pool_names(theirs)
    rng = np.random.default_rng(0)
    # Our first windows lie one pixel further to the top left.
    pictures = rng.integers(0, 256, (1, 73, 73, 3), dtype=np.uint8)
    expected = keras.Model(theirs.inputs[0], theirs.get_layer(first_pool).input)(pictures / 127.5 - 1)
    assert_same(np.asarray(ours(pictures[:, 1:, 1:])["conv2d_2b"])[:, 2:, 2:], np.asarray(expected)[:, 2:, 2:])
    block = part(ours, "pool1", "conv2d_4a_relu")
    twin = keras.Model(theirs.get_layer(first_pool).output, theirs.get_layer(second_pool).input)
    features = rng.uniform(0, 1, (1, *block.input_shape[1:]))
    assert_same(block(features), np.asarray(twin(features)))


@pytest.mark.slow
def test_inception_v3_slim_is_keras_applications_from_the_second_pool_on(inceptions, monkeypatch):
    """Borders included: both average over the positions inside. 6a has a stride and no padding there."""
    _, theirs, _ = inceptions
    monkeypatch.setattr(keras.applications, "InceptionV3", lambda **_: theirs)
    options = BackboneOptions(backbone="inception_v3_slim", output_stride=8, preprocessing="symmetric")
    ours = network(options, image_size=72)
    report = load_start_weights(ours, options, "imagenet")
    assert report.not_filled == () and len(report.filled) == 4 * 70
    convolutions = sorted((w.path for w in theirs.weights if w.path.endswith("/kernel")), key=number_of)
    assert {path for path in report.unused if path.endswith("/kernel")} == set(convolutions[70:])  # from block 7a on
    _, second_pool, *_ = pool_names(theirs)
    before, their_before = "pool2", second_pool
    for number, name in enumerate(["5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e"]):
        block, twin = part(ours, before, f"mixed_{name}_concat"), part(theirs, their_before, f"mixed{number}")
        features = np.random.default_rng(number).uniform(0, 1, (1, *block.input_shape[1:]))
        found = np.asarray(block(features))
        assert_same(found[:, 1:-1:2, 1:-1:2] if name == "6a" else found, twin(features))
        before, their_before = f"mixed_{name}_concat", f"mixed{number}"


def test_errors_name_the_callers_argument():
    """Those of a command name its flag, see test_cli_errors."""
    with pytest.raises(ValueError, match=r"^weights=nowhere.npz: no such file"):
        methods.METHODS["cam"](num_classes=3, backbone=VGG, image_size=32, weights="nowhere.npz")
    with pytest.raises(ValueError, match=r"^backbone_weights=nowhere.npz: no such file"):
        load_start_weights(network(), VGG, "nowhere.npz", argument="backbone_weights")


@pytest.mark.slow
def test_imagenet_does_not_fit_resnet50():
    """What the message says of keras.applications' ResNet50 holds."""
    theirs = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(32, 32, 3))
    strides = [theirs.get_layer(f"conv3_block1_{number}_conv").strides for number in (1, 2)]
    assert strides == [(2, 2), (1, 1)]
    assert theirs.get_layer("conv1_conv").use_bias and theirs.get_layer("conv1_bn").epsilon == 1.001e-5
    options = BackboneOptions(backbone="resnet50", backbone_width=0.05)
    with pytest.raises(UserError, match=r"^weights=imagenet: keras.applications.ResNet50 is another network"):
        load_start_weights(network(options), options, "imagenet")


@pytest.mark.slow
def test_imagenet_loads_mobilenet_under_both_conventions(monkeypatch):
    source = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3))
    monkeypatch.setattr(keras.applications, "MobileNet", lambda **_: source)
    options = BackboneOptions(backbone="mobilenet_v1", backbone_conventions="torch")
    report = load_start_weights(network(options), options, "imagenet")
    assert report.not_filled == () and report.unused == ()


@pytest.mark.skipif(not MOBILENET_FILE.exists(), reason="needs shared/data/mobilenet_v1_imagenet.npz")
def test_layers_of_a_method_do_not_count(tmp_path):
    """E2Net's attention has almost as many numbers as MobileNetV1 has."""
    model = methods.METHODS["e2net"](num_classes=3, backbone="mobilenet_v1", image_size=32, weights=str(MOBILENET_FILE))
    own = sum(variable.numpy().size for variable in network(model.backbone_options).weights)
    assert model.start_weights.share == pytest.approx(1 - 1024**2 / own)
    with pytest.raises(UserError, match="allow_partial_weights=true"):
        np.savez(tmp_path / "a.npz", **{"conv1/kernel": np.zeros((3, 3, 3, 32))})
        methods.METHODS["e2net"](num_classes=3, backbone="mobilenet_v1", image_size=32, weights=str(tmp_path / "a.npz"))


@pytest.mark.skipif(not MOBILENET_FILE.exists(), reason="needs shared/data/mobilenet_v1_imagenet.npz")
@pytest.mark.slow
def test_mobilenet_with_imagenet_weights_agrees_with_keras_applications():
    options = BackboneOptions(backbone="mobilenet_v1")
    ours = network(options, image_size=96)
    report = load_start_weights(ours, options, str(MOBILENET_FILE))
    assert report.not_filled == ("conv_pw_13/kernel",) and report.unused == ()
    theirs = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(96, 96, 3))
    with np.load(MOBILENET_FILE) as archive:
        for weight in theirs.weights:
            if weight.path in archive:
                weight.assign(archive[weight.path])
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    layers = ("conv1_relu", "conv_pw_5_relu", "conv_pw_6_relu")
    expected = keras.Model(theirs.inputs[0], [theirs.get_layer(name).output for name in layers])(images / 127.5 - 1)
    found = ours(images)
    for name, value in zip(("conv1", "block5"), expected):
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-4)
    # Block 6 has lost its stride of 2, which pads at the bottom right only: every second position is theirs.
    np.testing.assert_allclose(found["block6"][:, 1::2, 1::2], expected[2], rtol=1e-3, atol=1e-4)


def test_start_weights_of_released_flagfiles_name_the_script_that_makes_them():
    lines = {line for path in FLAGS.glob("*.cfg") for line in path.read_text().splitlines()}
    given = sorted(line.partition("=")[2] for line in lines if line.startswith("--backbone_weights=weights/"))
    assert len(given) >= 6
    for path in given:
        with pytest.raises(
            UserError, match=f"no such file; bash scripts/prepare_weights.sh {pathlib.Path(path).stem} makes"
        ):
            load_start_weights(network(), VGG, path)
        done = subprocess.run(
            ["bash", SCRIPT, pathlib.Path(path).stem, "nowhere"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2 and done.stderr.startswith("error: nowhere: not found. Download by hand, from ")
        assert "http" in done.stderr or "README of github.com" in done.stderr
