"""Trains a localizer from image-level labels.

python -m e2wsol.train --flagfile=flags/e2net_vgg.cfg --data_dir=records/cub --run_dir=runs/e2net_vgg_cub

Started again with the same flags, it goes on from the last checkpoint of the run folder. SIGTERM lets it save the step
that it is at; then it ends with status 4, and the same command goes on.
"""

import e2wsol.on_tensorflow  # noqa: F401  # isort: skip

import contextlib
import dataclasses
from collections.abc import Sequence

import keras

from e2wsol import cli, compute, config, methods, terminal
from e2wsol.backbones import BackboneOptions
from e2wsol.backbones.weights import load_start_weights
from e2wsol.config import option
from e2wsol.data import dataset, pipeline, views
from e2wsol.data.dataset import Dataset
from e2wsol.errors import ArgumentError, UserError
from e2wsol.localization import protocols
from e2wsol.stop_signals import EXIT_STOPPED
from e2wsol.trained_run import protocol_of
from e2wsol.training import checkpoints, optimizers, strategies
from e2wsol.training.callbacks import MetricsFile, TensorBoardLog
from e2wsol.training.loop import Loop, LoopOptions, steps_per_epoch
from e2wsol.training.run_folder import RunFolder
from e2wsol.training.workers import Workers


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """Where the run lives and what it starts from."""

    run_dir: str = option("", "folder of the run; made where missing, resumed where it holds checkpoints")
    backbone_weights: str = option(
        "none", "start weights: none, imagenet (keras.applications' file), or a .npz, .keras or .h5 file"
    )
    allow_partial_weights: bool = option(
        False, "start from weights that fill less than half of the backbone's numbers, too"
    )
    allow_other_data: bool = option(
        False, "go on with other pictures of the same classes than those that the run was started with"
    )
    tensorboard_pictures: int = option(8, "pictures whose maps TensorBoard shows after each epoch", minimum=0)
    deterministic: bool = option(False, "the same bits from the same flags, at some cost in speed")


@dataclasses.dataclass(frozen=True)
class TrainFlags:
    """All flags of the command."""

    run: TrainOptions
    loop: LoopOptions
    devices: strategies.StrategyOptions
    compute: compute.ComputeOptions
    method: methods.MethodOptions
    backbone: BackboneOptions
    data: pipeline.PipelineOptions
    optimizer: optimizers.OptimizerOptions
    box: protocols.BoxOptions
    of_methods: methods.AllOptions  # type: ignore[valid-type]  # made from what is registered


def main(flags: TrainFlags, positional: list[str]) -> int | None:
    """Builds data, method and loop, in that order, and runs; returns the exit status."""
    cli.no_arguments(positional)
    _check(flags)
    if flags.run.deterministic:
        strategies.make_deterministic()
    data = flags.data
    info = dataset.load(data.data_dir, on_bad_record=data.on_bad_record)
    info = info.without_bad_records(("train", "val"), flags.run.run_dir)
    strategy = strategies.create(flags.devices)
    keras.utils.set_random_seed(flags.loop.seed)
    compute.use(flags.compute)
    folder = RunFolder(flags.run.run_dir)
    workers = Workers(strategy)
    alone = folder.held() if workers.chief else contextlib.nullcontext()
    with workers.watched(lambda: _how_to_go_on(folder)), alone:
        flags = dataclasses.replace(flags, data=with_resize_filter(flags.data, info, folder))
        stopped = _train(flags, strategy, folder, info)
    return EXIT_STOPPED if stopped else None


def _train(flags, strategy, folder, info):
    with strategy.scope():
        model = build(flags, len(info.classes), info.classes)
        _check_classes(model, info)
        report = load_start_weights(
            model.backbone,
            flags.backbone,
            flags.run.backbone_weights,
            argument="backbone_weights",
            allow_partial=flags.run.allow_partial_weights,
        )
        steps = steps_per_epoch(flags.loop, info)
        rule = optimizers.create(flags.optimizer, steps, flags.compute.precision)
    protocol = protocol_of(model, flags.box)
    runner = Loop(
        model,
        rule,
        strategy,
        info=info,
        pipeline_options=flags.data,
        options=flags.loop,
        folder=folder.checkpoints,
        jit=flags.compute.jit,
        protocol=protocol,
    )
    if runner.chief:  # only now: flags that no network can be built with leave no run folder behind
        folder.start(info, flags, allow_other_data=flags.run.allow_other_data)
        info.save_bad_records(folder.path)
    resumed = runner.resume()
    if runner.chief:
        start = f"resumed from {resumed}" if resumed else report.text() if report else "start weights: none"
        terminal.say(start, f"pictures are resized with --resize_filter={flags.data.resize_filter}")
        runner.callbacks += _file_callbacks(folder, runner, flags, protocol)
    preempted = runner.run()
    if runner.chief:
        more = "; stopped by SIGTERM, the same command goes on" if preempted else ""
        terminal.say(f"trained {runner.step} steps; run folder: {folder.path}{more}")
    return preempted


def with_resize_filter(data: views.PipelineOptions, info: Dataset, folder: RunFolder) -> views.PipelineOptions:
    """The options of a training, "auto" in place of the resize filter resolved.

    A run that goes on keeps its own. A new one antialiases pictures of a user's folder, which have any size and come
    from any camera; the other sources' published settings do not.
    """
    if data.resize_filter != views.AUTO:
        return data
    if folder.flags_file.is_file():
        return dataclasses.replace(data, resize_filter=folder.flags()["resize_filter"])
    return dataclasses.replace(data, resize_filter=views.ANTIALIAS if info.source == "folder" else views.BILINEAR)


def build(flags: TrainFlags, num_classes: int, class_names: Sequence[str] | None = None) -> methods.Method:
    """The method that TrainFlags ask for, with initial weights."""
    return methods.create(
        flags.method.method,
        backbone=flags.backbone,
        image_size=flags.data.image_size,
        num_classes=num_classes,
        class_names=class_names,
        box=flags.box,
        resize_filter=flags.data.resize_filter,
        options=config.instances(flags.of_methods),
    )


def _check_classes(model: methods.Method, info: dataset.Dataset) -> None:
    if model.classifies and len(info.classes) == 1:
        problem = f"has one class, {info.classes[0]}: nothing can be learned from it; build records of two or more"
        raise ArgumentError("data_dir", info.folder, problem)


def _how_to_go_on(folder):
    return f"start all workers again to go on from {checkpoints.last(folder.checkpoints) or 'the start'}"


def _check(flags):
    if not flags.data.data_dir:
        raise UserError("--data_dir is missing: give a folder of records, made by python -m tfrecords.build")
    if not flags.run.run_dir:
        raise UserError("--run_dir is missing: give a folder for the run's checkpoints and results")
    if flags.box.protocol:
        protocols.get(flags.box.protocol)


def _file_callbacks(folder, runner, flags, protocol):
    """The callbacks that write metrics.jsonl and TensorBoard events."""
    pictures = flags.run.tensorboard_pictures
    split = "val" if runner.validation.exists else "train"
    batch = next(iter(pipeline.eval_dataset(runner.info, flags.data, split=split, batch=max(1, pictures))))
    images, labels = batch["image"].numpy()[:pictures], batch["label"].numpy()[:pictures]
    skipped = sum(runner.info.skipped(("train",)).values())
    return [
        MetricsFile(folder.metrics_file, runner.step, {"skipped_records": skipped} if skipped else {}),
        TensorBoardLog(folder.tensorboard, images, labels, protocol),
    ]


if __name__ == "__main__":
    cli.run(main, TrainFlags, description=__doc__)
