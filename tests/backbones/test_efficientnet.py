"""EfficientNet against keras.applications' with made-up numbers in the place of the file's."""

import keras
import numpy as np
import pytest

from e2wsol import backbones
from e2wsol.backbones import BackboneOptions
from e2wsol.backbones.weights import load_start_weights

# What the ImageNet file holds in its normalization layer: the deviations stand where variances belong, and
# keras.applications divides by their square roots once more behind it.
FILE_MEAN, FILE_VARIANCE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VARIANTS = [("efficientnet_b0", "EfficientNetB0")]
BOTH = [*VARIANTS, pytest.param("efficientnet_b7", "EfficientNetB7", marks=pytest.mark.slow)]


def filled(backbone, name, image_size):
    """(our network, keras.applications', LoadReport), ours filled from theirs."""
    rng = np.random.default_rng(0)
    keras.utils.clear_session(free_memory=False)  # Keras numbers layers without a name of their own
    theirs = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(image_size, image_size, 3))
    for weight in theirs.weights:
        if weight.path == "normalization/mean":
            weight.assign(FILE_MEAN)
        elif weight.path == "normalization/variance":
            weight.assign(FILE_VARIANCE)
        elif "project_bn/gamma" in weight.path:  # the sum of 55 blocks stays small
            weight.assign(rng.uniform(0.1, 0.2, weight.shape))
        elif len(weight.shape) == 1:
            centre = 1.0 if weight.path.endswith(("gamma", "variance")) else 0.0
            weight.assign(centre + rng.uniform(-0.2, 0.2, weight.shape))
    theirs.get_layer("normalization").finalize_state()
    options = BackboneOptions(backbone=backbone, output_stride=32)
    ours = backbones.build(options, image_size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.applications, name, lambda **_: theirs)
        report = load_start_weights(ours, options, "imagenet")
    return ours, theirs, report


@pytest.mark.parametrize(("backbone", "name"), BOTH)
def test_imagenet_fills_the_whole_network(backbone, name):
    """Every layer computes the same, and pictures are normalised once, as the file's network does."""
    ours, theirs, report = filled(backbone, name, 64)
    assert report.not_filled == ()
    assert report.unused == ("normalization/count", "normalization/mean", "normalization/variance")
    images = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    entered = keras.Model(theirs.inputs[0], theirs.get_layer("normalization").output)(images.astype(np.float32))
    entered = np.asarray(entered) / np.sqrt(FILE_VARIANCE)
    np.testing.assert_allclose(ours.get_layer("preprocessing")(images), entered, rtol=1e-5, atol=1e-5)
    assert np.abs(entered).max() < 3
    found = ours(images)
    stage2 = [layer.name for layer in theirs.layers if layer.name.startswith("block2") and layer.name.endswith("_add")]
    layers = {"stem": "stem_activation", "stage2": stage2[-1], "block5c": "block5c_add", "top": "top_activation"}
    pad = theirs.get_layer("stem_conv_pad")
    expected = keras.Model(pad.output, [theirs.get_layer(layer).output for layer in layers.values()])(pad(entered))
    for end_point, value in zip(layers, expected):
        np.testing.assert_allclose(found[end_point], value, rtol=1e-4, atol=1e-5 * np.abs(value).max())


def test_end_points():
    network = backbones.build(BackboneOptions(backbone="efficientnet_b0", output_stride=32), 224)
    found = {name: tuple(tensor.shape[1:]) for name, tensor in network.output.items()}
    sides = (112, 56, 28, 14, 14, 7, 7)
    for stage, (side, channels) in enumerate(zip(sides, (16, 24, 40, 80, 112, 192, 320)), start=1):
        assert {shape for name, shape in found.items() if name[5:].startswith(str(stage))} == {(side, side, channels)}
    assert found["stem"] == (112, 112, 32) and found["top"] == (7, 7, 1280)
    assert list(found)[-3:] == ["block7a", "stage7", "top"] and len(found) == 1 + 16 + 7 + 1


@pytest.mark.slow
def test_b7_is_b0_deepened_and_widened():
    network = backbones.build(BackboneOptions(backbone="efficientnet_b7", backbone_width=0.05, output_stride=32), 64)
    blocks = [sum(name.startswith(f"block{stage}") for name in network.output) for stage in range(1, 8)]
    assert blocks == [4, 7, 7, 10, 10, 13, 4]
    # Paper and keras.applications: 66,658,687 parameters with the classifier of 1000, 64,097,687 without; the 7
    # of the normalization layer are ours of no network.
    assert backbones.build(BackboneOptions(backbone="efficientnet_b7"), 64).count_params() == 64_097_687 - 7


@pytest.mark.slow
def test_drop_connect_grows_with_the_depth_and_drops_whole_pictures():
    network = backbones.build(BackboneOptions(backbone="efficientnet_b0", backbone_width=0.05), 32)
    drops = {layer.name: layer for layer in network.layers if isinstance(layer, keras.layers.Dropout)}
    rates = {name: round(layer.rate, 6) for name, layer in drops.items()}
    # 16 blocks, counted from 0; the first of a stage has no shortcut.
    expected = {2: "2b", 4: "3b", 6: "4b", 7: "4c", 9: "5b", 10: "5c", 12: "6b", 13: "6c", 14: "6d"}
    assert rates == {f"block{name}_drop": round(0.2 * block / 16, 6) for block, name in expected.items()}
    kept = np.asarray(drops["block6d_drop"](np.ones((64, 2, 2, 3), np.float32), training=True)).reshape(64, -1)
    assert all(len(set(picture)) == 1 for picture in kept)
    assert {round(float(value), 4) for value in kept[:, 0]} == {0.0, round(1 / (1 - 0.2 * 14 / 16), 4)}
