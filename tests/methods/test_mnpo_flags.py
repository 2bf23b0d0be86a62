"""flags/mnpo*.cfg against the release's numbers, and against each other."""

import dataclasses
import pathlib

import pytest

from e2wsol import config, methods, train
from e2wsol.backbones import BackboneOptions
from e2wsol.data.pipeline import PipelineOptions
from e2wsol.localization.protocols import BoxOptions
from e2wsol.methods import MethodOptions
from e2wsol.methods.mnpo import MNPOOptions
from e2wsol.training import optimizers
from e2wsol.training.loop import LoopOptions

FLAGS = pathlib.Path(__file__).resolve().parents[2] / "flags"
# mnpo.md, section 4: the rate of the trunk, and that of the branch over it.
RATE, BRANCH = 0.0008, 15
RELEASED = ("mnpo_vgg16", "mnpos_vgg16", "mnpo_vgg16_ilsvrc", "mnpos_vgg16_ilsvrc")


def parsed(name, *further):
    """{option class: instance} as the train command reads them from flags/NAME.cfg."""
    flags, positional, _ = config.parse(["train", f"--flagfile={FLAGS}/{name}.cfg", *further], train.TrainFlags)
    assert not positional
    return {type(instance): instance for instance in config.instances(flags)}


def trained_paths(options):
    """Paths of what a narrow network with these options trains."""
    model = methods.create(
        options[MethodOptions].method,
        backbone=dataclasses.replace(options[BackboneOptions], backbone_width=0.03),
        image_size=64,
        num_classes=3,
        options=[options[MNPOOptions]],
    )
    return [variable.path for variable in model.trainable_variables]


@pytest.mark.parametrize("name", RELEASED)
def test_released_settings(name):
    options, imagenet = parsed(name), name.endswith("ilsvrc")
    assert options[MethodOptions].method == name.partition("_")[0]
    assert options[MNPOOptions].positive_weight == 10 / 5 == 8 / 4
    assert options[BackboneOptions] == BackboneOptions(backbone="vgg16", preprocessing="caffe")
    assert (options[PipelineOptions].image_size, options[PipelineOptions].resize_size) == (224, 256)
    assert options[PipelineOptions].eval_crop == "none" and options[BoxOptions].protocol == "mnpo"
    loop, rule = options[LoopOptions], optimizers.create(options[optimizers.OptimizerOptions], steps_per_epoch=7)
    assert loop.batch_size == 100 and rule.momentum == 0.9
    for epoch in range(loop.epochs):
        drops = epoch // 4 if imagenet else sum(epoch >= end for end in (75, 100))
        for step in (7 * epoch, 7 * epoch + 6):
            assert float(rule._learning_rate(step)) == pytest.approx(RATE * 0.1**drops, rel=1e-5), step


@pytest.mark.parametrize("name", RELEASED[:2])
def test_the_branch_alone_learns_faster(name):
    options = parsed(name)
    rule = optimizers.create(options[optimizers.OptimizerOptions], steps_per_epoch=1)
    paths = trained_paths(options)
    assert sum(path.startswith("branch_") for path in paths) == 27 and len(paths) == 57
    for path in paths:
        assert rule.multiplier(path) == (BRANCH if path.startswith("branch_") else 1), path
        assert rule.decay(path) == 1e-4, path


@pytest.mark.parametrize("name", ["cub10", "animals"])
def test_photos_are_trained_as_with_bas(name):
    """Same pictures, schedule, and rates of trunk and classifier, so that the baseline is the same."""
    ours, theirs = parsed(f"mnpo_mobilenet_v1_{name}"), parsed(f"bas_mobilenet_v1_{name}")
    for kind in (BackboneOptions, PipelineOptions, LoopOptions, BoxOptions):
        assert ours[kind] == theirs[kind]
    paths = trained_paths(ours)
    ours, theirs = (optimizers.create(each[optimizers.OptimizerOptions], steps_per_epoch=9) for each in (ours, theirs))
    for path in paths:
        factor = BRANCH if path.startswith("branch_") else theirs.multiplier(path)
        assert ours.multiplier(path) == factor and ours.decay(path) == theirs.decay(path), path
    assert {ours.multiplier(path) for path in paths} == {1, 2, 10, 15, 20}
    for step in (0, 100, 130, 170):
        assert float(ours._learning_rate(step)) == float(theirs._learning_rate(step))


def test_photos_are_mnpos_with_one_flag():
    options = parsed("mnpo_mobilenet_v1_cub10", "--method=mnpos", "--mnpos_layer=block11")
    assert options[MethodOptions].method == "mnpos" and options[MNPOOptions].layer == "block11"
