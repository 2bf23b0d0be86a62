"""Time of localizing by gradients, against one forward pass of the same network.

python benchmarks/localize.py --backbone=vgg16

All take turns, so that what disturbs the machine disturbs all: the forward pass of a CAM network alone; each
localizer at its usual layer; DGL with its two gradients taken through the whole network, weights included, as
backward() of a script does; the forward pass of MNPOs' network and its map. Medians, of the clock and of the
processors' time, which other programs disturb less. The last line is one JSON object; a ratio is time (cpu_ratio:
processors' time) over that of the forward pass of the same network.
"""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import json
import statistics
import time

import keras
import numpy as np
import tensorflow as tf

from e2wsol import cli, methods
from e2wsol.backbones import BackboneOptions
from e2wsol.config import option
from e2wsol.localizers import LOCALIZERS, Localizer, LocalizerOptions
from e2wsol.localizers.dgl import cost, dual_gradients

FORWARD = "forward"
WHOLE = "dgl, whole backward passes"


@dataclasses.dataclass(frozen=True)
class LocalizeOptions:
    """What is measured, how often."""

    image_size: int = option(224, "side of the input in pixels", minimum=8)
    batch_size: int = option(8, "pictures a call", minimum=1)
    num_classes: int = option(1000, "classes", minimum=2)
    repeats: int = option(7, "calls timed of each", minimum=1)


def main(options, backbone, positional):
    """Prints the table and the JSON line."""
    cli.no_arguments(positional)
    rng = np.random.default_rng(0)
    shape = (options.batch_size, options.image_size, options.image_size, 3)
    images = tf.constant(rng.integers(0, 256, shape, dtype=np.uint8))
    labels = tf.constant(rng.integers(0, options.num_classes, options.batch_size, dtype=np.int32))
    times = _times(cases(options, backbone), images, labels, options.repeats)
    print(f"{backbone.backbone}, {options.image_size} pixels, {options.batch_size} pictures a call")
    print("| | ms a picture | of the forward pass | of its processors' time |\n|---|---|---|---|")
    figures = {"backbone": backbone.backbone}
    for (network, name), own in times.items():
        clock, cpu = (one / other for one, other in zip(own, times[network, FORWARD]))
        print(f"| {network}: {name} | {1000 * own[0] / options.batch_size:.0f} | {clock:.2f} | {cpu:.2f} |")
        if name != FORWARD:
            key = name.replace(", ", "_").replace(" ", "_")
            figures |= {f"{key}_ratio": round(clock, 3), f"{key}_cpu_ratio": round(cpu, 3)}
    print(json.dumps(figures))


def cases(options, backbone):
    """{(network, name): function of pictures and labels}; FORWARD is the network's forward pass."""
    cam, mnpos = (_network(name, options, backbone) for name in ("cam", "mnpos"))
    layer = cam.architecture.dual_gradient_layer
    found = {("cam", FORWARD): _forward(cam)}
    for name in LOCALIZERS:
        found["cam", f"{name} {layer}" if name == "dgl" else name] = _localizer(cam, name)
    found["cam", WHOLE] = _whole_backward(cam, layer)
    return {**found, ("mnpos", FORWARD): _forward(mnpos), ("mnpos", "mnpos"): mnpos.localize}


def _network(method, options, backbone):
    keras.utils.set_random_seed(0)
    return methods.create(method, backbone=backbone, image_size=options.image_size, num_classes=options.num_classes)


def _forward(model):
    return lambda images, labels: model(images, training=False)["logits"]


def _localizer(model, name):
    return Localizer(model, LocalizerOptions(localizer=(name,))).localize


def _whole_backward(model, layer):
    network = keras.Model(model.inputs[0], {"features": model.end_points[layer], "logits": model.output["logits"]})

    def localize(images, labels):
        with tf.GradientTape(persistent=True) as tape:
            outputs = network(images, training=False)
        chosen = tf.one_hot(labels, model.num_classes)
        sources = [outputs["features"], *network.trainable_variables]
        gradients = [
            tape.gradient(outputs["logits"], sources, weights, unconnected_gradients="zero")
            for weights in (chosen, cost(outputs["logits"], chosen))
        ]
        # The weights' gradients are read too, or TensorFlow would leave them out.
        rest = tf.add_n([tf.reduce_sum(each) for found in gradients for each in found[1:]])
        return rest, dual_gradients(outputs["features"], *(found[0] for found in gradients))

    return localize


def _times(functions, images, labels, repeats):
    """{name: (seconds by the clock, seconds of all processors)}, medians."""
    compiled = {name: tf.function(each).get_concrete_function(images, labels) for name, each in functions.items()}
    times = {name: [] for name in functions}
    for function in compiled.values():
        function(images, labels)  # warms up
    for _ in range(repeats):
        for name, function in compiled.items():
            start = time.perf_counter(), time.process_time()
            keras.tree.map_structure(lambda tensor: tensor.numpy(), function(images, labels))
            end = time.perf_counter(), time.process_time()
            times[name].append((end[0] - start[0], end[1] - start[1]))
    return {name: tuple(map(statistics.median, zip(*values))) for name, values in times.items()}


if __name__ == "__main__":
    cli.run(main, LocalizeOptions, BackboneOptions, description=__doc__)
