"""How the releases call the tensors of their networks, against names and shapes of the parity kit and by hand."""

import json
import pathlib

import keras
import numpy as np
import pytest
from made_networks import RELEASED, namings, network, released, shapes

from e2wsol import releases
from e2wsol.errors import UserError
from e2wsol.methods.e2net import E2NetOptions
from e2wsol.releases import dgl_end_point, e2net_gating_position

KIT = pathlib.Path(__file__).resolve().parents[3] / "shared" / "parity" / "public"
# Case -> network of RELEASED.
CASES = {
    **{f"bas_{name}_cub": f"bas_{name}" for name in ("vgg16", "mobilenet_v1", "resnet50", "inception_v3")},
    **{f"spol_{stage}_resnet50_cub": f"spol_{stage}" for stage in ("cam", "seg")},
    **{"mnpo_vgg16_cub": "mnpo", "mnpos_vgg16_ilsvrc": "mnpos"},
    **{"dgl_vgg16_ilsvrc": "dgl_vgg16", "dgl_inception_v3_ilsvrc": "dgl_inception_v3_slim"},
    **{"e2net_vgg16_cub": "e2net_vgg16", "e2net_resnet50_se_cub": "e2net_resnet50_se"},
}


@pytest.mark.slow
@pytest.mark.skipif(not KIT.is_dir(), reason="the parity kit is not at ../shared/parity")
@pytest.mark.parametrize("name", CASES)
def test_names_shapes_and_order_of_a_case(name):
    case = json.loads((KIT / name / "case.json").read_text(encoding="utf-8"))
    expected = {entry["name"]: tuple(entry["shape"]) for entry in case["parameters"]}
    # A network of full width has hundreds of MB; none is kept.
    method, backbone, options, more = RELEASED[CASES[name]]
    model = network.__wrapped__(method, backbone, *options, width=1.0, classes=case["num_classes"], **more)
    ours = shapes(model)
    naming = releases.namings(method, backbone, ours)[0]
    assert {entry.theirs: entry.shape for entry in naming.entries} == expected
    assert naming.ordered == (case["framework"] == "pytorch")
    if naming.ordered:
        assert [entry.theirs for entry in naming.entries] == list(expected)
    assert {pair.ours: pair.to_ours(np.empty(pair.shape)).shape for pair in naming.pairs} == ours
    if "target_layers" in case:
        points = {*model.backbone.output, *(layer.name for layer in model.layers)}
        assert {dgl_end_point(layer) for layer in case["target_layers"]} <= points


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (RELEASED[name][1] != "vgg16")) for name in RELEASED]
)
def test_every_variable_has_one_name_and_every_name_one_tensor(name):
    ours = shapes(released(name))
    for naming in namings(name):
        assert sorted(pair.ours for pair in naming.pairs) == sorted(ours)
        theirs = [entry.theirs for entry in naming.entries]
        assert len(set(theirs)) == len(theirs)
        assert {pair.ours: pair.to_ours(np.empty(pair.shape)).shape for pair in naming.pairs} == ours
        assert all(naming.why_ignored(pair.theirs) is None for pair in naming.pairs)
        entries = {entry.theirs: entry for entry in naming.entries}
        for entry in naming.entries:
            if getattr(entry, "copy_of", None):
                assert entry.shape == entries[entry.copy_of].shape and entries[entry.copy_of] in naming.pairs


def test_seeds_and_schedules_are_no_variables_of_a_file():
    paths = {variable.path for variable in released("bas_resnet50_own").variables}
    assert paths - shapes(released("bas_resnet50_own")).keys() == {"bas/objective_weight"}
    model = released("spol_cam")
    assert {path.rpartition("/")[2] for path in {v.path for v in model.variables} - shapes(model).keys()} == {
        "seed_generator_state"
    }


def test_batch_norms_averages_are_no_summaries():
    """name/EMA is a moving statistic, EMA/name a summary."""
    (naming,) = namings("e2net_resnet50_se")
    assert "conv0/bn/mean/EMA" in {pair.theirs for pair in naming.pairs}
    assert naming.why_ignored("conv0/bn/mean/EMA") is None
    assert naming.why_ignored("EMA/conv0/bn/mean") and naming.why_ignored("conv0/bn/beta/Momentum")


