import json
import pathlib

import numpy as np
import pytest

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.checkpoints.bas import to_keras_layout
from e2wsol.checkpoints.spol import variable_path
from e2wsol.errors import UserError

KIT = pathlib.Path(__file__).resolve().parents[3] / "shared" / "parity" / "public"


@pytest.mark.skipif(not KIT.is_dir(), reason="the parity kit is not at ../shared/parity")
@pytest.mark.slow
@pytest.mark.parametrize("stage", ["cam", "seg"])
def test_every_name_of_a_case_meets_one_variable(stage):
    case = json.loads((KIT / f"spol_{stage}_resnet50_cub" / "case.json").read_text(encoding="utf-8"))
    network = methods.create(
        f"spol_{stage}",
        backbone=BackboneOptions(backbone="resnet50", output_stride=32),
        image_size=64,
        num_classes=case["num_classes"],
    )
    shapes = {weight.path: tuple(weight.shape) for weight in network.weights if "seed" not in weight.path}
    found = {}
    for entry in case["parameters"]:
        path = variable_path(entry["name"])
        if path is None:
            assert entry["name"].endswith("num_batches_tracked")
            continue
        assert path not in found and variable_path(f"module.{entry['name']}") == path
        found[path] = to_keras_layout(np.broadcast_to(np.float32(0), entry["shape"]), path).shape
    assert found == shapes


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("bkbone.conv1.weight", "conv0/kernel"),
        ("module.bkbone.layer2.0.downsample.1.running_mean", "group1_block0_convshortcut_bn/moving_mean"),
        ("bkbone.layer1.0.bn3.weight", "group0_block0_conv3_bn/gamma"),
        ("bn3.weight", "spol_level3_bn/gamma"),
        ("bn31.running_var", "spol_squeeze3_bn/moving_variance"),
        ("fc41.bias", "spol_squeeze4/bias"),
        ("fc52.weight", "spol_gate5/kernel"),
        ("linear4.weight", "spol_level4/kernel"),
        ("linear.bias", "spol_head/bias"),
        ("bn5.num_batches_tracked", None),
    ],
)
def test_names(name, path):
    assert variable_path(name) == path


@pytest.mark.parametrize(
    "name", ["fc.weight", "linear2.weight", "bn3.kernel", "fc31.running_mean", "bkbone.layer5.0.x"]
)
def test_foreign_names_are_refused(name):
    with pytest.raises(UserError, match="not a name of"):
        variable_path(name)
