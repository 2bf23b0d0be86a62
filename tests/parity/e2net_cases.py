"""Checks a case of E2Net: forward, map, boxes, losses, gradients, and weights after optimizer steps."""

import re

import keras
import kit
import numpy as np
import tensorflow as tf
from report import Report

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.localization import protocols
from e2wsol.localization.boxes import boxes_at_levels, levels_at
from e2wsol.localization.iou import pairwise_iou
from e2wsol.localization.score_map import gray_table, to_gray, to_score_map
from e2wsol.methods.e2net import E2NetOptions
from e2wsol.releases import e2net_gating_position
from e2wsol.training.optimizers import NesterovMomentum

BACKBONES = {"vgg_gap": "vgg16", "resnet50_se": "resnet50_se"}
FUSIONS = {"vgg_gap": "feature_max", "resnet50_se": "cam_max_shared"}
HEADS = {"": "original", "_1x3": "horizontal", "_3x1": "vertical"}  # theirs -> ours
# Bounds of the kit's README, and of the cases' tolerance notes for what it leaves open.
FORWARD, LOSS, LATER_LOSS = 1e-3, 1e-4, 5e-4
GRADIENT, GRADIENT_MEDIAN = 2e-2, 1e-3
UPDATES = {1: (2e-2, 2e-3), 3: (1e-1, 2e-2)}
STATISTICS = 1e-3
GRAY_LEVELS, GRAY_SHARE = 2, 1e-3


def check(case, arrays):
    """Returns the Report of one E2Net case."""
    report = Report()
    report.part(_check_boxes_of_maps, case, arrays)
    thresholds = [case["config"]["aae_threshold"], *case["config"].get("extra_aae_thresholds", [])]
    for index, threshold in enumerate(thresholds):
        prefix = f"erase{index}_" if index else ""
        own = kit.Arrays(
            {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
        )
        for shared in ("images_uint8", "labels", "gt_boxes"):
            own[shared] = arrays[shared]
        model, variables = build(case, threshold)
        report.part(_check_forward, prefix, own, model)
        report.part(_check_attention, prefix, own, model, case)
        report.part(_check_maps, prefix, own, model, case)
        report.part(_check_training, prefix, own, model, case, variables)
    return report


def build(case, threshold):
    """E2Net as the case describes it with the case's weights, and {authors' name: our variable}."""
    config, backbone = case["config"], BACKBONES[case["backbone"]]
    positions = [e2net_gating_position(number, backbone) for number in config["gating_position"]]
    options = E2NetOptions(
        mae_positions=tuple(positions),
        mae_threshold=threshold,
        ose_batch_norm=case["backbone"] == "resnet50_se" and bool(config["use_bn"]),
        ose_fusion=FUSIONS[case["backbone"]],
    )
    model = methods.create(
        "e2net",
        backbone=BackboneOptions(backbone=backbone),
        image_size=config["final_size"],
        num_classes=case["num_classes"],
        options=[options],
    )
    return model, kit.fill(model, case)


def _check_boxes_of_maps(report, case, arrays):
    """The chain from map to boxes on hand-made maps, without a network."""
    protocol, size = protocols.get("e2net"), arrays["unit_gray"].shape[1]
    report.equal("gray_table", gray_table(protocol.colormap), arrays["colormap_gray"])
    thresholds = case["config"]["thresholds"]
    score_maps = [to_score_map(m, size, protocol) for m in arrays["unit_maps"]]
    _gray_differences(report, "unit_gray", score_maps, arrays["unit_gray"], protocol)
    report.add("unit_boxes_px", np.abs([_boxes(m, thresholds) for m in score_maps] - arrays["unit_boxes"]).max(), 1)
    pairs = arrays["iou_pairs"].astype(np.float64)
    ious = [pairwise_iou(pair[None, :4], pair[None, 4:], protocol.iou_extent)[0, 0] for pair in pairs]
    report.close("iou", ious, arrays["iou_values"], relative=1e-6)


def _gray_differences(report, quantity, score_maps, expected, protocol):
    gray = np.stack([to_gray(score_map, protocol) for score_map in score_maps]).astype(int)
    differences = np.abs(gray - expected)
    report.add(quantity, differences.max(), GRAY_LEVELS)
    report.add(f"{quantity}_share", np.mean(differences > 0), GRAY_SHARE)


def _boxes(score_map, thresholds):
    protocol = protocols.get("e2net")
    gray = to_gray(score_map, protocol)
    return boxes_at_levels(gray, levels_at(gray, thresholds), protocol)


def _check_forward(report, prefix, arrays, model):
    outputs = {name: value.numpy() for name, value in model(arrays["images_uint8"], training=False).items()}
    close = _closer(report, prefix, arrays)
    close("logits_sum", outputs["logits"])
    close("ce_inference", _cross_entropy(outputs["logits"], arrays["labels"]), LOSS)
    wrong = _top(outputs["logits"], 1)[:, 0] != arrays["labels"]
    report.equal(prefix + "wrong_top1", wrong, arrays["wrong_top1"])
    for suffix, head in HEADS.items():
        logits, features = outputs[f"{head}_logits"], outputs[f"{head}_features"]
        close(f"logits{suffix}", logits)
        report.equal(f"{prefix}top5{suffix}", _top(logits, 5), arrays[f"top5{suffix}"])
        close(f"convmap{suffix}_c8", features[..., ::8])
        close(f"convmap{suffix}_gap", features.mean((1, 2)))
        close(f"convmap{suffix}_chmean", features.mean(-1))
        close(f"convmap{suffix}_chmax", features.max(-1))
        kernel = model.get_layer(f"{head}_linear").kernel.numpy()
        close(f"avg_grad{suffix}", kernel[:, arrays["labels"]].T / np.prod(features.shape[1:3]))


def _closer(report, prefix, arrays):
    """A function that compares one forward quantity, where the case has it."""

    def close(quantity, ours, relative=FORWARD):
        if quantity in arrays:
            report.close(prefix + quantity, ours, arrays[quantity], relative=relative)

    return close


def _top(logits, count):
    return np.argsort(-logits, axis=1, kind="stable")[:, :count]


def _cross_entropy(logits, labels):
    return float(np.mean(keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)))


