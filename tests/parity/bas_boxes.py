"""Checks what a BAS case holds about boxes and scores: everything that needs no network."""

import dataclasses

import numpy as np

from e2wsol.localization import protocols
from e2wsol.localization.boxes import boxes_at_levels, to_levels
from e2wsol.localization.frame import boxes_in_frame
from e2wsol.localization.graph import extract_boxes
from e2wsol.localization.iou import pairwise_iou
from e2wsol.localization.metrics import LocalizationScorer
from e2wsol.localization.score_map import to_score_map

SIZE = 224
STORED_BOUND = 1e-6  # the kit stores boxes of the truth, IoUs and scores as float32
MAP_BOUND = 2e-7  # cv2.resize itself differs in the last bit between machines


def check_boxes(report, case, arrays):
    """Adds the case's stored and hand-made maps, IoUs, true boxes and scores to the Report.

    Args:
      report: Report.
      case: dict of case.json.
      arrays: dict of arrays.npz.
    """
    protocol = dataclasses.replace(protocols.get("bas"), default_threshold=case["evaluation"]["threshold"])
    _check_maps(report, arrays, protocol, final_map_name(case))
    _check_sweeps(report, arrays, protocol)
    _check_truth(report, arrays, protocol)
    _check_averages(report, arrays, protocol)


def final_map_name(case):
    """The array that the authors' inference makes boxes of; without top-k it is the label's own map."""
    count = case["evaluation"].get("top_k") or 1
    return "x_saliency" if count == 1 else f"x_saliency_top{count}"


def check_evaluation(report, case, arrays):
    """Adds what the kit's evaluation case holds of this reference: its two data sets, five thresholds."""
    results = case["results"]["bas"]
    for column, result in enumerate(results):
        protocol = dataclasses.replace(
            protocols.get("bas"),
            default_threshold=result["threshold"],
            first_box_only=result["variant"] == "CUB",
        )
        scorer = LocalizationScorer(protocol, protocol.frame(SIZE), iou_thresholds=(0.5,))
        _check_variant(report, arrays, scorer, column, result)


def _check_variant(report, arrays, scorer, column, result):
    index = scorer.index_of(result["threshold"])
    for picture, localization_map in enumerate(arrays["maps"]):
        boxes = arrays["gt_boxes"][picture, : arrays["gt_count"][picture]]
        facts = {"image_size": arrays["image_size"][picture], "label": arrays["label"][picture]}
        outcome = scorer.update(localization_map, boxes=boxes, top5=arrays["top5"][picture], **facts)
        report.equal("bas_boxes", outcome.prediction.boxes[index], arrays["bas_boxes"][picture, column])
        truth = arrays["bas_gt_boxes"][picture, : len(outcome.true_boxes)]
        report.close("bas_truth", outcome.true_boxes, truth, relative=STORED_BOUND)
        report.add("bas_iou", abs(outcome.ious[index] - arrays["bas_iou"][picture, column]), STORED_BOUND)
        report.equal("bas_hits", outcome.hits[0, index], arrays["bas_hit_known"][picture, column])
    total = scorer.total()
    for row, name in enumerate(("known", "top1", "top5")):
        report.equal("bas_counts", total.hits[row, 0, index], arrays[f"bas_hit_{name}"][:, column].sum())
        report.close("bas_scores", scorer.shares()[row, 0, index], result[f"{name}_class_mean"], relative=1e-12)
        pictures = total.hits[row, 0, index] / total.located
        report.close("bas_picture_shares", pictures, result[f"{name}_image_mean"], relative=1e-12)


def _check_maps(report, arrays, protocol, final_name):
    """Boxes at the authors' threshold, by NumPy and by the graph, and the score map before it."""
    expected = {
        "box_x_saliency": (arrays["x_saliency"][..., 0], arrays["box_x_saliency"]),
        "final_box": (arrays[final_name][..., 0], arrays["final_box"]),
        "unit_box": (arrays["unit_map"], arrays["unit_box"]),
    }
    for name in arrays:
        if name.startswith("box_x_saliency_"):
            expected[name] = arrays[name.removeprefix("box_")][..., 0], arrays[name]
    for name, (maps, boxes) in expected.items():
        threshold = protocol.default_threshold
        report.equal(name, [_boxes(one, [threshold], protocol)[0] for one in maps], boxes)
        graph = extract_boxes(maps, size=SIZE, threshold=threshold, protocol=protocol)[1]
        report.equal(f"{name}_graph", np.array(graph), boxes)
    score_maps = [to_score_map(one, SIZE, protocol) for one in expected["final_box"][0]]
    report.add("final_map", np.abs(score_maps - arrays["final_map"]).max(), MAP_BOUND)


def _check_sweeps(report, arrays, protocol):
    """Boxes at other thresholds: of the authors' own score maps, and of the hand-made maps."""
    thresholds = arrays["sweep_thresholds"]
    found = [_boxes_of_score_map(one.astype(np.float64), thresholds, protocol) for one in arrays["final_map"]]
    report.equal("sweep_box", np.swapaxes(found, 0, 1), arrays["sweep_box"])
    found = [_boxes(one, thresholds, protocol) for one in arrays["unit_map"]]
    report.equal("unit_sweep_box", np.swapaxes(found, 0, 1), arrays["unit_sweep_box"])


def _boxes(localization_map, thresholds, protocol):
    return _boxes_of_score_map(to_score_map(localization_map, SIZE, protocol), thresholds, protocol)


def _boxes_of_score_map(score_map, thresholds, protocol):
    return boxes_at_levels(*to_levels(score_map, thresholds, protocol), protocol)


def _check_truth(report, arrays, protocol):
    """IoUs, true boxes in the crop, and the IoU of the stored boxes with them."""
    ious = np.diag(pairwise_iou(arrays["iou_a"], arrays["iou_b"], protocol.iou_extent))
    report.close("iou", ious, arrays["iou"], relative=STORED_BOUND)
    frame = protocol.frame(SIZE)
    pairs = zip(arrays["gt_original"], arrays["gt_size_wh"])
    truth = [boxes_in_frame(boxes, size, frame, protocol) for boxes, size in pairs]
    report.close("gt_crop", truth, arrays["gt_crop"], relative=STORED_BOUND)
    best = [pairwise_iou([box], boxes, protocol.iou_extent).max() for box, boxes in zip(arrays["final_box"], truth)]
    report.close("gt_iou", best, arrays["gt_iou"], relative=STORED_BOUND)


def _check_averages(report, arrays, protocol):
    """The table of samples, counted by the scorer: an IoU of 0.5 is no hit, classes weigh the same."""
    scorer = LocalizationScorer(protocol, protocol.frame(SIZE), iou_thresholds=(0.5,))
    for label, iou, top5 in zip(arrays["metric_class"], arrays["metric_iou"], arrays["metric_top5"]):
        scorer.update_ious(np.full(len(scorer.thresholds), iou, np.float64), label=label, top5=top5)
    known, top1, top5 = (score.value for score in scorer.scores(protocol.default_threshold))
    report.close("metric_result", [top1, top5, known], arrays["metric_result"], relative=STORED_BOUND)
