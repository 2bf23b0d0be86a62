"""Names of the releases by hand: what each tensor fills, what is passed over, and what belongs nowhere."""

import pytest
from made_networks import namings

pytestmark = pytest.mark.slow  # networks of all releases

# Network of RELEASED, index of the naming, their name, ours (None: no variable).
BAS = [
    ("bas_vgg16", 0, "conv5_3.bias", "conv5_3/bias"),
    ("bas_vgg16", 1, "conv_copy_5_3.weight", None),
    ("bas_vgg16", 1, "conv_copy_5_3.bias", None),
    ("bas_vgg16_own", 1, "classifier_cls_copy.2.weight", None),
    ("bas_mobilenet_v1", 0, "model.0.1.weight", "conv1_bn/gamma"),
    ("bas_mobilenet_v1", 0, "model.13.3.weight", "conv_pw_13/kernel"),
    ("bas_mobilenet_v1_own", 0, "erase_branch.12.1.running_mean", "erased_statistics/conv_dw_12_bn/moving_mean"),
    ("bas_mobilenet_v1_own", 0, "erase_branch.13.4.running_var", "erased_statistics/conv_pw_13_bn/moving_variance"),
    ("bas_mobilenet_v1", 1, "erase_branch.13.4.running_var", None),
    ("bas_mobilenet_v1_own", 0, "erase_branch.13.4.weight", None),
    ("bas_mobilenet_v1_own", 0, "erase_branch.12.4.num_batches_tracked", None),
    ("bas_resnet50", 0, "layer4.0.downsample.0.weight", "group3_block0_convshortcut/kernel"),
    (
        *("bas_resnet50_own", 0, "layer4_copy.2.bn1.running_mean"),
        "erased_statistics/group3_block2_conv1_bn/moving_mean",
    ),
    (
        *("bas_resnet50_own", 0, "layer4_copy.0.downsample.1.running_var"),
        "erased_statistics/group3_block0_convshortcut_bn/moving_variance",
    ),
    ("bas_resnet50_own", 0, "layer4_copy.0.downsample.0.weight", None),
    ("bas_resnet50_own", 0, "layer4_copy.0.bn1.bias", None),
    ("bas_inception_v3", 0, "classifier.4.bias", "classifier_cls/conv3/bias"),
    ("bas_inception_v3", 1, "classifier_cls.4.bias", "classifier_cls/conv3/bias"),
    ("bas_inception_v3_own", 0, "classifier_cls_copy.4.bias", None),
    (
        *("bas_inception_v3_own", 0, "Mixed_7b_copy.branch3x3dbl_3a.bn.running_mean"),
        "erased_statistics/mixed_7b_branch3x3dbl_3a_bn/moving_mean",
    ),
    ("bas_inception_v3_own", 0, "Mixed_7a_copy.branch3x3_2.conv.weight", None),
]
SPOL = [
    ("spol_cam", 0, "bkbone.conv1.weight", "conv0/kernel"),
    ("spol_cam", 0, "bkbone.layer2.0.downsample.1.running_mean", "group1_block0_convshortcut_bn/moving_mean"),
    ("spol_seg", 0, "bkbone.layer1.0.bn3.weight", "group0_block0_conv3_bn/gamma"),
    ("spol_seg", 0, "bn3.weight", "spol_level3_bn/gamma"),
    ("spol_cam", 0, "bn31.running_var", "spol_squeeze3_bn/moving_variance"),
    ("spol_cam", 0, "fc41.bias", "spol_squeeze4/bias"),
    ("spol_cam", 0, "fc52.weight", "spol_gate5/kernel"),
    ("spol_cam", 0, "linear4.weight", "spol_level4/kernel"),
    ("spol_seg", 0, "linear.bias", "spol_head/bias"),
    ("spol_cam", 0, "bn5.num_batches_tracked", None),
]
MNPO = [
    ("mnpo", 0, "conv1.0.weight", "conv1_1/kernel"),
    ("mnpo", 0, "conv6_.0.bias", "conv3_2/bias"),
    ("mnpos", 0, "conv6.weight", "features/kernel"),
    ("mnpos", 0, "conv13.0.weight", "conv5_3/kernel"),
    ("mnpo", 0, "fc.bias", "linear/bias"),
    ("mnpo", 0, "branch1_layer.conv2.0.weight", "branch_conv2/kernel"),
    ("mnpo", 0, "branch1_layer.conv1.1.weight", "branch_conv1_bn/gamma"),
    ("mnpo", 0, "branch1_layer.layer2.0.bn3.running_mean", "branch_layer2_conv3_bn/moving_mean"),
    ("mnpo", 0, "branch1_layer.layer1.0.downsample.0.weight", "branch_layer1_convshortcut/kernel"),
    ("mnpo", 0, "branch1_layer.layer1.0.downsample.1.running_var", "branch_layer1_convshortcut_bn/moving_variance"),
    ("mnpo", 0, "branch1_layer.layer1.0.downsample.1.num_batches_tracked", None),
]
SLIM = "dgl_inception_v3_slim"
DGL = [
    ("dgl_vgg16", 0, "linear/W", "linear/kernel"),
    ("dgl_vgg16", 1, "linear_cub/W", "linear/kernel"),
    ("dgl_vgg16", 1, "add/b", "features/bias"),
    ("dgl_resnet50", 1, "linearcub/b", "linear/bias"),
    ("dgl_resnet50", 0, "conv0/bn/variance/EMA", "conv0_bn/moving_variance"),
    ("dgl_resnet50", 0, "group3/block0/convshortcut/bn/gamma", "group3_block0_convshortcut_bn/gamma"),
    ("dgl_resnet50_se", 0, "group1/block3/fc2/W", "group1_block3_fc2/kernel"),
    (SLIM, 0, "InceptionV3/Mixed_5c/Branch_1/Conv2d_0b_1x1/weights", "mixed_5c_branch5x5_1/kernel"),
    (SLIM, 0, "InceptionV3/Mixed_5c/Branch_1/Conv_1_0c_5x5/BatchNorm/beta", "mixed_5c_branch5x5_2_bn/beta"),
    (SLIM, 0, "InceptionV3/Mixed_5d/Branch_1/Conv2d_0b_5x5/weights", "mixed_5d_branch5x5_2/kernel"),
    (
        *(SLIM, 0, "InceptionV3/Mixed_6a/Branch_1/Conv2d_1a_1x1/BatchNorm/moving_mean"),
        "mixed_6a_branch3x3dbl_3_bn/moving_mean",
    ),
    (SLIM, 0, "InceptionV3/Mixed_6c/Branch_3/Conv2d_0b_1x1/BatchNorm/beta", "mixed_6c_branch_pool_bn/beta"),
    (SLIM, 0, "InceptionV3/Logits/add2/biases", "features_1/bias"),
    (SLIM, 0, "InceptionV3/Logits/Conv2d_1c_1x1_3/weights", "linear/kernel"),
    ("dgl_resnet50", 0, "conv0/W/Momentum", None),
    ("dgl_resnet50", 0, "conv0/bn/gamma/Adam_1", None),
    ("dgl_vgg16", 0, "global_step", None),
    ("dgl_vgg16", 0, "learning_rate", None),
    ("dgl_vgg16", 0, "EMA/QueueInput/queue_size", None),
    (SLIM, 0, "InceptionV3/Logits/add2/weights/Momentum", None),
]
E2NET = [
    ("e2net_vgg16", 0, "aware_53/W", "mae_conv5_3/transform/kernel"),
    ("e2net_vgg16", 0, "new1x3/b", "horizontal_features/bias"),
    ("e2net_vgg16", 0, "3x1_linear/W", "vertical_linear/kernel"),
    ("e2net_resnet50_se", 0, "group2/block0/aware_31/W", "mae_group2_block0/transform/kernel"),
    ("e2net_resnet50_se", 0, "aware_5/b", "mae_group3/transform/bias"),
    ("e2net_resnet50_se", 0, "conv3x1/bn/mean/EMA", "vertical_conv_bn/moving_mean"),
    ("e2net_resnet50_se_no_bn", 0, "conv1x3/W", "horizontal_conv/kernel"),
    ("e2net_resnet50_se", 0, "linearnew_1x3/W", "horizontal_linear/kernel"),
]


