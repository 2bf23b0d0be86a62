"""What the cases of MNPO and MNPOs have in common: their network, its evaluation and its training."""

import kit
import numpy as np
import tensorflow as tf
from precision import float64

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.localization import protocols
from e2wsol.localization.boxes import levels_at
from e2wsol.localization.metrics import LocalizationScorer
from e2wsol.training.optimizers import NesterovMomentum

SIZE, FEATURES = 224, 1024
MORE_THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of boxes_more, in words in case.json
# Bounds of the kit's README; those of whole parameters follow the cases' tolerance notes.
FORWARD, LOSS = 1e-3, 1e-4
GRADIENT, GRADIENT_MEDIAN = 2e-2, 1e-3
UPDATES = {1: (2e-2, 2e-3), 3: (1e-1, 2e-2)}
PARAMETERS = {1: 1e-3, 3: 1.5e-2}
STATISTICS = 1e-3
STORED = 1e-6  # the kit stores IoUs and errors as float32


def build(case, options=()):
    """The case's method with the case's weights, and {authors' name: our variable}."""
    model = methods.create(
        case["method"],
        backbone=BackboneOptions(backbone="vgg16", preprocessing="imagenet"),
        image_size=SIZE,
        num_classes=case["num_classes"],
        options=options,
    )
    return model, kit.fill(model, case)


def check_forward(report, arrays, model):
    """Logits and pooled features of both branches in inference; returns the outputs."""
    outputs = model(arrays["images_uint8"], training=False)
    for name, logits, features in (("1", "logits", "features"), ("2", "branch_logits", "branch_features")):
        report.close(f"logits{name}", outputs[logits], arrays[f"logits{name}"], relative=FORWARD)
        pooled = tf.reduce_mean(outputs[features], axis=(1, 2))
        report.close(f"pooled{name}", pooled, arrays[f"pooled{name}"], relative=FORWARD)
    return outputs


def check_branch_maps(report, arrays, model, outputs, names, factor):
    """Class maps before the resize; the release averages over channels and weighs negative weights by `factor`."""
    maps = model.branch_maps(outputs, arrays["labels"][:, None])
    for name, found in zip(names, maps):
        found = np.moveaxis(np.asarray(found), 1, -1) * factor * np.prod(found.shape[-2:]) / FEATURES
        report.close(name, found, arrays[name], relative=FORWARD)


def scorer(case_thresholds=()):
    """The scorer of the release's evaluation, with further thresholds."""
    protocol = protocols.get("mnpo")
    return LocalizationScorer(protocol, protocol.frame(SIZE), thresholds=case_thresholds, iou_thresholds=(0.5,))


def check_thresholds(report, arrays):
    """The protocol's thresholds as they are stored, and the gray levels that they stand for."""
    thresholds = protocols.get("mnpo").thresholds
    report.close("thresholds", thresholds, arrays["thresholds"], relative=STORED)
    levels = levels_at(np.full((2, 2), 255, np.uint8), thresholds)
    report.equal("thresholds_uint8", levels, arrays["thresholds_uint8"])


def check_boxes(report, score_maps, boxes, boxes_more, prefix=""):
    """Boxes at the release's thresholds and at the kit's further ones."""
    one = scorer(MORE_THRESHOLDS)
    predictions = [one.boxes_of_score_map(np.asarray(score_map, np.float64)) for score_map in score_maps]
    for name, thresholds, expected in (
        ("boxes", one.protocol.thresholds, boxes),
        ("boxes_more", MORE_THRESHOLDS, boxes_more),
    ):
        columns = [one.index_of(threshold) for threshold in thresholds]
        found = np.stack([prediction.boxes[columns] for prediction in predictions])
        report.add(f"{prefix}{name}_px", np.abs(found - expected).max(), 1)


def check_evaluation(report, arrays, score_maps, *, relative):
    """IoUs, hits and errors with the made-up true boxes.

    Args:
      score_maps: (B, S, S) in [0, 1].
      relative: bound of the IoUs; hits and errors must be equal.
    """
    one = scorer()
    columns = [one.index_of(threshold) for threshold in one.protocol.thresholds]
    top5 = np.argsort(-arrays["logits1"], axis=1, kind="stable")[:, :5]
    outcomes = []
    for picture, score_map in enumerate(score_maps):
        rows = arrays["eval_gt_boxes"]
        facts = {"boxes": rows[rows[:, 0] == picture, 1:], "image_size": arrays["eval_image_sizes"][picture]}
        prediction = one.boxes_of_score_map(np.asarray(score_map, np.float64))
        outcomes.append(one.update_boxes(prediction, label=arrays["labels"][picture], top5=top5[picture], **facts))
    truth = np.concatenate([outcome.true_boxes for outcome in outcomes])
    report.equal("eval_gt_boxes_resized", truth, arrays["eval_gt_boxes_resized"])
    report.close("eval_iou", [o.ious[columns] for o in outcomes], arrays["eval_iou"], relative=relative)
    report.equal("eval_num_correct", one.hits[:, 0, columns], arrays["eval_num_correct"])
    scores = [one.score_at(metric, 0.5, one.best(0.5, metric)).value for metric in one.metrics]
    report.close("eval_errors", 100 - 100 * np.array(scores), arrays["eval_errors"], relative=STORED)


