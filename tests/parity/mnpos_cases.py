"""Checks a case of MNPOs: forward, gradients and maps at every main layer, boxes, evaluation, and training."""

import kit
import mnpo_network as network
import numpy as np
from precision import float64
from report import Report

from e2wsol.localization import protocols
from e2wsol.localization.score_map import to_score_map
from e2wsol.localizers.layer_gradients import LayerGradients
from e2wsol.methods.base import class_activation_maps
from e2wsol.methods.mnpo import MNPOOptions, emphasized
from e2wsol.methods.mnpos import enhanced, gradient_maps, loss_cotangents

NEGATIVE_WEIGHT = 4  # of VGG_MNPOs.py: what a negative weight is multiplied by, a positive one by 8
POSITIVE_WEIGHT = 2.0  # their ratio
# A ReLU that flips by rounding moves a whole map; the original's float32 run and a float64 one have none flipped.
FLIPPED = 1e-2
OF_THE_LAYER = (
    *("cams1", "loc_map", "boxes", "boxes_more", "eval_iou", "eval_num_correct", "eval_errors", "grad_weight"),
    *("grad_weight_raw", "grad_weight_raw_branch", "feature_l2", "loss_grad_l2", "loss_grad_branch_l2"),
    *("enhanced_spatial_mean", "enhanced_channel_mean"),
)


def check(case, arrays):
    """Returns the Report of one MNPOs case."""
    report = Report()
    report.part(network.check_thresholds, arrays)
    of_layers = {layer: _of_layer(arrays, layer, alone=not n) for n, layer in enumerate(case["main_layers"])}
    with float64():
        report.part(_check_gradients, of_layers, case)
    for layer, of_layer in of_layers.items():
        model, variables = network.build(case, [MNPOOptions(layer=layer)])
        maps = np.asarray(model.localize(arrays["images_uint8"], arrays["labels"])[1])
        if "loc_map" in of_layer:
            report.close(f"{layer}/float32_loc_map", _score_maps(maps), of_layer["loc_map"], relative=FLIPPED)
    outputs = network.check_forward(report, arrays, model)
    names = ("cams1_weights", "cams2_weights")
    report.part(network.check_branch_maps, arrays, model, outputs, names, NEGATIVE_WEIGHT)
    report.part(_check_plain_branch_map, arrays, model, outputs)
    report.part(network.check_training, case, arrays, model, variables)
    return report


def _of_layer(arrays, layer, alone):
    """The case's arrays with those of this main layer under their plain names.

    They hold the layer's name ("cams1_conv5_2"); those of the only or first one may be plain already.
    """
    found = kit.Arrays({name: value for name, value in arrays.items() if alone or name not in OF_THE_LAYER})
    for name, value in arrays.items():
        if layer in name:
            found["_".join(part.strip("_") for part in name.split(layer) if part.strip("_"))] = value
    return found


def _check_gradients(report, of_layers, case):
    """All that depends on the main layer, in the order in which it is computed; see FLIPPED for the precision."""
    model, _ = network.build(case)
    images, labels = (next(iter(of_layers.values()))[name] for name in ("images_uint8", "labels"))
    forward = LayerGradients(model, list(of_layers))(images)
    logits = {name: forward.outputs[name] for name in ("logits", "branch_logits")}
    chosen = np.eye(model.num_classes)[labels]
    evidence, loss = dict.fromkeys(logits, chosen), loss_cotangents(logits, chosen)
    branches = [{"branch_logits": weights["branch_logits"]} for weights in (evidence, loss)]
    found = forward.gradients([evidence, branches[0], loss, branches[1]])
    for layer, arrays in of_layers.items():
        gradients = [np.asarray(each[layer]) for each in found]
        _check_layer(report, layer, arrays, np.asarray(forward.features[layer]), *gradients)


def _check_layer(report, layer, arrays, features, evidence, branch_evidence, loss, branch_loss):
    def close(name, ours):
        if name in arrays:
            report.close(f"{layer}/{name}", ours, arrays[name], relative=network.FORWARD)
        else:
            report.miss(f"{layer}/{name}")

    weights = evidence.sum((1, 2))
    close("grad_weight_raw", weights)
    close("grad_weight_raw_branch", branch_evidence.sum((1, 2)))
    close("grad_weight", NEGATIVE_WEIGHT * np.asarray(emphasized(weights, POSITIVE_WEIGHT)))
    close("feature_l2", _norms(features))
    close("loss_grad_l2", _norms(loss))
    close("loss_grad_branch_l2", _norms(branch_loss))
    ours = np.asarray(enhanced(features, loss))
    close("enhanced_spatial_mean", ours.mean((1, 2)))
    close("enhanced_channel_mean", ours.mean(-1, keepdims=True))
    maps = np.asarray(gradient_maps(features, evidence, loss, POSITIVE_WEIGHT))
    close("cams1", maps[..., None] * NEGATIVE_WEIGHT / features.shape[-1])
    score_maps = _score_maps(maps)
    close("loc_map", score_maps)
    if "boxes" in arrays:
        network.check_boxes(report, score_maps, arrays["boxes"], arrays["boxes_more"], f"{layer}/")
    if "eval_iou" in arrays:
        network.check_evaluation(report, arrays, arrays["loc_map"], relative=network.STORED)


def _score_maps(maps):
    return np.stack([to_score_map(one, network.SIZE, protocols.get("mnpo")) for one in maps])


def _norms(x):
    return np.sqrt(np.sum(np.square(x, dtype=np.float64), axis=(1, 2, 3)))


def _check_plain_branch_map(report, arrays, model, outputs):
    """The class map of the branch by unmodified weights, which the release returns and never uses."""
    features, kernel = outputs["branch_features"], model.get_layer("linear").kernel
    maps = np.asarray(class_activation_maps(features, kernel, arrays["labels"][:, None]))
    maps = np.moveaxis(maps, 1, -1) * np.prod(maps.shape[-2:]) / network.FEATURES
    report.close("cams2", maps, arrays["cams2"], relative=network.FORWARD)
