import keras
import numpy as np
import pytest

from e2wsol import backbones, methods
from e2wsol.backbones import BackboneOptions
from e2wsol.errors import UserError
from e2wsol.layers import BatchNormalization
from e2wsol.methods.e2net import E2NetOptions

# The deep ones, up to the 800 layers of EfficientNet-B7, take a second each.
ALL = [
    pytest.param(name, marks=[pytest.mark.slow] * (name not in ("vgg16", "mobilenet_v1")))
    for name in backbones.ARCHITECTURES
]


def shapes(network):
    return {name: tuple(tensor.shape[1:]) for name, tensor in network.output.items()}


def build(backbone, image_size=224, *, width=1.0, inserted=None, **options):
    return backbones.build(
        BackboneOptions(backbone=backbone, backbone_width=width, **options), image_size, inserted=inserted
    )


def test_vgg16_is_the_gap_form():
    found = shapes(build("vgg16"))
    expected = {
        **{f"conv1_{i}": (224, 224, 64) for i in (1, 2)},
        **{f"conv2_{i}": (112, 112, 128) for i in (1, 2)},
        **{f"conv3_{i}": (56, 56, 256) for i in (1, 2, 3)},
        **{f"conv4_{i}": (28, 28, 512) for i in (1, 2, 3)},
        **{f"conv5_{i}": (14, 14, 512) for i in (1, 2, 3)},
        **{"pool1": (112, 112, 64), "pool2": (56, 56, 128), "pool3": (28, 28, 256), "pool4": (14, 14, 512)},
    }
    assert found == expected
    assert list(found)[-1] == "conv5_3"


@pytest.mark.slow
def test_resnet50_se_keeps_14x14():
    found = shapes(build("resnet50_se"))
    assert found["conv0"] == (112, 112, 64) and found["pool0"] == (56, 56, 64)
    blocks = (3, 4, 6, 3)
    for group, shape in enumerate(((56, 56, 256), (28, 28, 512), (14, 14, 1024), (14, 14, 2048))):
        names = [f"group{group}", *(f"group{group}_block{block}" for block in range(blocks[group]))]
        assert {found.pop(name) for name in names} == {shape}
    assert set(found) == {"conv0", "pool0"}


@pytest.mark.slow
def test_resnet50_pools_behind_a_28x28_trunk():
    found = shapes(build("resnet50"))
    assert found.pop("conv0") == (112, 112, 64) and found.pop("pool0") == (56, 56, 64)
    assert found.pop("pool1") == (14, 14, 1024)
    blocks = (3, 4, 6, 3)
    for group, shape in enumerate(((56, 56, 256), (28, 28, 512), (28, 28, 1024), (14, 14, 2048))):
        names = [f"group{group}", *(f"group{group}_block{block}" for block in range(blocks[group]))]
        assert {found.pop(name) for name in names} == {shape}
    assert not found
    without_pool = shapes(build("resnet50", 64, width=0.05, output_stride=8))
    assert without_pool["pool1"] == without_pool["group2"] == (8, 8, 52) and without_pool["group3"][:2] == (8, 8)


@pytest.mark.slow
def test_inception_v3_has_bas_sizes():
    assert shapes(build("inception_v3")) == {
        **{"conv2d_1a": (112, 112, 32), "conv2d_2a": (110, 110, 32), "conv2d_2b": (110, 110, 64)},
        **{"pool1": (56, 56, 64), "conv2d_3b": (56, 56, 80), "conv2d_4a": (54, 54, 192), "pool2": (28, 28, 192)},
        **{"mixed_5b": (28, 28, 256), "mixed_5c": (28, 28, 288), "mixed_5d": (28, 28, 288)},
        **{f"mixed_6{letter}": (28, 28, 768) for letter in "abcde"},
        **{"mixed_7a": (14, 14, 1280), "mixed_7b": (14, 14, 2048), "mixed_7c": (14, 14, 2048)},
    }


@pytest.mark.slow
def test_resnet50_at_stride_32_is_the_classification_network():
    found = shapes(build("resnet50", output_stride=32))
    assert "pool1" not in found and len(found) == 2 + 4 + sum((3, 4, 6, 3))
    for group, shape in enumerate(((56, 56, 256), (28, 28, 512), (14, 14, 1024), (7, 7, 2048))):
        assert found[f"group{group}_block0"] == found[f"group{group}"] == shape
    assert list(shapes(build("resnet50_se", 64, width=0.05, output_stride=32)).values())[-1][:2] == (2, 2)


def test_output_stride_that_a_backbone_does_not_have():
    with pytest.raises(UserError, match=r"^output_stride=32: vgg16 has 8, 16 only"):
        build("vgg16", 32, width=0.05, output_stride=32)


