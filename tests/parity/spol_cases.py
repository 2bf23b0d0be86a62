"""Checks a case of SPOL: forward, maps, losses, gradients, and weights after optimizer steps, by the released flags."""

import contextlib
import dataclasses
import pathlib

import keras
import kit
import numpy as np
import tensorflow as tf
from report import Report
from spol_maps import cam_maps, check_boxes, seg_maps
from spol_mask_cases import check_pseudo_mask

from e2wsol import config, methods, train
from e2wsol.backbones import BackboneOptions
from e2wsol.data import pipeline
from e2wsol.layers import Preprocessing
from e2wsol.methods import MethodOptions
from e2wsol.training.optimizers import OptimizerOptions, create

FLAGS = pathlib.Path(__file__).resolve().parents[2] / "flags"
FORWARD, LOSS, LATER_LOSS = 1e-4, 1e-4, 1e-3
# Largest and median over the parameters: the larger of the README's bounds and the cases' tolerance notes, which say
# what the original's own float32 is worth; ours trains in float64.
GRADIENT = (3e-2, 1e-3)
DIGESTS = {
    "update_step1": (3e-2, 2e-3),
    "update_step3": (3e-1, 2e-2),
    "param_step1": (1e-5, 1e-6),
    "param_step3": (1e-3, 1e-4),
}
# What is given, and the counters that belong to no network.
GIVEN = {"images_uint8", "labels", "pseudo_uint8", "map_channels", "preproc_raw_uint8", "gt_boxes_listed"}


def check(case, arrays):
    """Returns the Report of one SPOL case, of whichever stage."""
    if case["stage"] == "pseudo_mask":
        return check_pseudo_mask(case, arrays)
    report = Report()
    found = {}
    flags = released_flags(case)
    with _precision("float32"):
        images = arrays["images_uint8"]
        model, _ = build(case, flags, images.shape[1])
        found |= _maps(case)(model, arrays, training=False)
    if case["stage"] == "seg":
        report.part(check_boxes, model, case, arrays)
    found |= _preprocessed(arrays)
    with _precision("float64"):
        found |= _maps(case)(build(case, flags, 224)[0], arrays, training=True)
        steps = _train(report, case, arrays, flags)
    for name, value in found.items():
        if name in arrays:
            report.close(name, value, arrays[name], relative=LOSS if name.startswith("loss") else FORWARD)
    report.part(_check_steps, steps, arrays)
    checked = found.keys() | GIVEN | steps.keys() | {f"{name}_steps" for name in steps} | _digest_names()
    for name in sorted(arrays.keys() - checked - report.measured.keys()):
        report.miss(name)
    return report


def released_flags(case):
    """{option class: instance} of flags/spol_STAGE.cfg, dropout switched off as in the case."""
    name = f"spol_{case['stage']}" + ("_ilsvrc" if case["dataset"] == "ilsvrc" else "")
    flags, _, _ = config.parse(
        ["train", f"--flagfile={FLAGS}/{name}.cfg", f"--spol_{case['stage']}_dropout=0"], train.TrainFlags
    )
    return {type(instance): instance for instance in config.instances(flags)}


def build(case, flags, image_size):
    """The network of the flags with the case's weights, and {authors' name: our variable}."""
    model = methods.create(
        flags[MethodOptions].method,
        backbone=dataclasses.replace(flags[BackboneOptions], backbone=case["backbone"]),
        image_size=image_size,
        num_classes=case["num_classes"],
        options=list(flags.values()),
    )
    return model, kit.fill(model, case)


@contextlib.contextmanager
def _precision(name):
    """Models and optimizers (whose learning rate follows floatx) made inside compute in this precision."""
    try:
        keras.config.set_floatx(name)
        keras.config.set_dtype_policy(name)
        yield
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


def _maps(case):
    return {"cam": cam_maps, "seg": seg_maps}[case["stage"]]


def _preprocessed(arrays):
    """The authors normalise before they resize; both are linear, so the order does not matter."""
    if "preproc_raw_uint8" not in arrays:
        return {}
    resized = pipeline.resize(arrays["preproc_raw_uint8"], 256)
    return {"preproc_256_sub8": Preprocessing("imagenet")(resized[None])[0, ::8, ::8]}


