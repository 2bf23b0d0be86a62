"""Tiny runs for tests of the loop."""

import contextlib
import functools

import keras
import numpy as np

from e2wsol import compute, methods
from e2wsol.backbones import BackboneOptions
from e2wsol.data import dataset
from e2wsol.data.pipeline import PipelineOptions
from e2wsol.training.loop import Loop, LoopOptions
from e2wsol.training.optimizers import optimizer_class
from e2wsol.training.strategies import StrategyOptions, create

SIZE = 32
VIEW = PipelineOptions(image_size=SIZE, resize_size=36, shuffle_buffer=8, data_threads=1)


def kill(loop):
    """Sets all that trains to 0, as what a ReLU shut stays: every logit is equal from then on."""
    for variable in loop.model.trainable_variables:
        variable.assign(keras.ops.zeros_like(variable))
    loop.optimizer.learning_rate = 0.0


def made_loop(
    records,
    folder,
    *,
    method="e2net",
    method_options=(),
    backbone=None,
    strategy="none",
    rate=0.05,
    callbacks=(),
    protocol=None,
    replicas=0,
    jit=False,
    precision="float32",
    **options,
):
    """A Loop over the tiny records with a seeded network; `options` are LoopOptions."""
    settings = {"epochs": 1, "steps_per_epoch": 3, "batch_size": 8, "log_every": 2, "seed": 3, **options}
    strategy = made_strategy(strategy, replicas)
    info = dataset.load(str(records))
    keras.utils.set_random_seed(1)
    with strategy.scope(), computing(precision):
        model = methods.create(
            method,
            backbone=backbone or BackboneOptions(backbone="vgg16", backbone_width=0.02),
            image_size=SIZE,
            num_classes=len(info.classes),
            options=method_options,
        )
        optimizer = optimizer_class(precision)(rate, l2=1e-4)
    return Loop(
        model,
        optimizer,
        strategy,
        info=info,
        pipeline_options=VIEW,
        options=LoopOptions(**settings),
        folder=folder,
        jit=jit,
        protocol=protocol,
        callbacks=callbacks,
    )


@contextlib.contextmanager
def computing(precision):
    """Networks built in this context compute in that ComputeOptions.precision."""
    compute.use(compute.ComputeOptions(precision=precision))
    try:
        yield
    finally:
        compute.use(compute.ComputeOptions())


@functools.cache
def made_strategy(name, replicas):
    """One of a kind: TensorFlow counts collective operations per process, so two mirrored ones would mix theirs up."""
    return create(StrategyOptions(strategy=name, replicas=replicas))


def weights(loop):
    return [(weight.path, np.asarray(weight.value)) for weight in loop.model.weights]