def check_training(report, case, arrays, model, variables):
    """Losses and gradient digests in float32; then, in float64, three steps by each of the case's optimizers.

    Every step multiplies what a rounding has changed, and the original's float32 run is nearer to a
    float64 one than to another float32 run. The values are rounded to float32 afterwards, as the original's
    are: a small update of a large value is little more than that rounding.
    """
    terms, logits, gradients = _pass(model, arrays)
    for name, value in zip(("loss1", "loss2", "loss"), terms):
        report.close(name, value, arrays[name], relative=LOSS)
    for name, value in zip(("train_logits1", "train_logits2"), logits):
        report.close(name, value, arrays[name], relative=FORWARD)
    order = [entry["name"] for entry in case["parameters"] if entry["trainable"]]
    trained = {id(variable): name for name, variable in variables.items()}
    names = [trained[id(variable)] for variable in model.trainable_variables]
    pairs = kit.pairs(model, case["parameters"])
    errors = _digest_errors(_theirs(pairs, dict(zip(names, gradients))), order, arrays["grad_l2"], arrays["grad_dot"])
    report.add("grad", max(errors.values()), GRADIENT)
    report.add("grad_median", np.median(list(errors.values())), GRADIENT_MEDIAN)
    with float64():
        _check_optimizers(report, case, arrays)


def _check_optimizers(report, case, arrays):
    model, variables = build(case)
    pairs = kit.pairs(model, case["parameters"])
    start = _theirs(pairs, _values(variables))
    first = _pass(model, arrays)
    after_first = _values(variables)  # the running statistics have moved
    for reading, multipliers in case["train"]["lr_multipliers"].items():
        suffix = "" if reading == "intended" else f"_{reading}"
        if f"loss_steps{suffix}" not in arrays:
            continue
        for name, variable in variables.items():
            variable.assign(after_first[name])
        optimizer = _optimizer(case, variables, multipliers)
        losses = []
        for number in (1, 2, 3):
            terms, _, gradients = first if number == 1 else _pass(model, arrays)
            losses.append([float(term) for term in terms])
            if optimizer:
                optimizer.apply(gradients, model.trainable_variables)
            if number in UPDATES:
                values = _theirs(pairs, {name: value.astype(np.float32) for name, value in _values(variables).items()})
                _check_update(report, case, arrays, f"_step{number}{suffix}", start, values, number)
        report.close(f"loss_steps{suffix}", losses, arrays[f"loss_steps{suffix}"], relative=LOSS)


def _values(variables):
    return {name: variable.numpy() for name, variable in variables.items()}


def _theirs(pairs, values):
    return {name: pairs[name].to_theirs(value) for name, value in values.items()}


def _pass(model, arrays):
    """([loss1, loss2, loss], logits of both branches, gradients) in training mode."""
    with tf.GradientTape() as tape:
        outputs = model(arrays["images_uint8"], training=True)
        terms = [tf.reduce_mean(term) for term in model.loss_terms(arrays["labels"], outputs).values()]
        loss = model.compute_loss(arrays["images_uint8"], arrays["labels"], outputs)
    gradients = tape.gradient(loss, model.trainable_variables)
    return [*terms, loss], [outputs["logits"], outputs["branch_logits"]], gradients


def _optimizer(case, variables, multipliers):
    """The case's optimizer, or None where the release's holds no parameter ("released", told in words)."""
    if isinstance(multipliers, str):
        return None
    factors = [(prefix.rstrip("*"), factor) for prefix, factor in multipliers.items()]
    first = {name: next(f for prefix, f in factors if name.startswith(prefix)) for name in variables}
    return NesterovMomentum(
        case["train"]["base_lr"],
        momentum=case["train"]["momentum"],
        l2=1e-4,  # told in words too: on every parameter of both groups
        l2_pattern=".*",
        multipliers=[(variable.path, first[name]) for name, variable in variables.items()],
    )


def _check_update(report, case, arrays, suffix, start, values, number):
    """Digests of values and of changes after `number` steps; of the running statistics after the first, closer."""
    order = [entry["name"] for entry in case["parameters"] if entry["name"] in values]
    changes = {name: value - start[name] for name, value in values.items()}
    norms, dots = (arrays[f"param_{kind}{suffix}"] for kind in ("l2", "dot"))
    report.add(f"param{suffix}", max(_digest_errors(values, order, norms, dots).values()), PARAMETERS[number])
    norms, dots = (arrays[f"update_{kind}{suffix}"] for kind in ("l2", "dot"))
    errors = _digest_errors(changes, order, norms, dots)
    bound, median = UPDATES[number]
    report.add(f"update{suffix}", max(errors.values()), bound)
    report.add(f"update{suffix}_median", np.median(list(errors.values())), median)
    if number == 1:
        statistics = [
            entry["name"] for entry in case["parameters"] if not entry["trainable"] and entry["name"] in errors
        ]
        report.add(f"statistics{suffix}", max(errors[name] for name in statistics), STATISTICS)


def _digest_errors(values, order, norms, dots):
    """{name: the worse error of norm and probe product, relative to the expected norm}."""
    if len(order) != len(norms):
        raise ValueError(f"{len(norms)} digests for {len(order)} parameters")
    floor = 1e-5 * norms.max()  # what does not move at all is compared absolutely
    errors = {}
    for name, norm, dot in zip(order, norms, dots):
        l2, product = kit.digest(name, values[name])
        errors[name] = max(abs(l2 - norm), abs(product - dot)) / max(norm, floor)
    return errors