def _check_attention(report, prefix, arrays, model, case):
    """Attention, mask and output of every MAE layer."""
    close, trunk = _closer(report, prefix, arrays), model.backbone
    for number in case["config"]["gating_position"]:
        position = e2net_gating_position(number, model.backbone_options.backbone)
        layer = trunk.get_layer(f"mae_{position}")
        part = keras.Model(trunk.inputs[0], [layer.input, layer.output])
        inputs, outputs = part(arrays["images_uint8"], training=False)
        attention = layer.attention(inputs).numpy()[..., 0]
        close(f"mae_{number}_attention", attention)
        report.equal(f"{prefix}mae_{number}_mask", attention < layer.threshold, arrays[f"mae_{number}_mask"])
        close(f"mae_{number}_out_chmean", outputs.numpy().mean(-1))


def _check_maps(report, prefix, arrays, model, case):
    """The fused map, its boxes at every threshold, and the hits."""
    protocol, size = protocols.get("e2net"), arrays["images_uint8"].shape[1]
    maps = model.localize(arrays["images_uint8"], arrays["labels"])[1].numpy()
    score_maps = np.stack([to_score_map(m, size, protocol) for m in maps])
    close = _closer(report, prefix, arrays)
    close("cam_lowres", maps)
    close("cam_map", score_maps)
    if "cam_gray" in arrays:
        _gray_differences(report, prefix + "cam_gray", score_maps, arrays["cam_gray"], protocol)
    config = case["config"]
    boxes = np.stack([_boxes(score_map, config["thresholds"]) for score_map in score_maps])
    report.add(prefix + "boxes_px", np.abs(boxes - arrays["boxes_by_threshold"]).max(), 1)
    box = np.stack([_boxes(score_map, [config["cam_threshold"]])[0] for score_map in score_maps])
    report.add(prefix + "box_px", np.abs(box - arrays["box"]).max(), 1)
    truth = protocol.round_truth(arrays["gt_boxes"].astype(np.float64))
    ious = np.array([pairwise_iou(b[None], t[None], protocol.iou_extent)[0, 0] for b, t in zip(box, truth)])
    hits = protocol.is_hit(ious, 0.5)
    report.equal(prefix + "gt_known_hit", hits, arrays["gt_known_hit"])
    report.equal(prefix + "top1_loc_hit", hits & (arrays["wrong_top1"] == 0), arrays["top1_loc_hit"])


