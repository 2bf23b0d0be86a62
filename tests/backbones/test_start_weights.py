import pathlib

import keras
import numpy as np
import pytest

from e2wsol import backbones, methods
from e2wsol.backbones import BackboneOptions
from e2wsol.backbones.weights import load_start_weights
from e2wsol.errors import UserError

MOBILENET_FILE = pathlib.Path(__file__).parents[3] / "shared" / "data" / "mobilenet_v1_imagenet.npz"
VGG = BackboneOptions(backbone="vgg16", backbone_width=0.05)


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
    assert all(text in report.text() for text in ("25 variables filled", "conv5_3/kernel", "fc8/kernel"))
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
    assert len(report.filled) == 26
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
    (tmp_path / "weights.h5").write_bytes(b"")
    for name, expected in {
        "nowhere.npz": "no such file",
        "other.npz": r"no variable fits vgg16; it names stem/kernel, the network has conv1_1",
        "shape.npz": r"conv1_1/kernel has shape \(3, 3, 3, 64\), the network needs \(3, 3, 3, 4\); check --backbone_w",
        "cut.npz": "not a readable .npz",
        "text.npz": "not a readable .npz",
        "text.keras": "not a .keras model",
        "weights.h5": "unknown kind of file; give .npz or .keras",
    }.items():
        with pytest.raises(UserError, match=expected) as caught:
            load_start_weights(network(), VGG, str(tmp_path / name))
        assert f"--backbone_weights={tmp_path / name}" in str(caught.value)


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
    with pytest.raises(UserError, match=r"--backbone_weights=imagenet: the file of keras.applications.VGG16 cannot"):
        load_start_weights(network(), VGG, "imagenet")


def test_imagenet_where_keras_has_no_such_network():
    options = BackboneOptions(backbone="resnet50_se", backbone_width=0.05)
    with pytest.raises(UserError, match=r"keras.applications has no resnet50_se"):
        load_start_weights(network(options), options, "imagenet")


@pytest.mark.parametrize(("backbone", "name"), [("vgg16", "VGG16"), ("mobilenet_v1", "MobileNet")])
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


@pytest.mark.skipif(not MOBILENET_FILE.exists(), reason="needs shared/data/mobilenet_v1_imagenet.npz")
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
