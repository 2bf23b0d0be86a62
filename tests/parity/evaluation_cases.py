"""Checks a case of the kit's evaluation kind: maps, boxes, hits and scores of several references."""

import dataclasses

import numpy as np
from bas_boxes import check_evaluation
from report import Report

from e2wsol.localization import protocols
from e2wsol.localization.boxes import levels_at
from e2wsol.localization.frame import Frame, mask_in_frame
from e2wsol.localization.iou import best_iou
from e2wsol.localization.metrics import LocalizationScorer
from e2wsol.localization.pixel_metrics import PixelCounter, pxap
from e2wsol.localization.score_map import gray_table, to_gray

IOU_BOUND = 1e-6  # the kit stores IoUs as float32
SCORE_BOUND = 1e-12


def check(case, arrays):
    """Returns the Report of everything in the case that a protocol of the library covers."""
    report = Report()
    report.part(_check_maxboxacc, case, arrays)
    report.part(_check_maxboxaccv2, case, arrays)
    report.part(_check_pxap, case, arrays)
    report.part(_check_e2net, case, arrays)
    report.part(_check_mnpo, case, arrays)
    report.part(_check_spol, case, arrays)
    report.part(check_evaluation, case, arrays)
    for reference in sorted(set(case["references"]) - {"versions", "wsolevaluation", "e2net", "bas", "mnpo", "spol"}):
        report.miss(reference)
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


def _score(scorer, arrays):
    """Scores the case's score maps as they are; returns the PictureScores."""
    pairs = zip(arrays["maps"].astype(np.float64), _pictures(arrays))
    return [scorer.update_boxes(scorer.boxes_of_score_map(score_map), **picture) for score_map, picture in pairs]


def _benchmark_scorer(name, case, arrays):
    """A scorer of the benchmark's thresholds alone, made as the benchmark makes them."""
    thresholds = np.arange(0, 1, 1 / arrays["wsol_level"].shape[1])
    protocol = dataclasses.replace(protocols.get(name), thresholds=tuple(thresholds), default_threshold=thresholds[0])
    ious_at = sorted(int(percent) / 100 for percent in case["results"]["wsolevaluation"]["single"]["max_box_acc"])
    return LocalizationScorer(protocol, protocol.frame(case["map_size"][0]), iou_thresholds=ious_at)


def _check_maxboxacc(report, case, arrays):
    scorer = _benchmark_scorer("maxboxacc", case, arrays)
    grays = [to_gray(score_map, scorer.protocol) for score_map in arrays["maps"].astype(np.float64)]
    outcomes = _score(scorer, arrays)
    truth = [_pad(outcome.true_boxes, arrays["wsol_gt_boxes"].shape[1]) for outcome in outcomes]
    report.equal("wsol_levels", [levels_at(gray, scorer.thresholds) for gray in grays], arrays["wsol_level"])
    report.equal("wsol_boxes", [outcome.prediction.boxes for outcome in outcomes], arrays["wsol_single_boxes"])
    report.equal("wsol_truth", truth, arrays["wsol_gt_boxes"])
    report.close("wsol_iou", [o.ious for o in outcomes], arrays["wsol_iou_single"], relative=IOU_BOUND)
    _check_benchmark_scores(report, "wsol", case, scorer, arrays["wsol_num_correct_single"], "single")
    half = scorer.iou_thresholds.index(0.5)
    for row, name in ((1, "top1"), (2, "top5")):
        expected = case["results"]["wsolevaluation"]["not_in_the_reference"][f"{name}_num_correct_max_50"]
        report.equal(f"wsol_{name}", scorer.hits[row, half].max(), expected)


def _check_maxboxaccv2(report, case, arrays):
    scorer = _benchmark_scorer("maxboxaccv2", case, arrays)
    outcomes = _score(scorer, arrays)
    report.close("wsol_v2_iou", [o.ious for o in outcomes], arrays["wsol_iou_multi"], relative=IOU_BOUND)
    _check_benchmark_scores(report, "wsol_v2", case, scorer, arrays["wsol_num_correct_multi"], "multi")
    expected = case["results"]["wsolevaluation"]["MaxBoxAccV2"]
    report.close("wsol_v2", 100 * scorer.mean_max_box_acc(), expected, relative=SCORE_BOUND)
    _check_contours(report, arrays, scorer, outcomes)


def _check_contours(report, arrays, scorer, outcomes):
    """The best IoU of the boxes that the reference lists at every level, held against ours at that level."""
    ends = np.cumsum(arrays["wsol_multi_index"][:, 2])
    for (picture, level, count), end in zip(arrays["wsol_multi_index"], ends):
        boxes = arrays["wsol_multi_boxes"][end - count : end]
        expected = best_iou(boxes, outcomes[picture].true_boxes, scorer.protocol).max()
        columns = arrays["wsol_level"][picture] == level
        report.add("wsol_v2_contours", np.abs(outcomes[picture].ious[columns] - expected).max())


def _check_benchmark_scores(report, name, case, scorer, counts, mode):
    """Hits at every threshold, MaxBoxAcc and the first threshold that reaches it."""
    results = case["results"]["wsolevaluation"][mode]
    report.equal(f"{name}_counts", scorer.hits[0], counts)
    for percent, expected in results["max_box_acc"].items():
        iou = int(percent) / 100
        report.close(f"{name}_maxboxacc", 100 * scorer.max_box_acc(iou).value, expected, relative=SCORE_BOUND)
        best = scorer.index_of(scorer.best(iou))
        report.equal(f"{name}_best_index", best, results["first_best_threshold_index"][percent])


