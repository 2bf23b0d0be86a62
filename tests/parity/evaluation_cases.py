"""Checks a case of the kit's evaluation kind: maps, boxes, hits and scores of several references."""

import dataclasses

import numpy as np
from bas_boxes import check_evaluation
from report import Report

from e2wsol.localization import protocols
from e2wsol.localization.boxes import levels_at
from e2wsol.localization.frame import Frame
from e2wsol.localization.ground_truth import mask_in_frame
from e2wsol.localization.metrics import LocalizationScorer
from e2wsol.localization.pxap import PixelCounter
from e2wsol.localization.score_map import gray_table, to_gray

IOU_BOUND = 1e-6  # the kit stores IoUs as float32
SCORE_BOUND = 1e-12


def check(case, arrays):
    """Returns the Report of everything in the case that a protocol of the library covers."""
    report = Report()
    _check_maxboxacc(report, case, arrays)
    _check_pxap(report, case, arrays)
    _check_e2net(report, case, arrays)
    check_evaluation(report, case, arrays)
    for reference in sorted(set(case["references"]) - {"versions", "wsolevaluation", "e2net", "bas"}):
        report.miss(reference)
    report.miss("wsolevaluation multi-contour (maxboxaccv2)")
    return report


def _pictures(arrays):
    """Yields what the scorer needs of each picture, by keyword."""
    for index, count in enumerate(arrays["gt_count"]):
        yield {
            "boxes": arrays["gt_boxes"][index, :count],
            "image_size": arrays["image_size"][index],
            "label": arrays["label"][index],
            "top5": arrays["top5"][index],
        }


def _check_maxboxacc(report, case, arrays):
    thresholds = np.arange(0, 1, 1 / arrays["wsol_level"].shape[1])
    protocol = dataclasses.replace(
        protocols.get("maxboxacc"), thresholds=tuple(thresholds), default_threshold=thresholds[0]
    )
    ious_at = sorted(int(percent) / 100 for percent in case["results"]["wsolevaluation"]["single"]["max_box_acc"])
    scorer = LocalizationScorer(protocol, protocol.frame(case["map_size"][0]), iou_thresholds=ious_at)
    levels, boxes, ious, truth = [], [], [], []
    for score_map, picture in zip(arrays["maps"].astype(np.float64), _pictures(arrays)):
        outcome = scorer.score(scorer.locate_in(score_map), **picture)
        levels.append(levels_at(to_gray(score_map, protocol), scorer.thresholds))
        boxes.append(outcome.prediction.boxes)
        ious.append(outcome.ious)
        truth.append(_pad(outcome.true_boxes, arrays["wsol_gt_boxes"].shape[1]))
    report.equal("wsol_levels", levels, arrays["wsol_level"])
    report.equal("wsol_boxes", boxes, arrays["wsol_single_boxes"])
    report.equal("wsol_truth", truth, arrays["wsol_gt_boxes"])
    report.close("wsol_iou", ious, arrays["wsol_iou_single"], relative=IOU_BOUND)
    report.equal("wsol_counts", scorer.hits[0], arrays["wsol_num_correct_single"])
    _check_maxboxacc_scores(report, case, scorer)


def _check_maxboxacc_scores(report, case, scorer):
    results = case["results"]["wsolevaluation"]
    for percent, expected in results["single"]["max_box_acc"].items():
        iou = int(percent) / 100
        report.close("wsol_maxboxacc", 100 * scorer.max_box_acc(iou).value, expected, relative=SCORE_BOUND)
        best = scorer.index_of(scorer.best(iou))
        report.equal("wsol_best_index", best, results["single"]["first_best_threshold_index"][percent])
    half = scorer.iou_thresholds.index(0.5)
    for row, name in ((1, "top1"), (2, "top5")):
        expected = results["not_in_the_reference"][f"{name}_num_correct_max_50"]
        report.equal(f"wsol_{name}", scorer.hits[row, half].max(), expected)


def _check_pxap(report, case, arrays):
    total = PixelCounter()
    singles, masks = [], []
    side = case["map_size"][0]
    for number, index in enumerate(arrays["mask_case"]):
        one = PixelCounter()
        masks.append(mask_in_frame(_joint_mask(arrays, number), Frame(size=side, resize=side)))
        one.add(arrays["maps"][index].astype(np.float64), masks[-1])
        total.merge(one)
        singles.append(one)
    report.equal("pxap_masks", masks, arrays["gt_mask"])
    report.equal("pxap_hist_pos", [one.object_pixels for one in singles], arrays["pxap_hist_pos"])
    report.equal("pxap_hist_neg", [one.background_pixels for one in singles], arrays["pxap_hist_neg"])
    for name, ours in zip(("pxap_precision", "pxap_recall"), total.precision_recall()):
        report.equal(name + "_gaps", np.isnan(ours), np.isnan(arrays[name]))
        report.close(name, np.nan_to_num(ours), np.nan_to_num(arrays[name]), relative=IOU_BOUND)
    expected = case["results"]["pxap"]
    report.close("pxap", 100 * total.value(), expected["PxAP"], relative=SCORE_BOUND)
    report.close("pxap_per_map", [100 * one.value() for one in singles], expected["per_map"], relative=SCORE_BOUND)


def _joint_mask(arrays, number):
    """One mask of 0, 1 and 255 at the original size; objects win over ignored regions."""
    ignored = np.where(arrays[f"ignore_raw_{number}"] > 0, 255, 0)
    return np.where(arrays[f"mask_raw_{number}"].any(axis=0), 1, ignored).astype(np.uint8)


def _check_e2net(report, case, arrays):
    protocol = protocols.get("e2net")
    report.equal("e2net_gray_table", gray_table(protocol.colormap), arrays["e2net_gray_lut"])
    results = case["results"]["e2net"]
    thresholds = [result["threshold"] for result in results]
    frame = protocol.frame(case["map_size"][0])
    scorer = LocalizationScorer(protocol, frame, thresholds=thresholds, iou_thresholds=(0.5,))
    columns = [scorer.index_of(threshold) for threshold in thresholds]
    outcomes = [scorer.add(one, **picture) for one, picture in zip(arrays["maps"], _pictures(arrays))]
    hits = np.stack([outcome.hits[0, columns] for outcome in outcomes])
    report.equal("e2net_boxes", [o.prediction.boxes[columns] for o in outcomes], arrays["e2net_boxes"])
    report.equal("e2net_truth", [o.true_boxes[0] for o in outcomes], arrays["e2net_gt_box"])
    report.close("e2net_iou", [o.ious[columns] for o in outcomes], arrays["e2net_iou"], relative=IOU_BOUND)
    report.equal("e2net_hits", hits, arrays["e2net_hit_known"])
    for row, name in enumerate(("known", "top1", "top5")):
        report.equal("e2net_counts", scorer.hits[row, 0, columns], arrays[f"e2net_hit_{name}"].sum(axis=0))
        for result, score in zip(results, (scorer.scores(t)[row] for t in thresholds)):
            report.close("e2net_scores", score.value, result[name], relative=SCORE_BOUND)


def _pad(boxes, count):
    return np.concatenate([boxes, np.full((count - len(boxes), 4), -1.0)])
