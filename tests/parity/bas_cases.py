"""Checks a case of BAS: forward, maps, boxes, losses, gradients, and weights after optimizer steps."""

import dataclasses

import keras
import kit
import numpy as np
import tensorflow as tf
from bas_boxes import check_boxes, final_map_name
from precision import float64
from report import Report

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.data.pipeline import ten_crops
from e2wsol.localization import protocols
from e2wsol.localization.boxes import boxes_at_levels, to_levels
from e2wsol.localization.score_map import to_score_map
from e2wsol.methods.bas import BASOptions, suppression_ratio
from e2wsol.training.optimizers import NesterovMomentum

FORWARD, LOSS = 1e-3, 1e-4
# Training is held against the float64 run of the original (see the kit's README).
TRAINING, STEP = 1e-4, 1e-4


def check(case, arrays):
    """Returns the Report of one BAS case."""
    report = Report()
    report.part(check_boxes, case, arrays)
    report.part(_check_ratio, arrays, case)
    model, _ = build(case)
    report.part(_check_forward, arrays, model)
    report.part(_check_maps, arrays, model, case)
    report.part(_check_ten_crops, arrays, model)
    del model
    with float64():
        report.part(_check_training, arrays, case)
        report.part(_check_zero_saliency, arrays, case)
    return report


def build(case):
    """BAS as the case describes it with the case's weights, and {authors' name: our variable}."""
    losses, imagenet = case["train"]["losses"], case["dataset"] == "ilsvrc"
    options = BASOptions(
        area_weight=losses["bas_loss"]["area_weight"],
        guidance_weight=losses["loss_2"]["weight"],
        top_k=1,
        equal_ratio=imagenet,
        erased_statistics="own" if imagenet else "shared",
    )
    model = methods.create(
        "bas",
        backbone=BackboneOptions(backbone=case["backbone"], preprocessing="imagenet", backbone_conventions="torch"),
        image_size=224,
        num_classes=case["num_classes"],
        options=[options],
    )
    return model, kit.fill(model, case)


def _check_ratio(report, arrays, case):
    """The suppression and area terms on made-up numbers."""
    area_weight = case["train"]["losses"]["bas_loss"]["area_weight"]
    logit, erased, area = np.asarray(arrays["unit_bas_input"], np.float32).T
    ratio = suppression_ratio(logit, erased, keep_equal=case["dataset"] == "ilsvrc")
    report.close("unit_bas_loss", np.asarray(ratio) + area_weight * area, arrays["unit_bas_loss"], relative=LOSS)


def _quantities(model, images, labels, *, training):
    """The case's names of what one forward pass and its losses give."""
    outputs = model(images, training=training)
    branches = model.branches(labels, outputs, training)
    terms = model.loss_terms(labels, outputs, training)
    foreground = keras.losses.sparse_categorical_crossentropy(labels, branches["foreground_logits"], from_logits=True)
    return {
        "score_1": outputs["logits"],
        "score_2": branches["foreground_logits"],
        "x_sum": branches["logit"],
        "x_erase_sum": branches["erased_logit"],
        "feature_map": outputs["class_maps"],
        "x_saliency": branches["saliency"][..., None],
        "loss_1": tf.reduce_mean(terms["classification"]),
        "loss_2": tf.reduce_mean(foreground),
        "bas_loss": tf.reduce_mean(terms["suppression"] + terms["area"]),
        "total": tf.reduce_mean(sum(terms.values())),
        "res": terms["suppression"],
        "area": tf.reduce_mean(branches["saliency"], axis=(1, 2)),
    }


def _check_forward(report, arrays, model):
    found = _quantities(model, arrays["images_uint8"], arrays["labels"], training=False)
    for name in ("score_1", "score_2", "x_sum", "x_erase_sum", "feature_map", "x_saliency"):
        report.close(name, found[name], arrays[name], relative=FORWARD)
    for name in ("loss_1", "loss_2", "bas_loss", "total"):
        report.close(f"eval_{name}", found[name], arrays[f"eval_{name}"], relative=LOSS)


def _check_maps(report, arrays, model, case):
    """Maps averaged over the best classes, the final map and its box."""
    images, labels = arrays["images_uint8"], arrays["labels"]
    protocol = protocols.get("bas")
    maps = {}
    for name in [name for name in arrays if name == "x_saliency" or name.startswith("x_saliency_top")]:
        count = int(name.removeprefix("x_saliency").removeprefix("_top") or 1)
        model.options = dataclasses.replace(model.options, top_k=count)
        maps[name] = model.localize(images, labels)[1].numpy()
        report.close(name, maps[name][..., None], arrays[name], relative=FORWARD)
    score_maps = np.stack([to_score_map(m, images.shape[1], protocol) for m in maps[final_map_name(case)]])
    report.close("final_map", score_maps, arrays["final_map"], relative=FORWARD)
    threshold = case["evaluation"]["threshold"]
    boxes = [boxes_at_levels(*to_levels(m, [threshold], protocol), protocol)[0] for m in score_maps]
    report.add("final_box_px", np.abs(np.stack(boxes) - arrays["final_box"]).max(), 1)


