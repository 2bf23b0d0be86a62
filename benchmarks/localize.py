"""Time and memory of localizing, against one forward pass of the same network and against plain PyTorch.

python benchmarks/localize.py --backbone=vgg16
python benchmarks/localize.py --method=all --localizer=none --backbone=all
KERAS_BACKEND=jax python benchmarks/localize.py --backbone=vgg16 --batch_size=64 --calls=20

For each method take turns, each in a process of its own: the forward pass of its network; its own maps; on CAM's
network each localizer at its usual layer and, under TensorFlow, DGL with its two gradients taken through the whole
network, weights included, as backward() of a script does; and the forward pass with the method's own maps in plain
PyTorch, with either memory layout, whose faster one counts. Medians over the turns, of the clock and of the processors'
time, which other programs disturb less. The last line is one JSON object: NAME_ratio is time over that of the forward
pass of the same network, NAME_ratio_to_plain_pytorch PyTorch's time over ours, above 1 where we are faster.
"""

import os

if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
    import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import functools
import json

import keras
from side_by_side import (
    LAYOUTS,
    NO_PLAIN_MAPS,
    against_pytorch,
    has_pytorch,
    heading,
    images_and_labels,
    make_model,
    named,
    print_table,
    subject,
)
from stopwatch import Subject, take_turns

from e2wsol import backbones, cli, methods
from e2wsol.backbones import BackboneOptions
from e2wsol.config import option
from e2wsol.localizers import LOCALIZERS, Localizer, LocalizerOptions
from e2wsol.localizers.formulas import cost, dual_gradients

FORWARD, OWN, WHOLE = "forward", "own maps", "dgl, whole backward passes"


@dataclasses.dataclass(frozen=True)
class LocalizeOptions:
    """What is measured, how often."""

    method: tuple[str, ...] = option(
        ("cam", "mnpos"), "methods, comma-separated, or all", choices=("all", *methods.METHODS)
    )
    localizer: tuple[str, ...] = option(
        ("all",), "localizers on CAM's network, comma-separated, all or none", choices=("all", "none", *LOCALIZERS)
    )
    image_size: int = option(224, "side of the input in pixels", minimum=8)
    batch_size: int = option(8, "pictures a call", minimum=1)
    num_classes: int = option(1000, "classes", minimum=2)
    repeats: int = option(7, "turns, whose median counts", minimum=1)
    calls: int = option(1, "calls a turn; some dozen on a GPU", minimum=1)
    threads: int = option(
        0, "threads on the processor, 0 for all cores; with 1 the processors' seconds hold no waiting", minimum=0
    )


@dataclasses.dataclass(frozen=True)
class LocalizeFlags:
    """All flags of the command."""

    localize: LocalizeOptions
    backbone: BackboneOptions


def main(flags, positional):
    """Prints a table for each method and backbone, and the JSON line."""
    cli.no_arguments(positional)
    options, backbone = flags.localize, flags.backbone
    results = []
    for network in named(backbone.backbone, backbones.ARCHITECTURES, "backbone"):
        chosen = dataclasses.replace(backbone, backbone=network)
        numbers = {}
        for method in named(options.method, methods.METHODS, "method"):
            numbers = {**_measure(method, options, chosen), **numbers}
        results.append({**numbers, "backbone": network})
    print(json.dumps(results[0] if len(results) == 1 else {"cases": results}))


def _measure(method, options, backbone):
    rows = [FORWARD, OWN, *(_on_cam(options) if method == "cam" else [])]
    subject_of = functools.partial(functools.partial, Subject, threads=options.threads)
    makers = {row: subject_of(make_call, (method, row, options, backbone)) for row in rows}
    if has_pytorch() and method not in NO_PLAIN_MAPS:
        for name, channels_last in LAYOUTS.items():
            arguments = method, channels_last, options, backbone
            makers[name] = subject_of(make_plain_call, arguments, backend="torch")
    found = take_turns(makers, options.repeats, options.calls)
    heading(method, backbone, options, found[OWN]["device"])
    print_table(found, options.batch_size)
    numbers = {
        name: value for name, value in subject(method, backbone, options, found[OWN]).items() if name != "method"
    }
    for row in rows[1:]:
        name = _key(method, row, backbone)
        numbers |= {f"{name}_{ratio}": value for ratio, value in _ratios(found, row).items()}
    return numbers