def training_batch(case, arrays):
    """(pictures at 224, what the stage learns from them)."""
    images = arrays["images_uint8"]
    offset = (images.shape[1] - 224) // 2
    images = images[:, offset : offset + 224, offset : offset + 224]
    return images, arrays["labels"] if case["stage"] == "cam" else arrays["pseudo_uint8"][..., :2]


def _train(report, case, arrays, flags):
    """Gradients and three optimizer steps; returns {loss: its values before the steps}."""
    model, variables = build(case, flags, 224)
    pairs = kit.pairs(model, case["parameters"])
    images, targets = training_batch(case, arrays)
    optimizer = create(flags[OptimizerOptions], steps_per_epoch=1000)
    report.close("base_lr", float(optimizer.learning_rate), case["train"]["base_lr"], relative=1e-6)
    optimizer.build(model.trainable_variables)
    by_id = {id(variable): name for name, variable in variables.items()}
    trained = [by_id[id(variable)] for variable in model.trainable_variables]
    start = _theirs(pairs, variables)
    kept = [entry["name"] for entry in case["parameters"] if not entry["name"].endswith("num_batches_tracked")]
    losses = []
    for number in range(1, 4):
        terms, gradients = _gradients(model, images, targets)
        losses.append(_losses(case, terms))
        if number == 1:
            names = [entry["name"] for entry in case["parameters"] if entry["trainable"]]
            found = _theirs(pairs, dict(zip(trained, gradients)))
            _check_digests(report, found, names, arrays, "grad", "", GRADIENT)
        optimizer.apply(gradients, model.trainable_variables)
        if number in (1, 3):
            values = _theirs(pairs, variables)
            changes = {name: value - start[name] for name, value in values.items()}
            for stem, ours in (("param", values), ("update", changes)):
                _check_digests(report, ours, kept, arrays, stem, f"_step{number}", DIGESTS[f"{stem}_step{number}"])
    return {name: [loss[name] for loss in losses] for name in losses[0]}


def _theirs(pairs, values):
    """{name: array in the authors' layout}."""
    return {name: pairs[name].to_theirs(value.numpy()) for name, value in values.items()}


def _gradients(model, images, targets):
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        loss = model.compute_loss(images, targets, outputs)
    terms = {name: float(tf.reduce_mean(term)) for name, term in model.loss_terms(targets, outputs, True).items()}
    return terms, tape.gradient(loss, model.trainable_variables)


def _losses(case, terms):
    """Our weighted terms as the authors count them."""
    losses = {"loss": sum(terms.values())}
    if "distillation" in terms:
        losses |= {"loss1": 2 * terms["classification"], "loss2": 2 * terms["distillation"]}
    return losses


def _check_steps(report, steps, arrays):
    for name, values in steps.items():
        report.close(f"{name}_first", values[0], arrays[name], relative=LOSS)
        report.close(f"{name}_steps", values, arrays[f"{name}_steps"], relative=LATER_LOSS)


def _digest_names():
    suffixes = {"grad": ("",), "param": ("_step1", "_step3"), "update": ("_step1", "_step3")}
    return {f"{stem}_{kind}{suffix}" for stem, ends in suffixes.items() for suffix in ends for kind in ("l2", "dot")}


def _check_digests(report, values, names, arrays, stem, suffix, bounds):
    """Norms and probe products relative to the expected norm of each parameter, and their medians."""
    norms, dots = (arrays[f"{stem}_{kind}{suffix}"].astype(np.float64) for kind in ("l2", "dot"))
    if len(names) != len(norms):
        report.fault(f"{stem}{suffix}: {len(norms)} digests for {len(names)} parameters")
        return
    # A gradient that is exactly zero (a bias in front of a batch norm) is compared absolutely.
    floor = 1e-5 * norms.max() if stem == "grad" else 1e-12
    errors = {"l2": [], "dot": []}
    for name, norm, dot in zip(names, norms, dots):
        l2, product = kit.digest(name, values[name])
        errors["l2"].append(abs(l2 - norm) / max(norm, floor))
        errors["dot"].append(abs(product - dot) / max(norm, floor))
    for kind, found in errors.items():
        report.add(f"{stem}_{kind}{suffix}", max(found), bounds[0])
        report.add(f"{stem}_{kind}{suffix}_median", np.median(found), bounds[1])