def _check_training(report, prefix, arrays, model, case, variables):
    """Losses, gradient digests and, where the case has them, three optimizer steps."""
    decay = case["train"]["weight_decay"]
    optimizer = NesterovMomentum(
        case["train"]["base_lr"],
        momentum=case["train"]["momentum"],
        l2=decay["value"],
        l2_pattern="|".join(variables[name].path for name in decay["variables"]),
        multipliers=[(variables[name].path, _multiplier(case, name)) for name in variables],
    )
    optimizer.build(model.trainable_variables)
    by_id = {id(variable): name for name, variable in variables.items()}
    names = [by_id[id(variable)] for variable in model.trainable_variables]
    start = {name: variable.numpy().astype(np.float64) for name, variable in variables.items()}
    penalty = 0.5 * decay["value"] * sum(np.sum(start[name] ** 2) for name in decay["variables"])
    step = tf.function(lambda: _gradients(model, arrays["images_uint8"], arrays["labels"]))
    loss, logits, gradients = step()
    close = _closer(report, prefix, arrays)
    close("loss_ce", float(loss), LOSS)
    close("loss_l2", penalty, LOSS)
    close("loss_total", float(loss) + penalty, LOSS)
    close("train_logits_sum", logits.numpy())
    trainable = [entry["name"] for entry in case["parameters"] if entry["trainable"]]
    found = {name: gradient.numpy() for name, gradient in zip(names, gradients)}
    floor = _Floor(case, prefix)
    _check_digests(report, floor, found, trainable, arrays, "grad", "", GRADIENT, GRADIENT_MEDIAN)
    for number in range(1, 4):
        if f"delta_l2_step{3 if number > 1 else 1}" not in arrays:
            break
        optimizer.apply(gradients, model.trainable_variables)
        if number in UPDATES:
            changes = {name: variable.numpy() - start[name] for name, variable in variables.items()}
            order = [entry["name"] for entry in case["parameters"]]
            suffix = f"_step{number}"
            _check_digests(report, floor, changes, order, arrays, "delta", suffix, *UPDATES[number])
            if number == 1:
                _check_statistics(report, variables, case, arrays)
        if number < 3:
            loss, _, gradients = step()
            close(f"loss_ce_after_step{number}", float(loss), LATER_LOSS)


def _multiplier(case, name):
    """The case's learning-rate multiplier of a variable: the first pattern that meets the whole name."""
    patterns = case["train"]["lr_multipliers"]["patterns"]
    return next((factor for pattern, factor in patterns if re.match(pattern + "$", name)), 1.0)


def _gradients(model, images, labels):
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        loss = model.compute_loss(images, labels, outputs)
    return loss, outputs["logits"], tape.gradient(loss, model.trainable_variables)


class _Floor:
    """How far a second float32 run of the original moved a quantity; four times that is allowed."""

    def __init__(self, case, prefix):
        self.prefix, self.moved = prefix, case.get("measured", {}).get("cross_run", {})

    def bound(self, quantity, table, kind):
        """The larger of the kit's bound and four times the floor; `kind` is "max" or "median"."""
        moved = self.moved.get(self.prefix + quantity, {})
        return max(table, 4 * moved.get(kind, 0.0))


def _check_digests(report, floor, values, names, arrays, stem, suffix, bound, median_bound):
    """Norms and probe products, relative to the expected norm of each parameter; and their medians."""
    norms, dots = arrays[f"{stem}_l2{suffix}"], arrays[f"{stem}_dot{suffix}"]
    largest = norms.max()
    errors = {"l2": [], "dot": []}
    for name, norm, dot in zip(names, norms, dots):
        l2, product = kit.digest(name, values[name])
        # A bias in front of a batch norm has gradient zero, so its digest is compared absolutely.
        scale = max(norm, 1e-5 * largest)
        errors["l2"].append(abs(l2 - norm) / scale)
        errors["dot"].append(abs(product - dot) / scale)
    for kind, found in errors.items():
        quantity = f"{stem}_{kind}{suffix}"
        report.add(floor.prefix + quantity, max(found), floor.bound(quantity, bound, "max"))
        median = floor.bound(quantity, median_bound, "median")
        report.add(f"{floor.prefix}{quantity}_median", np.median(found), median)


def _check_statistics(report, variables, case, arrays):
    """Running means and variances after the first step."""
    for index, entry in enumerate(case["parameters"]):
        if not entry["trainable"]:
            l2, _ = kit.digest(entry["name"], variables[entry["name"]].numpy())
            expected = arrays["param_l2_step1"][index]
            report.add("statistics", abs(l2 - expected) / expected, STATISTICS)
