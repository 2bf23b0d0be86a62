import json
import pathlib

import numpy as np
import pytest

from e2wsol import backbones
from e2wsol.backbones import BackboneOptions
from e2wsol.checkpoints.bas import to_keras_layout, variable_path
from e2wsol.errors import UserError

KIT = pathlib.Path(__file__).resolve().parents[3] / "shared" / "parity" / "public"
BACKBONES = ("vgg16", "mobilenet_v1", "resnet50", "inception_v3")
HEADS = {
    *(f"classifier_cls/conv{number}/{kind}" for number in (1, 2, 3) for kind in ("kernel", "bias")),
    *("classifier_loc/kernel", "classifier_loc/bias"),
}


@pytest.mark.skipif(not KIT.is_dir(), reason="the parity kit is not at ../shared/parity")
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_name_of_a_case_meets_one_variable(backbone):
    case = json.loads((KIT / f"bas_{backbone}_cub" / "case.json").read_text(encoding="utf-8"))
    network = backbones.build(BackboneOptions(backbone=backbone, backbone_conventions="torch"), 64)
    shapes = {weight.path: tuple(weight.shape) for weight in network.weights}
    found = {}
    for entry in case["parameters"]:
        path = variable_path(entry["name"], backbone)
        if path is None:
            assert entry["name"].endswith("num_batches_tracked")
            continue
        assert path not in found
        assert variable_path(f"module.{entry['name']}", backbone) == path
        found[path] = to_keras_layout(np.broadcast_to(np.float32(0), entry["shape"]), path).shape
    assert found.keys() == shapes.keys() | HEADS
    assert all(found[path] == shape for path, shape in shapes.items())


@pytest.mark.parametrize(
    ("backbone", "name", "path"),
    [
        ("vgg16", "module.conv5_3.bias", "conv5_3/bias"),
        ("vgg16", "module.conv_copy_5_3.weight", None),
        ("vgg16", "module.conv_copy_5_3.bias", None),
        ("vgg16", "module.classifier_cls_copy.2.weight", None),
        ("mobilenet_v1", "module.model.0.1.weight", "conv1_bn/gamma"),
        ("mobilenet_v1", "module.model.13.3.weight", "conv_pw_13/kernel"),
        ("mobilenet_v1", "module.erase_branch.12.1.running_mean", "erased_statistics/conv_dw_12_bn/moving_mean"),
        ("mobilenet_v1", "module.erase_branch.13.4.running_var", "erased_statistics/conv_pw_13_bn/moving_variance"),
        ("mobilenet_v1", "module.erase_branch.13.4.weight", None),
        ("mobilenet_v1", "module.erase_branch.12.4.num_batches_tracked", None),
        ("resnet50", "module.layer4.0.downsample.0.weight", "group3_block0_convshortcut/kernel"),
        ("resnet50", "module.layer4_copy.2.bn1.running_mean", "erased_statistics/group3_block2_conv1_bn/moving_mean"),
        (
            *("resnet50", "module.layer4_copy.0.downsample.1.running_var"),
            "erased_statistics/group3_block0_convshortcut_bn/moving_variance",
        ),
        ("resnet50", "module.layer4_copy.0.downsample.0.weight", None),
        ("resnet50", "module.layer4_copy.0.bn1.bias", None),
        ("resnet50", "fc.weight", None),
        ("inception_v3", "classifier.4.bias", "classifier_cls/conv3/bias"),
        ("inception_v3", "module.classifier_cls.4.bias", "classifier_cls/conv3/bias"),
        ("inception_v3", "module.classifier_cls_copy.4.bias", None),
        (
            *("inception_v3", "module.Mixed_7b_copy.branch3x3dbl_3a.bn.running_mean"),
            "erased_statistics/mixed_7b_branch3x3dbl_3a_bn/moving_mean",
        ),
        ("inception_v3", "module.Mixed_7a_copy.branch3x3_2.conv.weight", None),
        ("inception_v3", "AuxLogits.conv0.bn.running_mean", None),
    ],
)
def test_names_of_the_ilsvrc_release_and_of_start_files(backbone, name, path):
    assert variable_path(name, backbone) == path


@pytest.mark.parametrize(
    ("backbone", "name"),
    [
        ("vgg16", "model.0.0.weight"),
        ("vgg16", "conv1_1.running_mean"),
        ("mobilenet_v1", "model.3.2.weight"),
        ("resnet50", "layer5.0.conv1.weight"),
        ("resnet50", "layer1.0.conv1.gamma"),
        ("inception_v3", "Mixed_7c.branch1x1.weight"),
        ("inception_v3", "classifier_cls.1.weight"),
    ],
)
def test_foreign_names_are_refused(backbone, name):
    with pytest.raises(UserError, match=f"{name}: not a name of BAS's {backbone}"):
        variable_path(name, backbone)


def test_layouts():
    kernel = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert to_keras_layout(kernel, "conv0/kernel")[3, 4, 2, 1] == kernel[1, 2, 3, 4]
    depthwise = np.arange(7 * 9).reshape(7, 1, 3, 3)
    moved = to_keras_layout(depthwise, "conv_dw_3/kernel")
    assert moved.shape == (3, 3, 7, 1) and moved[1, 2, 5, 0] == depthwise[5, 0, 1, 2]
    assert to_keras_layout(np.arange(3), "conv_dw_3_bn/gamma").shape == (3,)