@pytest.mark.parametrize(("network", "index", "theirs", "ours"), [*BAS, *SPOL, *MNPO, *DGL, *E2NET])
def test_names(network, index, theirs, ours):
    naming = namings(network)[index]
    assert {pair.theirs: pair.ours for pair in naming.pairs}.get(theirs) == ours
    assert (naming.why_ignored(theirs) is None) == (ours is not None)


@pytest.mark.parametrize(
    ("network", "name"),
    [
        ("bas_vgg16", "model.0.0.weight"),
        ("bas_vgg16", "conv1_1.running_mean"),
        ("bas_mobilenet_v1", "model.3.2.weight"),
        ("bas_resnet50", "layer5.0.conv1.weight"),
        ("bas_resnet50", "layer1.0.conv1.gamma"),
        ("bas_resnet50", "fc.weight"),
        ("bas_inception_v3", "Mixed_7c.branch1x1.weight"),
        ("bas_inception_v3", "classifier_cls.1.weight"),
        ("spol_cam", "linear2.weight"),
        ("spol_cam", "fc31.running_mean"),
        ("spol_seg", "bkbone.layer5.0.x"),
        ("mnpo", "conv6.0.weight"),
        ("mnpo", "conv14.0.weight"),
        ("mnpo", "conv6_.weight"),
        ("mnpo", "features.0.weight"),
        ("dgl_vgg16", "conv1_1/weights"),
        ("dgl_vgg16", "linearcub/W"),
        ("dgl_resnet50", "conv0/bn/mean"),
        ("dgl_resnet50", "group0/block0/fc1/W"),
        (SLIM, "conv1_1/W"),
        (SLIM, "InceptionV3/Conv2d_1a_3x3/BatchNorm/gamma"),
        (SLIM, "InceptionV3/Mixed_6a/Branch_2/Conv2d_0a_1x1/weights"),
        (SLIM, "InceptionV3/Mixed_7a/Branch_0/Conv2d_0a_1x1/weights"),
        (SLIM, "InceptionV3/Logits/Conv2d_1c_1x1/weights"),
        (SLIM, "InceptionV3/Logits/Conv2d_1c_1x1_4/weights"),
        ("e2net_vgg16", "linearnew/W"),
        ("e2net_vgg16", "aware_11/W"),
        ("e2net_resnet50_se", "aware_31/W"),
    ],
)
def test_foreign_names_belong_nowhere(network, name):
    for naming in namings(network):
        assert naming.why_ignored(name) is None and name not in {entry.theirs for entry in naming.entries}