def test_copies_of_the_erased_branch():
    """ILSVRC's own statistics have variables, or repeat the network's; what each forward overwrites repeats it."""
    cub, imagenet = namings("bas_resnet50")
    (own,) = namings("bas_resnet50_own")
    assert own.title == imagenet.title != cub.title
    assert [entry.theirs for entry in own.entries] == [entry.theirs for entry in imagenet.entries]
    assert imagenet.entries[: len(cub.entries)] == cub.entries
    found = {entry.theirs: entry for entry in imagenet.entries[len(cub.entries) :]}
    assert found["layer4_copy.1.bn2.running_mean"].copy_of == "layer4.1.bn2.running_mean"
    assert found["layer4_copy.1.bn2.weight"].copy_of == "layer4.1.bn2.weight"
    assert found["layer4_copy.1.bn2.num_batches_tracked"].copy_of is None
    assert {entry.theirs: entry for entry in own.entries}["layer4_copy.1.bn2.weight"] == found[
        "layer4_copy.1.bn2.weight"
    ]


@pytest.mark.parametrize(
    ("network", "first", "last"),
    [
        ("bas_vgg16", "conv_copy_5_1.weight", "classifier_cls_copy.4.bias"),
        ("bas_mobilenet_v1", "classifier_cls_copy.0.weight", "erase_branch.13.4.num_batches_tracked"),
        ("bas_resnet50", "classifier_cls_copy.0.weight", "layer4_copy.2.bn3.num_batches_tracked"),
        ("bas_inception_v3", "classifier_cls_copy.0.weight", "Mixed_7c_copy.branch_pool.bn.num_batches_tracked"),
    ],
)
def test_copies_follow_both_heads(network, first, last):
    names = [entry.theirs for entry in namings(network)[1].entries]
    assert names[names.index("classifier_loc.0.bias") + 1] == first and names[-1] == last


def test_how_the_files_wrap_the_tensors():
    cub, imagenet = namings("bas_vgg16")
    assert (cub.prefix, imagenet.prefix) == ("", "module.")  # one GPU, and four under DataParallel
    assert [naming.wrapper for naming in (cub, imagenet, *namings("mnpo"))] == ["", "", "state_dict"]
    assert {naming.container for name in RELEASED if name.startswith(("dgl", "e2net")) for naming in namings(name)} == {
        "tensorflow"
    }


@pytest.mark.parametrize("backbone", ["vgg16", "resnet50_se"])
def test_gates_wherever_they_stand(backbone):
    numbers = {"vgg16": ("1", "22", "43"), "resnet50_se": ("0", "1", "4", "13")}[backbone]
    positions = tuple(e2net_gating_position(number, backbone) for number in numbers)
    model = network("e2net", backbone, E2NetOptions(mae_positions=positions))
    (naming,) = releases.namings("e2net", backbone, shapes(model))
    found = {pair.theirs: pair.ours for pair in naming.pairs if "aware" in pair.theirs and pair.theirs.endswith("/W")}
    blocks = {"13": "group0/block2/"}
    assert found == {
        f"{blocks.get(number, '')}aware_{number}/W": f"mae_{position}/transform/kernel"
        for number, position in zip(numbers, positions)
    }


def test_gating_positions():
    found = [e2net_gating_position(number, "vgg16") for number in (3, "4", 53)]
    found += [e2net_gating_position(number, "resnet50_se") for number in (31, 41, 5)]
    assert found == ["pool3", "pool4", "conv5_3", "group2_block0", "group3_block0", "group3"]


def test_layers_of_dgls_demo():
    found = [
        dgl_end_point(name) for name in ("Conv2d_3b_1x1", "MaxPool_5a_3x3", "group1/block3_shortcut", "add", "pool4")
    ]
    assert found == ["conv2d_3b", "pool2", "group1_block3", "features", "pool4"]


def test_what_was_not_released():
    with pytest.raises(UserError, match=r"^cam on vgg16: .*known are bas on vgg16, mobilenet_v1, .*; dgl on vgg16"):
        releases.namings("cam", "vgg16", {})
    with pytest.raises(UserError, match=r"^spol_cam on vgg16: .*spol_cam on resnet50"):
        releases.namings("spol_cam", "vgg16", {})
    model = network("mnpo", "vgg16", backbone_batch_norm=True)
    with pytest.raises(UserError, match=r"^mnpo on vgg16: .* no counterpart of conv1_1_bn/beta and 51 more$"):
        releases.namings("mnpo", "vgg16", shapes(model))


def test_erased_statistics_keep_their_names_when_saved(tmp_path):
    model = released("bas_mobilenet_v1_own")
    statistics = {path for path in shapes(model) if path.startswith("erased_statistics/")}
    assert statistics == {
        f"erased_statistics/conv_{kind}_{block}_bn/{leaf}"
        for kind in ("dw", "pw")
        for block in (12, 13)
        for leaf in ("moving_mean", "moving_variance")
    }
    model.save(tmp_path / "model.keras")
    assert shapes(keras.saving.load_model(tmp_path / "model.keras")) == shapes(model)
