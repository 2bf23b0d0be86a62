"""Time and memory of a training step: this library's, and plain PyTorch's of the same network and objective.

python benchmarks/train_step.py --method=bas --backbone=vgg16
python benchmarks/train_step.py --method=all --backbone=all --against=pytorch
python benchmarks/train_step.py --method=cam --against=cam --micro_batches=4 --jit --precision=mixed_bfloat16
KERAS_BACKEND=jax python benchmarks/train_step.py --method=cam --backbone=resnet50 --batch_size=64 --steps=20

Ours is the step that a user gets: under TensorFlow that of the commands' loop, under JAX and PyTorch Keras' `fit`.
Beside it, in turn, each in a process of its own: plain PyTorch with either memory layout, whose faster one counts (with
no Keras in it, see plain_pytorch.py); plain CAM; the method's network with cross-entropy alone, which shows what its
heads cost. Medians over the turns. Memory is the most that a process held, on a GPU the device's. The last line is one
JSON object: ratio_to_plain_pytorch is PyTorch's time over ours, above 1 where we are faster; ratio_to_cam,
ratio_to_own_network and their like are our time over the other's. Of several cases it is the list and the worst ratio.
"""

import os

if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
    import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import functools
import json

import keras
import numpy as np
from side_by_side import (
    LAYOUTS,
    NO_PLAIN_STEP,
    against_pytorch,
    has_pytorch,
    heading,
    images_and_labels,
    make_model,
    named,
    print_table,
    subject,
    together,
)
from stopwatch import Subject, take_turns

from e2wsol import backbones, cli, compute, config, methods
from e2wsol.backbones import BackboneOptions
from e2wsol.config import option
from e2wsol.errors import ArgumentError
from e2wsol.methods.base import cross_entropy
from e2wsol.training.optimizers import NesterovMomentum, optimizer_class


@dataclasses.dataclass(frozen=True)
class StepOptions:
    """What is measured, how often."""

    method: tuple[str, ...] = option(("e2net",), "methods, comma-separated, or all", choices=("all", *methods.METHODS))
    against: tuple[str, ...] = option(
        ("pytorch", "cam", "network"),
        "what stands beside: plain PyTorch, plain CAM, the method's network with cross-entropy alone",
        choices=("pytorch", "cam", "network"),
    )
    image_size: int = option(224, "side of the input in pixels", minimum=8)
    batch_size: int = option(8, "pictures a step", minimum=1)
    num_classes: int = option(200, "classes", minimum=2)
    repeats: int = option(7, "turns, whose median counts", minimum=1)
    steps: int = option(1, "steps a turn; some dozen on a GPU", minimum=1)
    micro_batches: int = option(1, "parts of the batch, as --micro_batches of e2wsol.train", minimum=1)
    threads: int = option(
        0, "threads on the processor, 0 for all cores; with 1 the processors' seconds hold no waiting", minimum=0
    )


@dataclasses.dataclass(frozen=True)
class StepFlags:
    """All flags of the command."""

    step: StepOptions
    compute: compute.ComputeOptions
    backbone: BackboneOptions
    of_methods: methods.AllOptions


def main(flags, positional):
    """Prints a table for each method and backbone, and the JSON line."""
    cli.no_arguments(positional)
    method_options = config.instances(flags.of_methods)
    cases = [
        _measure(name, flags.step, flags.compute, dataclasses.replace(flags.backbone, backbone=network), method_options)
        for network in named(flags.backbone.backbone, backbones.ARCHITECTURES, "backbone")
        for name in named(flags.step.method, methods.METHODS, "method")
    ]
    print(json.dumps(together(cases)))