@pytest.mark.slow
def test_inception_v3_slim_ends_at_mixed_6e():
    expected = {
        **{"conv2d_1a": (112, 112, 32), "conv2d_2a": (112, 112, 32), "conv2d_2b": (112, 112, 64)},
        **{"pool1": (56, 56, 64), "conv2d_3b": (56, 56, 80), "conv2d_4a": (56, 56, 192), "pool2": (28, 28, 192)},
        **{"mixed_5b": (28, 28, 256), "mixed_5c": (28, 28, 288), "mixed_5d": (28, 28, 288)},
    }
    for output_stride, side in ((8, 28), (16, 14)):
        last = {f"mixed_6{letter}": (side, side, 768) for letter in "abcde"}
        assert shapes(build("inception_v3_slim", output_stride=output_stride)) == {**expected, **last}


def test_inception_v3_slim_normalises_as_slim():
    network = build("inception_v3_slim", 64, width=0.05)
    found = [layer for layer in network.layers if isinstance(layer, BatchNormalization)]
    # 5 of the stem, 7 of each block 5b to 5d, 4 of 6a, 10 of each block 6b to 6e.
    assert len(found) == 5 + 3 * 7 + 4 + 4 * 10
    assert {(layer.gamma, layer.momentum, layer.epsilon) for layer in found} == {(None, 0.999, 1e-3)}
    assert not any(weight.path.endswith(("/bias", "/gamma")) for weight in network.weights)


@pytest.mark.slow
def test_resnets_of_dgl_keep_28x28_without_a_pool():
    for backbone in ("resnet50", "resnet50_se"):
        found = shapes(build(backbone, output_stride=8, backbone_conventions="tensorflow"))
        assert found["conv0"] == (112, 112, 64) and found["group0"] == (56, 56, 256)
        sides = {found[f"group{group}_block{block}"][0] for group in (1, 2, 3) for block in (0, 2)}
        assert sides == {28} and found["group3"] == (28, 28, 2048)


def test_mobilenet_v1_without_the_stride_of_block_6():
    found = shapes(build("mobilenet_v1"))
    assert found["conv1"] == (112, 112, 32) and found["block5"] == (28, 28, 256)
    assert found["block6"] == found["block11"] == (28, 28, 512)
    assert found["block12"] == found["block13"] == (14, 14, 1024)
    assert list(found) == ["conv1", *(f"block{block}" for block in range(1, 14))]


@pytest.mark.parametrize("backbone", ALL)
def test_output_stride(backbone):
    for stride, image_size in ((8, 64), (16, 96)):
        network = build(backbone, image_size, width=0.1, output_stride=stride)
        height, width, _ = list(shapes(network).values())[-1]
        assert height == width == image_size // stride


@pytest.mark.parametrize("backbone", ALL)
def test_trunk_levels_and_gate_positions_are_end_points(backbone):
    family = backbones.architecture(backbone)
    found = shapes(build(backbone, 64, width=0.05))
    assert {family.trunk, *family.attention_positions, *family.levels} <= set(found)
    sides = [found[name][0] for name in family.levels]
    assert len(sides) == 3 and sides[0] == 8 and sides == sorted(sides, reverse=True)


# BAS' totals (bas.md, section 2) less its heads: 3x3 to 1024, 3x3 to 1024, 1x1 to 200, and 3x3 from the trunk to 200.
@pytest.mark.parametrize(
    ("backbone", "total", "trunk_channels", "channels"),
    [
        ("vgg16", 29_999_312, 512, 512),
        ("mobilenet_v1", 23_210_192, 512, 1024),
        pytest.param("resnet50", 53_870_032, 1024, 2048, marks=pytest.mark.slow),
        pytest.param("inception_v3", 51_686_768, 768, 2048, marks=pytest.mark.slow),
    ],
)
def test_parameters_of_bas(backbone, total, trunk_channels, channels):
    network = build(backbone, 64)
    heads = (9 * channels + 1) * 1024 + (9 * 1024 + 1) * 1024 + (1024 + 1) * 200 + (9 * trunk_channels + 1) * 200
    assert sum(np.prod(weight.shape) for weight in network.trainable_weights) == total - heads


@pytest.mark.parametrize("backbone", ["vgg16", "mobilenet_v1", pytest.param("resnet50_se", marks=pytest.mark.slow)])
def test_parameters_at_full_width(backbone):
    """Against keras.applications, or the published counts, of the parts that both have."""
    network = build(backbone, 64)
    if backbone == "vgg16":
        assert network.count_params() == keras.applications.VGG16(weights=None, include_top=False).count_params()
    elif backbone == "mobilenet_v1":
        assert network.count_params() == keras.applications.MobileNet(weights=None, include_top=False).count_params()
    else:
        plain = keras.applications.ResNet50(weights=None, include_top=False)
        # keras.applications' convolutions carry biases that E2Net's do not; SE adds two layers a block.
        biases = sum(np.prod(w.shape) for w in plain.weights if w.path.endswith("conv/bias"))
        squeeze = sum(np.prod(w.shape) for w in network.weights if "_fc" in w.path)
        assert network.count_params() - squeeze == plain.count_params() - biases


