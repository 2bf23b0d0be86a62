"""Checks the forward part of a DGL case: logits, and features, gradients and maps at each target layer."""

import keras
import kit
import numpy as np

from e2wsol.localization import protocols
from e2wsol.localization.score_map import to_score_map
from e2wsol.localizers.formulas import cost, dual_gradients, normalized
from e2wsol.localizers.layer_gradients import LayerGradients
from e2wsol.releases import dgl_end_point

# Of the kit's README; below the first target layer a ReLU that flips by rounding moves maps and gradients.
FORWARD, L2, DOT, HEATMAP, BELOW = 1e-3, 1e-3, 2e-2, 1e-3, 5e-3
NOISE = 5


def check_maps(report, case, arrays, model):
    """Compares everything that the localization of the case computes."""
    bounds = _Bounds(case)
    inputs = np.asarray(model.backbone.get_layer("preprocessing")(arrays["images_uint8"]))
    _digests(report, arrays, "inputs", "inputs", inputs, bounds)
    layers = {layer: dgl_end_point(layer) for layer in case["target_layers"]}
    run = LayerGradients(model, tuple(layers.values()))(arrays["images_uint8"])
    logits = np.asarray(run.outputs["logits"])
    classes, probabilities = logits.argmax(1), np.asarray(keras.ops.softmax(logits))
    chosen = np.eye(logits.shape[1], dtype=np.float32)[classes]
    cotangent = np.asarray(cost(logits, chosen, case["pa"]))
    report.equal("pred_class", classes, arrays["pred_class"])
    forward = {
        "logits": logits,
        "probabilities": probabilities,
        "grad_cost_logits": cotangent,
        "cost_H": np.sum(logits * chosen, axis=1),
        "cost": -case["pa"] * np.log(np.sum(probabilities * chosen, axis=1)),
    }
    for name, value in forward.items():
        report.close(name, value, arrays[name], relative=bounds(name, FORWARD))
    _check_cam(report, arrays, run.outputs["features"], model, classes, bounds)
    by_logit, by_cost = run.gradients([{"logits": chosen}, {"logits": cotangent}])
    for number, (layer, ours) in enumerate(layers.items()):
        parts = tuple(np.asarray(values[ours]) for values in (run.features, by_logit, by_cost))
        below = BELOW if number else FORWARD
        _check_layer(report, arrays, layer, parts, below, bounds)
        _check_localize(report, arrays, layer, ours, model, below, bounds)


class _Bounds:
    """The larger of a bound and five times what other kernels moved the array."""

    def __init__(self, case):
        self.noise = case.get("noise", {})

    def __call__(self, quantity, table):
        return max(table, NOISE * self.noise.get(quantity, 0.0))


def _check_cam(report, arrays, features, model, classes, bounds):
    kernel = model.get_layer("linear").kernel.numpy()
    cam = np.stack([np.asarray(f) @ kernel[:, c] for f, c in zip(features, classes)])
    report.close("cam", cam, arrays["cam"], relative=bounds("cam", FORWARD))
    report.close("cam_heatmap", _heatmaps(cam), arrays["cam_heatmap"], relative=bounds("cam_heatmap", HEATMAP))


def _heatmaps(maps, size=224):
    return np.stack([to_score_map(np.asarray(each), size, protocols.get("dgl")) for each in maps])


def _check_layer(report, arrays, layer, parts, below, bounds):
    """Features, both gradients, the enhanced map and the final one of one layer."""
    features, by_logit, by_cost = parts
    enhanced = np.asarray(normalized(features) - normalized(by_cost))
    named = {"feature": features, "grad_H": by_logit, "grad_cost": by_cost, "enhanced": enhanced}
    for kind, values in named.items():
        _digests(report, arrays, f"{layer}/{kind}", kind, values, bounds)
    maps = {"enhanced_sum": enhanced.sum(-1), "pcs_map": np.asarray(dual_gradients(features, by_logit, by_cost))}
    for kind, values in maps.items():
        name = f"{layer}/{kind}"
        report.close(kind, values, arrays[name], relative=bounds(name, below))


def _check_localize(report, arrays, layer, ours, model, below, bounds):
    """The method's own localization of the predicted class."""
    name = f"{layer}/heatmap"
    _, maps = at_layer(model, ours).localize(arrays["images_uint8"])
    report.close("heatmap", _heatmaps(maps), arrays[name], relative=bounds(name, below))


def at_layer(model, layer):
    """The same network and weights, localizing in another layer."""
    config = model.get_config()
    config["options"] = {**config["options"], "dgl_layer": layer}
    other = type(model).from_config(config)
    other.set_weights(model.get_weights())
    return other


def _digests(report, arrays, name, quantity, values, bounds):
    """L2 norm and probe product of each picture's values (B, h, w, c)."""
    ours = np.array([kit.digest(name, each) for each in values])
    norms = arrays[f"{name}_l2"]
    l2_error = np.abs(ours[:, 0] - norms) / norms
    dot_error = np.abs(ours[:, 1] - arrays[f"{name}_dot"]) / norms
    report.add(f"{quantity}_l2", l2_error.max(), bounds(f"{name}_l2", L2))
    report.add(f"{quantity}_dot", dot_error.max(), DOT)
