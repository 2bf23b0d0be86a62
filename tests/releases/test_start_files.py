"""The usual start weights of the backbones alone."""

import numpy as np
import pytest
from made_networks import backbone_shapes, network, shapes

from e2wsol import releases
from e2wsol.errors import UserError

# Backbone, index of the file, their name, ours (None: ignored).
NAMES = [
    ("vgg16", 0, "features.0.weight", "conv1_1/kernel"),
    ("vgg16", 0, "features.10.bias", "conv3_1/bias"),
    ("vgg16", 0, "features.28.weight", "conv5_3/kernel"),
    ("vgg16", 0, "classifier.6.weight", None),
    ("vgg16", 1, "conv5_3/W", "conv5_3/kernel"),
    ("vgg16", 1, "fc8/b", None),
    ("resnet50", 0, "bn1.running_mean", "conv0_bn/moving_mean"),
    ("resnet50", 0, "layer3.5.conv2.weight", "group2_block5_conv2/kernel"),
    ("resnet50", 0, "fc.weight", None),
    ("resnet50", 1, "group0/block0/convshortcut/W", "group0_block0_convshortcut/kernel"),
    ("resnet50", 1, "linear/W", None),
    ("resnet50_se", 0, "group0/block2/fc1/b", "group0_block2_fc1/bias"),
    ("resnet50_se", 0, "linear/b", None),
    ("inception_v3", 0, "Conv2d_4a_3x3.bn.bias", "conv2d_4a_bn/beta"),
    ("inception_v3", 0, "Mixed_7c.branch3x3dbl_3b.conv.weight", "mixed_7c_branch3x3dbl_3b/kernel"),
    ("inception_v3", 0, "AuxLogits.conv0.bn.running_mean", None),
    ("inception_v3", 0, "fc.bias", None),
    ("mobilenet_v1", 0, "model.5.0.weight", "conv_dw_5/kernel"),
    ("mobilenet_v1", 0, "model.5.4.running_var", "conv_pw_5_bn/moving_variance"),
    ("mobilenet_v1", 0, "classifier.weight", None),
    ("inception_v3_slim", 0, "InceptionV3/Conv2d_1a_3x3/weights", "conv2d_1a/kernel"),
    ("inception_v3_slim", 0, "InceptionV3/Mixed_6e/Branch_2/Conv2d_0e_1x7/weights", "mixed_6e_branch7x7dbl_5/kernel"),
    ("inception_v3_slim", 0, "InceptionV3/Mixed_7a/Branch_0/Conv2d_0a_1x1/weights", None),
    ("inception_v3_slim", 0, "InceptionV3/AuxLogits/Conv2d_1b_1x1/weights", None),
    ("inception_v3_slim", 0, "InceptionV3/Logits/Conv2d_1c_1x1/weights", None),
    ("inception_v3_slim", 0, "global_step", None),
]
FILES = {"vgg16": 2, "resnet50": 2, "resnet50_se": 1, "inception_v3": 1, "mobilenet_v1": 1, "inception_v3_slim": 1}


@pytest.mark.parametrize(
    "backbone",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in ("vgg16", "mobilenet_v1"))) for name in FILES],
)
def test_every_variable_of_a_backbone_has_one_name(backbone):
    ours = backbone_shapes(backbone, output_stride=8 if backbone == "inception_v3_slim" else 16)
    found = releases.start_namings(backbone, ours)
    assert len(found) == FILES[backbone]
    for naming in found:
        assert naming.ordered == (naming.container == "pytorch")
        assert len({entry.theirs for entry in naming.entries}) == len(naming.entries)
        assert {pair.ours: pair.to_ours(np.empty(pair.shape)).shape for pair in naming.pairs} == ours


@pytest.mark.parametrize(("backbone", "index", "theirs", "ours"), NAMES)
def test_names(backbone, index, theirs, ours):
    naming = releases.start_namings(backbone, backbone_shapes(backbone))[index]
    assert {pair.theirs: pair.ours for pair in naming.pairs}.get(theirs) == ours
    assert (naming.why_ignored(theirs) is None) == (ours is not None)


def test_variables_that_no_start_file_has_are_left_out():
    with_norms = backbone_shapes("vgg16", backbone_batch_norm=True)
    plain = {pair.ours for pair in releases.start_namings("vgg16", with_norms)[0].pairs}
    assert plain == {path for path in with_norms if path.endswith("/kernel")}
    gated = shapes(network("e2net", "vgg16").backbone)
    left = gated.keys() - {pair.ours for pair in releases.start_namings("vgg16", gated)[0].pairs}
    assert left and all(path.startswith("mae_") for path in left)


def test_backbones_without_start_files():
    with pytest.raises(UserError, match=r"^efficientnet_b0: no start files are known; .*vgg16, resnet50"):
        releases.start_namings("efficientnet_b0", {})
