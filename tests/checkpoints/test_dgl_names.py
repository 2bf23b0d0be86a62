import json
import pathlib

import numpy as np
import pytest

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.checkpoints.dgl import end_point, to_keras_layout, variable_path
from e2wsol.errors import UserError

KIT = pathlib.Path(__file__).resolve().parents[3] / "shared" / "parity" / "public"
NETWORKS = {"vgg16": ("vgg16", 16), "inception_v3": ("inception_v3_slim", 8)}


@pytest.mark.skipif(not KIT.is_dir(), reason="the parity kit is not at ../shared/parity")
@pytest.mark.parametrize("name", NETWORKS)
def test_every_name_of_a_case_meets_one_variable(name):
    case = json.loads((KIT / f"dgl_{name}_ilsvrc" / "case.json").read_text(encoding="utf-8"))
    backbone, output_stride = NETWORKS[name]
    options = BackboneOptions(backbone=backbone, output_stride=output_stride)
    model = methods.create("dgl", backbone=options, image_size=64, num_classes=case["num_classes"])
    found = {}
    for entry in case["parameters"]:
        path = variable_path(entry["name"], backbone)
        assert path not in found
        found[path] = to_keras_layout(np.broadcast_to(np.float32(0), entry["shape"]), path).shape
    assert found == {weight.path: tuple(weight.shape) for weight in model.weights}
    points = {*model.backbone.output, *(layer.name for layer in model.layers)}
    assert {end_point(layer) for layer in case["target_layers"]} <= points


@pytest.mark.parametrize(
    ("backbone", "name", "path"),
    [
        ("vgg16", "linear_cub/W", "linear/kernel"),
        ("vgg16", "add/b", "features/bias"),
        ("resnet50", "linearcub/b", "linear/bias"),
        ("resnet50", "conv0/bn/variance/EMA", "conv0_bn/moving_variance"),
        ("resnet50", "group3/block0/convshortcut/bn/gamma", "group3_block0_convshortcut_bn/gamma"),
        ("resnet50_se", "group1/block3/fc2/W", "group1_block3_fc2/kernel"),
        ("inception_v3_slim", "InceptionV3/Mixed_5c/Branch_1/Conv2d_0b_1x1/weights", "mixed_5c_branch5x5_1/kernel"),
        ("inception_v3_slim", "InceptionV3/Mixed_5d/Branch_1/Conv2d_0b_5x5/weights", "mixed_5d_branch5x5_2/kernel"),
        (
            *("inception_v3_slim", "InceptionV3/Mixed_6a/Branch_1/Conv2d_1a_1x1/BatchNorm/moving_mean"),
            "mixed_6a_branch3x3dbl_3_bn/moving_mean",
        ),
        (
            "inception_v3_slim",
            "InceptionV3/Mixed_6c/Branch_3/Conv2d_0b_1x1/BatchNorm/beta",
            "mixed_6c_branch_pool_bn/beta",
        ),
        ("inception_v3_slim", "InceptionV3/Logits/add2/biases", "features_1/bias"),
        ("inception_v3_slim", "InceptionV3/Logits/Conv2d_1c_1x1_200/weights", "linear/kernel"),
        ("inception_v3_slim", "InceptionV3/Logits/Conv2d_1c_1x1/weights", None),
        ("inception_v3_slim", "InceptionV3/Mixed_7a/Branch_0/Conv2d_0a_1x1/weights", None),
        ("inception_v3_slim", "InceptionV3/AuxLogits/Conv2d_1b_1x1/weights", None),
    ],
)
def test_names_that_a_case_does_not_have(backbone, name, path):
    assert variable_path(name, backbone) == path


@pytest.mark.parametrize(
    ("backbone", "name"),
    [
        ("vgg16", "conv1_1/weights"),
        ("vgg16", "global_step"),
        ("resnet50", "conv0/bn/mean"),
        ("inception_v3_slim", "conv1_1/W"),
        ("inception_v3_slim", "InceptionV3/Conv2d_1a_3x3/BatchNorm/gamma"),
        ("inception_v3_slim", "InceptionV3/Mixed_6a/Branch_2/Conv2d_0a_1x1/weights"),
        ("inception_v3_slim", "InceptionV3/Mixed_5b/Branch_0/Conv2d_0b_1x1/biases/x"),
    ],
)
def test_foreign_names_are_refused(backbone, name):
    with pytest.raises(UserError, match=f"{name}: not a name of .*{backbone}; is the checkpoint of another network"):
        variable_path(name, backbone)


def test_layers_of_the_demo():
    found = [end_point(name) for name in ("Conv2d_3b_1x1", "MaxPool_5a_3x3", "group1/block3_shortcut", "add", "pool4")]
    assert found == ["conv2d_3b", "pool2", "group1_block3", "features", "pool4"]


def test_classifier_of_slim_is_a_matrix():
    kernel = np.arange(12).reshape(1, 1, 3, 4)
    np.testing.assert_array_equal(to_keras_layout(kernel, "linear/kernel"), kernel[0, 0])
    assert to_keras_layout(kernel, "features/kernel") is kernel
