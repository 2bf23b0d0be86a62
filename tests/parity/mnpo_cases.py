"""Checks a case of MNPO: forward, maps, boxes, evaluation, ten crops, and training."""

import mnpo_network as network
import numpy as np
from report import Report

from e2wsol.data.pipeline import ten_crops
from e2wsol.localization import protocols
from e2wsol.localization.score_map import to_score_map

NEGATIVE_WEIGHT = 5  # of VGG_MNPO.py: what a negative classifier weight is multiplied by, a positive one by 10


def check(case, arrays):
    """Returns the Report of one MNPO case."""
    report = Report()
    report.part(network.check_thresholds, arrays)
    report.part(network.check_evaluation, arrays, arrays["loc_map"], relative=network.STORED)
    model, variables = network.build(case)
    outputs = network.check_forward(report, arrays, model)
    report.part(network.check_branch_maps, arrays, model, outputs, ("cams1", "cams2"), NEGATIVE_WEIGHT)
    maps = np.asarray(model.localize(arrays["images_uint8"], arrays["labels"])[1])
    score_maps = np.stack([to_score_map(one, network.SIZE, protocols.get("mnpo")) for one in maps])
    report.close("loc_map", score_maps, arrays["loc_map"], relative=network.FORWARD)
    report.part(network.check_boxes, score_maps, arrays["boxes"], arrays["boxes_more"])
    if "tencrop_images_uint8" in arrays:
        report.part(_check_ten_crops, arrays, model)
    report.part(network.check_training, case, arrays, model, variables)
    return report


def _check_ten_crops(report, arrays, model):
    crops = np.asarray(ten_crops(arrays["tencrop_images_uint8"][0], network.SIZE))
    logits = model(crops, training=False)["logits"].numpy()[None]
    report.close("tencrop_logits1_per_crop", logits, arrays["tencrop_logits1_per_crop"], relative=network.FORWARD)
    report.close("tencrop_logits1", logits.mean(axis=1), arrays["tencrop_logits1"], relative=network.FORWARD)