def _check_ten_crops(report, arrays, model):
    crops = np.asarray(ten_crops(arrays["tencrop_image256_uint8"][0], 224))
    probabilities = keras.ops.softmax(model(crops, training=False)["logits"]).numpy().mean(0, keepdims=True)
    report.close("tencrop_softmax_mean", probabilities, arrays["tencrop_softmax_mean"], relative=FORWARD)
    top5 = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    report.equal("tencrop_top5", top5, arrays["tencrop_top5"])


def _check_training(report, arrays, case):
    """Losses, gradients and three optimizer steps in float64."""
    model, variables = build(case)
    images, labels = arrays["images_uint8"], arrays["labels"]
    found = _quantities(model, images, labels, training=True)
    found["feature_map_mean"] = tf.reduce_mean(found.pop("feature_map"), axis=(1, 2))
    for name, value in found.items():
        report.close(f"train_{name}", value, arrays[f"f64_train_{name}"], relative=TRAINING)
    model, variables = build(case)  # that pass has moved the running statistics
    pairs = kit.pairs(model, case["parameters"])
    optimizer = _optimizer(case, variables)
    optimizer.build(model.trainable_variables)
    by_id = {id(variable): name for name, variable in variables.items()}
    trained = [by_id[id(variable)] for variable in model.trainable_variables]
    start = {name: variable.numpy() for name, variable in variables.items()}
    trainable = [entry["name"] for entry in case["parameters"] if entry["trainable"]]
    kept = [entry["name"] for entry in case["parameters"] if not entry["name"].endswith("num_batches_tracked")]
    totals = []
    for number in range(1, 4):
        # Not in a tf.function: its optimizer turns x / 255 into x * (1 / 255), and one unit in the
        # last place of the input is worth up to a percent of a gradient here.
        total, gradients = _gradients(model, images, labels)
        totals.append(float(total))
        if number == 1:
            _check_digests(report, pairs, dict(zip(trained, gradients)), trainable, arrays, "grad", "")
        optimizer.apply(gradients, model.trainable_variables)
        if number in (1, 3):
            values = {name: variable.numpy() for name, variable in variables.items()}
            changes = {name: value - start[name] for name, value in values.items()}
            _check_digests(report, pairs, values, kept, arrays, "param", f"_step{number}")
            _check_digests(report, pairs, changes, kept, arrays, "delta", f"_step{number}")
    report.close("train_totals", totals, arrays["f64_train_totals"], relative=STEP)


def _optimizer(case, variables):
    factors = {entry["name"]: entry.get("lr_multiplier", 1) for entry in case["parameters"]}
    return NesterovMomentum(
        case["train"]["base_lr"],
        momentum=case["train"]["momentum"],
        l2=case["train"]["weight_decay"],
        l2_pattern=".*",
        multipliers=[(variable.path, factors[name]) for name, variable in variables.items()],
    )


def _gradients(model, images, labels):
    with tf.GradientTape() as tape:
        loss = model.compute_loss(images, labels, model(images, training=True))
    return loss, tape.gradient(loss, model.trainable_variables)


def _check_digests(report, pairs, values, names, arrays, stem, suffix):
    """Norms and probe products of every parameter, relative to its expected norm.

    Parameters without a counterpart (overwritten copies of the ILSVRC release) are passed over.
    """
    norms, dots = (arrays[f"f64_{stem}_{kind}{suffix}"].astype(np.float64) for kind in ("l2", "dot"))
    if len(names) != len(norms):
        report.fault(f"{stem}{suffix}: {len(norms)} digests for {len(names)} parameters")
    floor = 1e-5 * norms.max()  # a gradient that is exactly zero is compared absolutely
    for name, norm, dot in zip(names, norms, dots):
        if name in values:
            l2, product = kit.digest(name, pairs[name].to_theirs(values[name]))
            report.add(f"{stem}_l2{suffix}", abs(l2 - norm) / max(norm, floor), STEP)
            report.add(f"{stem}_dot{suffix}", abs(product - dot) / max(norm, floor), STEP)


def _check_zero_saliency(report, arrays, case):
    """A saliency of exactly 0 leaves the erased logit equal: the rule for equality decides."""
    model, _ = build(case)
    head = model.get_layer("classifier_loc")
    head.kernel.assign(np.zeros(head.kernel.shape))
    head.bias.assign(np.full(head.bias.shape, -1000.0))
    found = _quantities(model, arrays["images_uint8"], arrays["labels"], training=True)
    expected = float(arrays["edge_zero_saliency_bas_loss"])
    report.add("edge_zero_saliency", abs(float(found["bas_loss"]) - expected), 1e-6)