def _check_pxap(report, case, arrays):
    total = PixelCounter()
    singles, masks = [], []
    side = case["map_size"][0]
    for number, index in enumerate(arrays["mask_case"]):
        one = PixelCounter()
        masks.append(mask_in_frame(_joint_mask(arrays, number), Frame(size=side, resize=side)))
        one.update(arrays["maps"][index].astype(np.float64), masks[-1])
        total.merge(one)
        singles.append(one)
    report.equal("pxap_masks", masks, arrays["gt_mask"])
    report.equal("pxap_hist_pos", [one.object_pixels for one in singles], arrays["pxap_hist_pos"])
    report.equal("pxap_hist_neg", [one.background_pixels for one in singles], arrays["pxap_hist_neg"])
    for name, ours in zip(("pxap_precision", "pxap_recall"), total.precision_recall()):
        report.equal(name + "_gaps", np.isnan(ours), np.isnan(arrays[name]))
        report.close(name, np.nan_to_num(ours), np.nan_to_num(arrays[name]), relative=IOU_BOUND)
    expected = case["results"]["pxap"]
    report.close("pxap", 100 * pxap(total), expected["PxAP"], relative=SCORE_BOUND)
    report.close("pxap_per_map", [100 * pxap(one) for one in singles], expected["per_map"], relative=SCORE_BOUND)


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
    outcomes = [scorer.update(one, **picture) for one, picture in zip(arrays["maps"], _pictures(arrays))]
    hits = np.stack([outcome.hits[0, columns] for outcome in outcomes])
    report.equal("e2net_boxes", [o.prediction.boxes[columns] for o in outcomes], arrays["e2net_boxes"])
    report.equal("e2net_truth", [o.true_boxes[0] for o in outcomes], arrays["e2net_gt_box"])
    report.close("e2net_iou", [o.ious[columns] for o in outcomes], arrays["e2net_iou"], relative=IOU_BOUND)
    report.equal("e2net_hits", hits, arrays["e2net_hit_known"])
    for row, name in enumerate(("known", "top1", "top5")):
        report.equal("e2net_counts", scorer.hits[row, 0, columns], arrays[f"e2net_hit_{name}"].sum(axis=0))
        for result, score in zip(results, (scorer.scores(t)[row] for t in thresholds)):
            report.close("e2net_scores", score.value, result[name], relative=SCORE_BOUND)


def _check_mnpo(report, case, arrays):
    protocol = protocols.get("mnpo")
    scorer = LocalizationScorer(protocol, protocol.frame(case["map_size"][0]), iou_thresholds=(0.5,))
    columns = [scorer.index_of(threshold) for threshold in protocol.thresholds]
    outcomes = _score(scorer, arrays)
    report.equal("mnpo_boxes", [o.prediction.boxes[columns] for o in outcomes], arrays["mnpo_boxes"])
    report.close("mnpo_iou", [o.ious[columns] for o in outcomes], arrays["mnpo_iou"], relative=IOU_BOUND)
    report.equal("mnpo_hits", [o.hits[0, columns] for o in outcomes], arrays["mnpo_hit_known"])
    report.equal("mnpo_counts", scorer.hits[:, 0, columns], arrays["mnpo_num_correct"])
    for metric, name in zip(scorer.metrics, ("known", "top1", "top5")):
        score = scorer.score_at(metric, 0.5, scorer.best(0.5, metric))
        expected = case["results"]["mnpo"]["min_error"][name]
        report.close("mnpo_errors", 100 - 100 * score.value, expected, relative=SCORE_BOUND)


def _check_spol(report, case, arrays):
    for column, total in enumerate(case["results"]["spol"]["totals"]):
        protocol = dataclasses.replace(
            protocols.get("spol"),
            default_threshold=total["threshold"],
            first_box_only=total["variant"] == "CUB",
        )
        scorer = LocalizationScorer(protocol, protocol.frame(case["map_size"][0]), iou_thresholds=(0.5,))
        index, outcomes = scorer.index_of(total["threshold"]), _score(scorer, arrays)
        for picture, outcome in enumerate(outcomes):
            _check_spol_picture(report, arrays, outcome, index, picture, column)
        hits, counted = scorer.hits[:, 0, index], scorer.total().counted[index]
        report.equal("spol_totals", [counted, *hits], [total[name] for name in ("cnt", "known", "top1", "top5")])
        for row, score in enumerate(scorer.scores(total["threshold"])):
            report.close("spol_scores", score.value, hits[row] / total["cnt"], relative=SCORE_BOUND)
            report.equal("spol_left_out", score.pictures, total["cnt"])
        for row, name in enumerate(("known", "top1", "top5")):
            report.equal("spol_counts", hits[row], arrays[f"spol_hit_{name}"][:, column].sum())


def _check_spol_picture(report, arrays, outcome, index, picture, column):
    empty, counted = outcome.prediction.empty[index], arrays["spol_counted"][picture, column]
    expected = arrays["spol_boxes"][picture, column]
    report.equal("spol_boxes", [-1] * 4 if empty else outcome.prediction.boxes[index], expected)
    report.equal("spol_counted", not empty and len(outcome.true_boxes) > 0, bool(counted))
    report.equal("spol_hits", outcome.hits[0, index], arrays["spol_hit_known"][picture, column])
    truth = arrays["spol_gt_boxes"][picture, : len(outcome.true_boxes)]
    report.close("spol_truth", outcome.true_boxes, truth, relative=IOU_BOUND)
    if counted:
        report.add("spol_iou", abs(outcome.ious[index] - arrays["spol_iou"][picture, column]), IOU_BOUND)


def _pad(boxes, count):
    return np.concatenate([boxes, np.full((count - len(boxes), 4), -1.0)])
