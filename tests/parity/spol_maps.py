"""What the networks of SPOL's cases compute on the way, under the cases' own names."""

import cv2
import keras
import numpy as np

from e2wsol.localization import protocols
from e2wsol.localization.boxes import boxes_at_levels, to_levels
from e2wsol.localization.frame import Frame, boxes_in_frame
from e2wsol.localization.iou import pairwise_iou
from e2wsol.localization.pseudo_mask import to_foreground
from e2wsol.localization.score_map import to_score_map

SIZE, RESIZED = 224, 256
BOX_AREA = 1e-3


def features(model, images, *, training):
    """Shared vector, product and deepest level, and the model's outputs, as arrays."""
    layers = {"gate_vector": "spol_shared", "fused": "spol_fused", "out5": "spol_resized5"}
    probes = {name: model.get_layer(layer).output for name, layer in layers.items()}
    found = keras.Model(model.inputs, {**model.output, **probes})([images], training=training)
    return {name: value.numpy() for name, value in found.items()}


def _shared_quantities(found, suffix):
    quantities = {f"gate_vector{suffix}": found["gate_vector"][:, 0, 0]}
    for name in ("fused", "out5"):
        quantities[f"{name}{suffix}"] = found[name][..., ::4]
        quantities[f"{name}{suffix}_mean"] = found[name].mean((1, 2))
    return quantities


def cam_maps(model, arrays, *, training):
    """Quantities of the stage "cam": the class maps and their means, in training of both branches."""
    images, channels = arrays["images_uint8"], arrays["map_channels"]
    if training:
        images = images[:, 16:-16, 16:-16]
    found = features(model, images, training=training)
    suffix = "_train" if training else ""
    maps = {"pred": found["class_maps"]}
    logits = {"logits": found["logits"]}
    if training and "deep_logits" in found:
        deep = model.get_layer("spol_head")(found["out5"]).numpy()
        maps = {"pred1": deep, "pred2": found["class_maps"]}
        logits = {"logits1": found["deep_logits"], "logits2": found["logits"]}
    quantities = _shared_quantities(found, suffix)
    for name, value in maps.items():
        quantities[f"{name}_map{suffix}"] = value[..., channels]
        quantities[f"{name}_map{suffix}_max"] = value.max((1, 2))
    quantities |= {f"{name}{suffix}": value for name, value in logits.items()}
    if not training:
        own = model.localize(images, arrays["labels"])[1].numpy()
        quantities["cam_label"] = own / (own.max((1, 2), keepdims=True) + 1e-6)
        quantities["cam_label_256"] = np.stack([to_foreground(one, RESIZED) for one in own])
    return quantities


def seg_maps(model, arrays, *, training):
    """Quantities of the stage "seg": logits at both sizes, and what the pseudo masks teach."""
    images = arrays["images_uint8"]
    found = features(model, images, training=training)
    suffix = "_train" if training else ""
    quantities = _shared_quantities(found, suffix)
    quantities[f"seg_logits{suffix}"] = found["map"][..., None]
    protocol = protocols.get("spol")
    probabilities = np.stack([to_score_map(one, SIZE, protocol) for one in found["map"]])
    logits = np.log(probabilities) - np.log1p(-probabilities)
    quantities[f"seg_logits_224{suffix}_sub7"] = logits[:, ::7, ::7]
    if training:
        target, weight = model.target_and_weight(arrays["pseudo_uint8"])
        quantities |= {"train_mask": target, "train_weight": weight}
    else:
        quantities["seg_prob_224"] = probabilities
    return quantities


def check_boxes(report, model, case, arrays):
    """Boxes of the maps, true boxes in the frame, IoU and hits."""
    protocol, threshold = protocols.get("spol"), case["train"]["seg_threshold"]
    maps = model.localize(arrays["images_uint8"])[1].numpy()
    score_maps = [to_score_map(one, SIZE, protocol) for one in maps]
    boxes = np.stack([boxes_at_levels(*to_levels(m, [threshold], protocol), protocol)[0] for m in score_maps])
    report.add("box", np.abs(boxes - arrays["box"]).max(), 1)
    areas = [_largest_area(score_map > threshold) for score_map in score_maps]
    report.close("box_area", areas, arrays["box_area"], relative=BOX_AREA)
    truths = [_true_boxes(arrays["gt_boxes_listed"], index, protocol) for index in range(len(boxes))]
    report.close("gt_boxes_net", np.concatenate(truths), arrays["gt_boxes_net"][:, 1:], relative=1e-5)
    ious = [pairwise_iou(box[None], truth, protocol.iou_extent)[0] for box, truth in zip(boxes, truths)]
    report.close("iou", np.concatenate(ious), arrays["iou"], relative=1e-5)
    hits = [bool(len(found)) and protocol.is_hit(found.max(), 0.5) for found in ious]
    report.equal("correct", hits, arrays["correct"])


def _true_boxes(listed, index, protocol):
    own = listed[listed[:, 0] == index, 1:]
    return boxes_in_frame(own, (RESIZED, RESIZED), Frame(size=SIZE, resize=RESIZED), protocol)


def _largest_area(mask):
    contours = cv2.findContours(mask.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    return max(map(cv2.contourArea, contours), default=0.0)
