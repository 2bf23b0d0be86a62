import json
import pathlib

import numpy as np
import pytest

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.checkpoints.mnpo import to_keras_layout, to_torch_layout, variable_path
from e2wsol.errors import UserError

KIT = pathlib.Path(__file__).resolve().parents[3] / "shared" / "parity" / "public"


@pytest.mark.skipif(not KIT.is_dir(), reason="the parity kit is not at ../shared/parity")
def test_every_name_of_a_case_meets_one_variable():
    case = json.loads((KIT / "mnpo_vgg16_cub" / "case.json").read_text(encoding="utf-8"))
    model = methods.create("mnpo", backbone=BackboneOptions(), image_size=32, num_classes=case["num_classes"])
    found = {}
    for entry in case["parameters"]:
        path = variable_path(entry["name"])
        assert variable_path(f"module.{entry['name']}") == path
        if path is None:
            assert entry["name"].endswith("num_batches_tracked")
        else:
            assert path not in found
            found[path] = to_keras_layout(np.broadcast_to(np.float32(0), entry["shape"])).shape
    assert found == {variable.path: tuple(variable.shape) for variable in model.variables}
    assert sum(np.prod(variable.shape) for variable in model.trainable_variables) == 21_917_384


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("conv1.0.weight", "conv1_1/kernel"),
        ("conv6_.0.bias", "conv3_2/bias"),
        ("conv6.weight", "features/kernel"),
        ("module.conv13.0.weight", "conv5_3/kernel"),
        ("fc.bias", "linear/bias"),
        ("branch1_layer.conv2.0.weight", "branch_conv2/kernel"),
        ("branch1_layer.conv1.1.weight", "branch_conv1_bn/gamma"),
        ("branch1_layer.layer2.0.bn3.running_mean", "branch_layer2_conv3_bn/moving_mean"),
        ("branch1_layer.layer1.0.downsample.0.weight", "branch_layer1_convshortcut/kernel"),
        ("branch1_layer.layer1.0.downsample.1.num_batches_tracked", None),
    ],
)
def test_names(name, path):
    assert variable_path(name) == path


@pytest.mark.parametrize(
    "name", ["conv6.0.weight", "conv14.0.weight", "conv6_.weight", "conv1.0.running_mean", "features.0.weight", "fc"]
)
def test_foreign_names_are_refused(name):
    with pytest.raises(UserError, match=f"{name}: not a name of MNPO's network"):
        variable_path(name)


def test_layouts():
    kernel, rows = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5), np.arange(6).reshape(2, 3)
    assert to_keras_layout(kernel)[3, 4, 2, 1] == kernel[1, 2, 3, 4]
    assert to_keras_layout(rows)[2, 1] == rows[1, 2]
    for value in (kernel, rows, np.arange(3)):
        np.testing.assert_array_equal(to_torch_layout(to_keras_layout(value)), value)
