"""flags/spol_{cam,seg}*.cfg of the released experiments, against the release's numbers."""

import functools
import pathlib

import pytest

from e2wsol import config, methods, train
from e2wsol.backbones import BackboneOptions
from e2wsol.data.pipeline import PipelineOptions
from e2wsol.localization.protocols import BoxOptions
from e2wsol.methods import MethodOptions
from e2wsol.methods.spol_cam import SPOLCamOptions
from e2wsol.methods.spol_seg import SPOLSegOptions
from e2wsol.training import optimizers
from e2wsol.training.loop import LoopOptions

FLAGS = pathlib.Path(__file__).resolve().parents[2] / "flags"
# Epochs, batch, steps in all (with ImageNet until the snapshot that its test takes), multipliers of the
# stem, the rest of the backbone and the heads.
RELEASED = {
    "spol_cam": (32, 64, 3008, (0.1, 0.1, 1)),
    "spol_cam_ilsvrc": (1, 128, 6000, (0, 0.1, 1)),
    "spol_seg": (2, 128, 94, (1, 1, 1)),
    "spol_seg_ilsvrc": (1, 128, 6000, (1, 1, 1)),
}
PHOTOS = ("spol_cam_mobilenet_v1", "spol_seg_mobilenet_v1")


@functools.cache
def parsed(name):
    """{option class: instance} as the train command reads them from flags/NAME.cfg."""
    flags, positional, _ = config.parse(["train", f"--flagfile={FLAGS}/{name}.cfg"], train.TrainFlags)
    assert not positional
    return {type(instance): instance for instance in config.instances(flags)}


@pytest.mark.parametrize("name", RELEASED)
def test_schedule(name):
    options, (epochs, batch, steps, _) = parsed(name), RELEASED[name]
    loop = options[LoopOptions]
    assert (loop.epochs, loop.batch_size, loop.epochs * loop.steps_per_epoch) == (epochs, batch, steps)
    assert optimizers.schedule(options[optimizers.OptimizerOptions], loop.steps_per_epoch) == 0.02


@pytest.mark.slow
@pytest.mark.parametrize("name", RELEASED)
def test_groups_and_decay(name):
    rule = optimizers.create(parsed(name)[optimizers.OptimizerOptions], steps_per_epoch=1)
    options, (*_, (stem, backbone, head)) = parsed(name), RELEASED[name]
    model = methods.create(
        options[MethodOptions].method,
        backbone=BackboneOptions(backbone="resnet50", backbone_width=0.03, output_stride=32),
        image_size=64,
        num_classes=3,
    )
    own = {variable.path for variable in model.backbone.trainable_variables}
    for path in (variable.path for variable in model.trainable_variables):
        expected = (stem if path.startswith("conv0") else backbone) if path in own else head
        assert rule.multiplier(path) == expected, path
        assert rule.decay(path) == 1e-4, path
    assert rule.momentum == 0.9 and sum(path.startswith("conv0") for path in own) == 3


@pytest.mark.parametrize("name", RELEASED)
def test_network_picture_and_objective(name):
    options, imagenet = parsed(name), name.endswith("ilsvrc")
    backbone = options[BackboneOptions]
    assert (backbone.backbone, backbone.output_stride, backbone.preprocessing) == ("resnet50", 32, "imagenet")
    assert (options[PipelineOptions].image_size, options[PipelineOptions].resize_size) == (224, 256)
    cam, seg = options[SPOLCamOptions], options[SPOLSegOptions]
    if "cam" in name:
        assert cam == SPOLCamOptions("cross_entropy" if imagenet else "self_distillation", 0.5)
    else:
        assert seg == SPOLSegOptions(0.25, 0.25, 0.01, 0.5)
        assert (options[BoxOptions].protocol, options[BoxOptions].threshold) == ("spol", 0.8 if imagenet else 0.2)


def test_stages_on_photos_go_together():
    """Both data sets train the same networks, and the masks are looked for where the segmentation trains."""
    for name in PHOTOS:
        cub, animals = parsed(f"{name}_cub10"), parsed(f"{name}_animals")
        for kind in (MethodOptions, BackboneOptions, optimizers.OptimizerOptions, BoxOptions, SPOLCamOptions):
            assert cub[kind] == animals[kind]
    cam, seg = (parsed(f"{name}_cub10") for name in PHOTOS)
    assert cam[BackboneOptions] == seg[BackboneOptions]
    views = [options[PipelineOptions] for options in (cam, seg)]
    assert views[0].image_size == views[1].image_size and views[0].resize_size == views[1].resize_size
