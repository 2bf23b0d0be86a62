"""flags/spol_cls*.cfg, against the release's numbers (CUB: sections 4 and 5 of its description)."""

import dataclasses
import pathlib

import pytest

from e2wsol import config, methods, train
from e2wsol.backbones import BackboneOptions
from e2wsol.data.pipeline import PipelineOptions
from e2wsol.methods import MethodOptions
from e2wsol.methods.cam import CAMOptions
from e2wsol.training import optimizers
from e2wsol.training.loop import LoopOptions

ROOT = pathlib.Path(__file__).resolve().parents[2]


def parsed(name):
    """{option class: instance} as the train command reads them from flags/NAME.cfg."""
    flags, positional, _ = config.parse(["train", f"--flagfile={ROOT}/flags/{name}.cfg"], train.TrainFlags)
    assert not positional
    return {type(instance): instance for instance in config.instances(flags)}


def trained(options):
    """A narrow network of the flags' kind, B0 where they say B7: its parts have the same names."""
    backbone = dataclasses.replace(
        options[BackboneOptions],
        backbone_width=0.05,
        backbone=options[BackboneOptions].backbone.replace("_b7", "_b0"),
    )
    assert options[MethodOptions].method == "cam"
    return methods.create("cam", backbone=backbone, image_size=64, num_classes=3, options=[options[CAMOptions]])


def test_released_on_cub():
    options = parsed("spol_cls")
    assert options[BackboneOptions].backbone == "efficientnet_b7" and options[BackboneOptions].output_stride == 32
    assert options[CAMOptions].dropout == 0.5
    assert (options[PipelineOptions].resize_size, options[PipelineOptions].image_size) == (685, 600)
    assert (options[LoopOptions].epochs, options[LoopOptions].batch_size) == (20, 16)
    rule = optimizers.create(options[optimizers.OptimizerOptions], steps_per_epoch=375)
    paths = [variable.path for variable in trained(options).trainable_variables]
    assert {path for path in paths if rule.multiplier(path) == 1} == {"top_bn/gamma", "linear/bias"}
    assert {rule.multiplier(path) for path in paths} == {1, 0.1}
    assert {rule.decay(path) for path in paths} == {1e-4} and rule.momentum == 0.9
    rates = [float(rule._learning_rate(375 * epoch)) for epoch in (0, 1, 2, 3)]
    assert rates == pytest.approx([0.05, 0.0475, 0.045, 0.0425])


def test_ilsvrc_trains_the_classifier_alone():
    options = parsed("spol_cls_ilsvrc")
    rule = optimizers.create(options[optimizers.OptimizerOptions], steps_per_epoch=1)
    paths = [variable.path for variable in trained(options).trainable_variables]
    assert {path for path in paths if rule.multiplier(path)} == {"linear/kernel", "linear/bias"}


@pytest.mark.parametrize("name", ["cub10", "animals"])
def test_sized_for_two_cores(name):
    options = parsed(f"spol_cls_mobilenet_v1_{name}")
    assert options[PipelineOptions].data_dir == f"records/{name}" and options[CAMOptions].dropout == 0.5
    assert "linear/bias" in [variable.path for variable in trained(options).trainable_variables]