def test_vgg16_with_batch_norm():
    network = build("vgg16", 32, width=0.05, backbone_batch_norm=True)
    norms = [layer for layer in network.layers if isinstance(layer, BatchNormalization)]
    assert len(norms) == 13 and not any("bias" in weight.path for weight in network.weights)


# Numbers of e2net.md, section 12.
@pytest.mark.parametrize(
    ("backbone", "batch_norm", "variables", "trainable"),
    [
        ("vgg16", False, 48, 48),
        *(pytest.param("resnet50_se", *rest, marks=pytest.mark.slow) for rest in ((False, 343, 237), (True, 351, 241))),
    ],
)
def test_variables_of_e2net_as_released(backbone, batch_norm, variables, trainable):
    model = methods.create(
        "e2net",
        backbone=BackboneOptions(backbone=backbone, backbone_width=0.05),
        image_size=32,
        num_classes=5,
        options=[E2NetOptions(ose_batch_norm=batch_norm)],
    )
    assert (len(model.weights), len(model.trainable_weights)) == (variables, trainable)


def test_gate_stands_behind_its_end_point():
    doubled = keras.layers.Lambda(lambda x: 2 * x, output_shape=lambda shape: shape)
    keras.utils.set_random_seed(0)
    plain = build("vgg16", 32, width=0.05)
    keras.utils.set_random_seed(0)
    gated = build("vgg16", 32, width=0.05, inserted={"pool3": doubled})
    images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    before, after = plain(images), gated(images)
    np.testing.assert_array_equal(after["conv3_3"], before["conv3_3"])
    np.testing.assert_array_equal(after["pool3"], 2 * np.asarray(before["pool3"]))


def test_gate_at_a_wrong_position_lists_the_end_points():
    with pytest.raises(UserError, match=r"pool9: no such end point; choose among conv1_1, conv1_2, pool1"):
        build("vgg16", 32, width=0.05, inserted={"pool9": keras.layers.Identity()})
    with pytest.raises(UserError, match="pool9"):
        methods.create(
            "e2net",
            backbone=BackboneOptions(backbone_width=0.05),
            image_size=32,
            num_classes=2,
            options=[E2NetOptions(mae_positions=("pool9",))],
        )


def test_unknown_backbone_lists_the_valid_ones():
    with pytest.raises(
        UserError,
        match=r"^backbone=vgg: unknown; choose one of efficientnet_b0, efficientnet_b7, inception_v3, inception_v3_s",
    ):
        build("vgg")


@pytest.mark.parametrize(("backbone", "own"), [("vgg16", "imagenet_bgr"), ("mobilenet_v1", "symmetric")])
def test_preprocessing_is_the_backbones_own_or_as_asked(backbone, own):
    assert build(backbone, 32, width=0.05).get_layer("preprocessing").scheme == own
    asked = build(backbone, 32, width=0.05, preprocessing="caffe")
    assert asked.get_layer("preprocessing").scheme == "caffe"


def test_conventions_are_the_backbones_own_or_as_asked():
    def epsilon(**options):
        return build("mobilenet_v1", 32, width=0.05, **options).get_layer("conv1_bn").epsilon

    assert epsilon() == epsilon(backbone_conventions="tensorflow") == 1e-3
    assert epsilon(backbone_conventions="torch") == 1e-5
    for backbone, other in (("inception_v3", "tensorflow"), ("inception_v3_slim", "torch"), ("resnet50_se", "torch")):
        with pytest.raises(UserError, match=rf"^backbone_conventions={other}: {backbone} follows .* only"):
            build(backbone, 32, width=0.05, backbone_conventions=other)


@pytest.mark.parametrize(
    ("backbone", "conventions", "gamma"),
    [("resnet50", "auto", 1), ("resnet50", "tensorflow", 0), ("resnet50_se", "auto", 0)],
)
def test_last_normalization_of_a_block_starts_as_in_its_origin(backbone, conventions, gamma):
    network = build(backbone, 32, width=0.05, backbone_conventions=conventions)
    np.testing.assert_array_equal(network.get_layer("group1_block1_conv3_bn").gamma, gamma)
    np.testing.assert_array_equal(network.get_layer("group1_block1_conv2_bn").gamma, 1)


def test_strided_block_has_a_shortcut_where_small_widths_leave_the_channels_equal():
    found = shapes(build("resnet50_se", 64, width=0.02))
    assert found["group0"] == (16, 16, 16) and found["group1"] == (8, 8, 16)