def _measure(method, options, computing, backbone, method_options):
    settings = options, backbone, method_options
    alone = f"{method}, cross-entropy alone"
    subject_of = functools.partial(functools.partial, Subject, threads=options.threads)
    makers = {method: subject_of(make_step, (method, False, computing, *settings))}
    if "network" in options.against and methods.METHODS[method].classifies:
        makers[alone] = subject_of(make_step, (method, True, computing, *settings))
    if "cam" in options.against and method != "cam":
        makers["cam"] = subject_of(make_step, ("cam", False, computing, *settings))
    if "pytorch" in options.against and has_pytorch() and method not in NO_PLAIN_STEP:
        for name, channels_last in LAYOUTS.items():
            arguments = method, channels_last, *settings
            makers[name] = subject_of(make_plain_step, arguments, backend="torch")
    found = take_turns(makers, options.repeats, options.steps)
    heading(method, backbone, options, found[method]["device"])
    print_table(found, options.batch_size)
    return {
        **subject(method, backbone, options, found[method]),
        **against_pytorch(found, method),
        **_own_ratios(found, method, alone),
    }


def _own_ratios(found, method, alone):
    own, ratios = found[method], {}
    if "cam" in found and method != "cam":
        ratios["ratio_to_cam"] = round(own["seconds"] / found["cam"]["seconds"], 3)
        ratios["memory_to_cam"] = round(own["memory"] / found["cam"]["memory"], 3)
    if alone in found:
        ratios["ratio_to_own_network"] = round(own["seconds"] / found[alone]["seconds"], 3)
    return ratios


def _targets(model, images, labels):
    """Labels (B,), or made-up pseudo masks uint8 (B, S, S, 2)."""
    if not model.needs_pseudo_masks:
        return labels
    return np.random.default_rng(1).integers(0, 256, (*images.shape[:3], 2), dtype=np.uint8)


def make_step(method, alone, computing, options, backbone, method_options):
    """run(count) of our step; `alone` takes the cross-entropy in place of the method's objective."""
    compute.use(computing)
    model = make_model(method, options, backbone, method_options)
    if alone:
        model.loss_terms = lambda labels, outputs, training=True: {"": cross_entropy(labels, outputs["logits"])}
    images, labels = images_and_labels(options)
    targets = _targets(model, images, labels)
    made = _tensorflow_step if keras.backend.backend() == "tensorflow" else _fit
    return made(model, images, targets, options, computing)


def _tensorflow_step(model, images, targets, options, computing):
    """The step of the commands' loop, on one device."""
    import tensorflow as tf

    from e2wsol.training.step import TrainSteps

    optimizer = optimizer_class(computing.precision)(1e-4)
    optimizer.build(model.trainable_variables)
    parts = options.micro_batches
    steps = TrainSteps(model, optimizer, tf.distribute.get_strategy(), micro_batches=parts, jit=computing.jit)
    batch = {"image": images, "pseudo_mask" if model.needs_pseudo_masks else "label": targets}
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    return lambda count: steps(batches, count).numpy()


def _fit(model, images, targets, options, computing):
    """Keras' own training, as in a notebook."""
    if options.micro_batches > 1:
        raise ArgumentError("micro_batches", options.micro_batches, "only the loop has them, which needs TensorFlow")
    model.compile(NesterovMomentum(1e-4), jit_compile=True if computing.jit else "auto")

    def run(count):
        x, y = np.concatenate([images] * count), np.concatenate([targets] * count)
        model.fit(x, y, batch_size=len(images), shuffle=False, verbose=0)

    return run


def make_plain_step(method, channels_last, options, backbone, method_options):
    """run(count) of plain PyTorch's step of the same network and objective."""
    import torch
    from plain_methods import Plain

    model = make_model(method, options, backbone, method_options)
    images, labels = images_and_labels(options)
    targets = _targets(model, images, labels)
    plain = Plain(model, channels_last)
    del model
    images, targets = (torch.from_numpy(each).to(plain.device) for each in (images, targets))
    targets = targets.long() if targets.ndim == 1 else targets
    optimizer = torch.optim.SGD(plain.twin.parameters(), 1e-4, momentum=0.9, nesterov=True)
    plain.twin.train()

    def run(count):
        for _ in range(count):
            optimizer.zero_grad(set_to_none=True)
            loss = plain.loss(images, targets)
            loss.backward()
            optimizer.step()
        loss.item()

    return run


if __name__ == "__main__":
    cli.run(main, StepFlags, description=__doc__)
