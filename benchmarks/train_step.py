"""Time and memory of one training step of a method, against plain CAM on the same backbone.

python benchmarks/train_step.py --method=bas --backbone=vgg16

Three steps take turns, so that what disturbs the machine disturbs all: CAM; the method's network with
cross-entropy alone, which shows what its heads cost; the method. Medians. Peak memory is that of a
process of its own each. The last line is one JSON object; ratio_to_cam is time over CAM's time.
"""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import json
import multiprocessing
import resource
import statistics
import time

import keras
import numpy as np
import tensorflow as tf

from e2wsol import cli, methods
from e2wsol.backbones import BackboneOptions
from e2wsol.config import option
from e2wsol.methods.base import cross_entropy
from e2wsol.training.optimizers import NesterovMomentum


@dataclasses.dataclass(frozen=True)
class StepOptions:
    """What is measured, how often."""

    image_size: int = option(224, "side of the input in pixels", minimum=8)
    batch_size: int = option(8, "pictures a step", minimum=1)
    num_classes: int = option(200, "classes", minimum=2)
    repeats: int = option(7, "steps timed of each", minimum=1)


def main(step_options, method, backbone, *rest):
    """Prints the table and the JSON line."""
    *method_options, positional = rest
    cli.no_arguments(positional)
    cases = {
        "cam": ("cam", False),
        f"{method.method}, cross-entropy alone": (method.method, True),
        method.method: (method.method, False),
    }
    settings = step_options, backbone, method_options
    memory = {name: _peak_memory(case, settings) for name, case in cases.items()}
    seconds = _seconds({name: make_step(*case, *settings) for name, case in cases.items()}, step_options.repeats)
    print(f"{backbone.backbone}, {step_options.image_size} pixels, {step_options.batch_size} pictures a step")
    print("| step | seconds | pictures a second | peak memory, MiB |\n|---|---|---|---|")
    for name, value in seconds.items():
        print(f"| {name} | {value:.2f} | {step_options.batch_size / value:.1f} | {memory[name]} |")
    own, plain, cam = seconds[method.method], seconds[f"{method.method}, cross-entropy alone"], seconds["cam"]
    figures = {
        "method": method.method,
        "backbone": backbone.backbone,
        "ratio_to_cam": round(own / cam, 3),
        "ratio_to_own_network": round(own / plain, 3),
        "memory_to_cam": round(memory[method.method] / memory["cam"], 3),
    }
    print(json.dumps(figures))


def make_step(method, plain, options, backbone, method_options):
    """A function that trains one step; `plain` takes the cross-entropy in place of the method's loss."""
    keras.utils.set_random_seed(0)
    model = methods.create(
        method,
        backbone=backbone,
        image_size=options.image_size,
        num_classes=options.num_classes,
        options=method_options,
    )
    optimizer = NesterovMomentum(1e-4)
    optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(0)
    shape = (options.batch_size, options.image_size, options.image_size, 3)
    images = tf.constant(rng.integers(0, 256, shape, dtype=np.uint8))
    labels = tf.constant(rng.integers(0, options.num_classes, options.batch_size, dtype=np.int32))

    @tf.function
    def step():
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            terms = {"": cross_entropy(labels, outputs["logits"])} if plain else model.loss_terms(labels, outputs)
            loss = tf.reduce_mean(sum(terms.values()))
        pairs = [pair for pair in zip(tape.gradient(loss, variables), variables) if pair[0] is not None]
        optimizer.apply_gradients(pairs)
        return loss

    return step


def _seconds(steps, repeats):
    times = {name: [] for name in steps}
    for step in steps.values():
        step()  # traces
    for _ in range(repeats):
        for name, step in steps.items():
            start = time.perf_counter()
            step().numpy()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def _peak_memory(case, settings):
    """MiB that a fresh process held at most over two steps."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_run_twice, (case, settings))


def _run_twice(case, settings):
    step = make_step(*case, *settings)
    for _ in range(2):
        step().numpy()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    cli.run(main, StepOptions, methods.MethodOptions, BackboneOptions, *methods.option_classes(), description=__doc__)
