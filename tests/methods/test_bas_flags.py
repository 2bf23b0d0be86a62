"""flags/bas_*.cfg of the released experiments, against the release's numbers and the parity kit's cases."""

import dataclasses
import functools
import json
import pathlib

import numpy as np
import pytest

from e2wsol import config, methods, releases, train
from e2wsol.backbones import BackboneOptions
from e2wsol.data.pipeline import PipelineOptions
from e2wsol.localization.protocols import BoxOptions
from e2wsol.methods import MethodOptions
from e2wsol.methods.bas import BASOptions
from e2wsol.training import optimizers
from e2wsol.training.loop import LoopOptions

ROOT = pathlib.Path(__file__).resolve().parents[2]
KIT = ROOT.parent / "shared" / "parity" / "public"
BACKBONES = ("vgg16", "mobilenet_v1", "resnet50", "inception_v3")

# bas.md, sections 3 and 8: area weight, guidance weight, threshold, classes averaged in the map (0 for all).
RELEASED = {
    "bas_vgg16": (0.7, 0.0, 0.15, 80),
    "bas_mobilenet_v1": (1.5, 0.5, 0.15, 0),
    "bas_resnet50": (1.2, 0.5, 0.15, 0),
    "bas_inception_v3": (1.0, 0.5, 0.1, 0),
    "bas_vgg16_ilsvrc": (1.0, 0.05, 0.5, 1),
    "bas_mobilenet_v1_ilsvrc": (1.5, 0.5, 0.5, 1),
    "bas_resnet50_ilsvrc": (2.0, 1.0, 0.45, 1),
    "bas_inception_v3_ilsvrc": (2.5, 1.0, 0.3, 1),
}


def parsed(name):
    """{option class: instance} as the train command reads them from flags/NAME.cfg."""
    flags, positional, _ = config.parse(["train", f"--flagfile={ROOT}/flags/{name}.cfg"], train.TrainFlags)
    assert not positional
    return {type(instance): instance for instance in config.instances(flags)}


@functools.cache
def network(backbone, name):
    """A narrow network with the flags' options, and the paths of what it trains."""
    options = parsed(name)
    assert (options[MethodOptions].method, options[BackboneOptions].backbone) == ("bas", backbone)
    return methods.create(
        "bas",
        backbone=dataclasses.replace(options[BackboneOptions], backbone_width=0.03),
        image_size=64,
        num_classes=3,
        options=[options[BASOptions]],
    )


def trained_paths(backbone, name):
    return {variable.path for variable in network(backbone, name).trainable_variables}


@pytest.mark.parametrize("name", RELEASED)
def test_weights_of_the_terms_threshold_and_map(name):
    options = parsed(name)
    bas, imagenet = options[BASOptions], name.endswith("ilsvrc")
    found = (bas.area_weight, bas.guidance_weight, options[BoxOptions].threshold, bas.top_k)
    assert found == RELEASED[name]
    assert bas.equal_ratio == imagenet and (bas.erased_statistics == "own") == imagenet
    assert bas.initializer == ("normal" if "vgg16" in name else "xavier")
    assert bas.warmup_epochs == 0 and bas.head_channels == 1024
    assert options[BoxOptions].protocol == "bas"
    assert (options[PipelineOptions].image_size, options[PipelineOptions].resize_size) == (224, 256)
    assert (options[BackboneOptions].backbone_width, options[BackboneOptions].output_stride) == (1.0, 16)


@pytest.mark.parametrize("name", RELEASED)
def test_schedule(name):
    """The rate drops tenfold after 80 of 100 epochs (CUB), or after every third of nine (ILSVRC)."""
    options = parsed(name)
    loop, imagenet = options[LoopOptions], name.endswith("ilsvrc")
    assert (loop.epochs, loop.batch_size, loop.seed) == ((9, 128, 2) if imagenet else (100, 32, 6))
    rate = optimizers.create(options[optimizers.OptimizerOptions], steps_per_epoch=7)._learning_rate
    for epoch in range(loop.epochs):
        expected = 0.001 * 0.1 ** (epoch // (3 if imagenet else 80))
        for step in (7 * epoch, 7 * epoch + 6):
            assert float(rate(step)) == pytest.approx(expected, rel=1e-5), step


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * ("vgg16" not in name)) for name in RELEASED]
)
def test_every_variable_decays_and_has_its_multiplier(name):
    """Biases and betas learn twice as fast as the rest, both heads ten times (bas.md, section 6)."""
    rule = optimizers.create(parsed(name)[optimizers.OptimizerOptions], steps_per_epoch=1)
    assert rule.momentum == 0.9
    paths = trained_paths(name.removeprefix("bas_").removesuffix("_ilsvrc"), name)
    for path in paths:
        head = path.startswith(("classifier_cls/", "classifier_loc/"))
        twice = path.endswith(("/bias", "/beta"))
        assert rule.multiplier(path) == (10 if head else 1) * (2 if twice else 1), path
        assert rule.decay(path) == 5e-4, path
    assert {rule.multiplier(path) for path in paths} == {1, 2, 10, 20}


@pytest.mark.skipif(not KIT.is_dir(), reason="the parity kit is not at ../shared/parity")
@pytest.mark.parametrize("backbone", BACKBONES)
def test_flags_are_the_parity_case(backbone):
    name = f"bas_{backbone}"
    case = json.loads((KIT / f"{name}_cub" / "case.json").read_text(encoding="utf-8"))
    options, recipe = parsed(name), case["train"]
    rule = optimizers.create(options[optimizers.OptimizerOptions], steps_per_epoch=1)
    shapes = {path: variable.shape for path, variable in releases.variables(network(backbone, name)).items()}
    ours = {pair.theirs: pair.ours for pair in releases.namings("bas", backbone, shapes)[0].pairs}
    expected = {ours[entry["name"]]: entry["lr_multiplier"] for entry in case["parameters"] if entry["trainable"]}
    assert {path: rule.multiplier(path) for path in trained_paths(backbone, name)} == expected
    assert {rule.decay(path) for path in expected} == {recipe["weight_decay"]}
    assert float(rule._learning_rate(0)) == pytest.approx(recipe["base_lr"])
    assert rule.momentum == recipe["momentum"]
    bas, losses = options[BASOptions], recipe["losses"]
    assert bas.area_weight == losses["bas_loss"]["area_weight"]
    assert bas.guidance_weight == losses["loss_2"]["weight"]
    assert (bas.top_k or case["num_classes"]) == case["evaluation"]["top_k"]
    assert options[BoxOptions].threshold == case["evaluation"]["threshold"]
    assert (options[LoopOptions].batch_size, options[LoopOptions].epochs) == (recipe["batch_size"], recipe["epochs"])


def test_initial_heads_of_vgg_are_normal():
    kernel = network("vgg16", "bas_vgg16").get_layer("classifier_cls").convolutions[0].kernel
    assert np.std(kernel) == pytest.approx(0.02, rel=0.1)