def _on_cam(options):
    if "none" in options.localizer:
        return []
    whole = [WHOLE] if keras.backend.backend() == "tensorflow" else []
    return [*named(options.localizer, LOCALIZERS, "localizer"), *whole]


def _key(method, row, backbone):
    """What a row is called in the JSON object; DGL with the layer that it looks at."""
    if row == "dgl":
        return f"dgl_{backbones.architecture(backbone.backbone).dual_gradient_layer}"
    if row == "cam":
        return "cam_localizer"
    return method if row == OWN else row.replace(", ", "_").replace(" ", "_")


def _ratios(found, row):
    own, forward = found[row], found[FORWARD]
    return {
        "ratio": round(own["seconds"] / forward["seconds"], 3),
        "cpu_ratio": round(own["cpu_seconds"] / forward["cpu_seconds"], 3),
        **against_pytorch(found, row),
    }


def make_call(method, row, options, backbone):
    """run(count) of a row of the table."""
    model = make_model(method, options, backbone)
    images, labels = images_and_labels(options)
    if row == FORWARD:
        function = _forward(model)
    elif row == OWN:
        function = model.localize
    elif row == WHOLE:
        function = _whole_backward(model, model.architecture.dual_gradient_layer)
    else:
        function = Localizer(model, LocalizerOptions(localizer=(row,))).localize
    return _COMPILED[keras.backend.backend()](function, model, images, labels)


def _forward(model):
    wanted = "logits" if model.classifies else "map"
    return lambda images, labels: model(images, training=False)[wanted]


def _whole_backward(model, layer):
    import tensorflow as tf

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


def _with_tensorflow(function, model, images, labels):
    import tensorflow as tf

    images, labels = tf.constant(images), tf.constant(labels)
    compiled = tf.function(function).get_concrete_function(images, labels)
    return _repeated(lambda: compiled(images, labels))


def _with_jax(function, model, images, labels):
    import jax

    @jax.jit
    def compiled(values, images, labels):
        # Weights go in as arguments: as constants they would be part of the program.
        with keras.StatelessScope(state_mapping=list(zip(model.variables, values))):
            return function(images, labels)

    arguments = [variable.value for variable in model.variables], jax.device_put(images), jax.device_put(labels)
    return _repeated(lambda: compiled(*arguments))


def _with_torch(function, model, images, labels):
    import torch

    images, labels = keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(labels)

    def call():
        with torch.no_grad():
            return function(images, labels)

    return _repeated(call)


def _repeated(call):
    """run(count) of a call; it comes back when the results of the last are here."""

    def run(count):
        for _ in range(count):
            results = call()
        for each in keras.tree.flatten(results):
            if each is not None:
                keras.ops.convert_to_numpy(each)

    return run


_COMPILED = {"tensorflow": _with_tensorflow, "jax": _with_jax, "torch": _with_torch}


def make_plain_call(method, channels_last, options, backbone):
    """run(count) of the forward pass and the method's own maps in plain PyTorch."""
    import torch
    from plain_methods import Plain

    plain = Plain(make_model(method, options, backbone), channels_last)
    images, labels = (torch.from_numpy(each).to(plain.device) for each in images_and_labels(options))
    labels = labels.long()
    plain.twin.eval()

    def run(count):
        for _ in range(count):
            _, maps = plain.maps(images, labels)
        maps.cpu()

    return run


if __name__ == "__main__":
    cli.run(main, LocalizeFlags, description=__doc__)
