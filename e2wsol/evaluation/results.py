"""The scores of result.json, from what was counted."""

import math
from collections.abc import Mapping
from typing import Any

from e2wsol.localization import bootstrap, tally
from e2wsol.localization.baselines import Baselines
from e2wsol.localization.metrics import METRICS, OVERLAPS, LocalizationScorer
from e2wsol.localization.pixel_metrics import piou, piou_threshold, pxap

GT_KNOWN = METRICS[0]
Chosen = dict[str, dict[str, dict[str, float]]]  # localizer, metric, IoU threshold


def best_thresholds(method: str, scorer: LocalizationScorer, baselines: Baselines) -> Chosen:
    """{localizer: {metric: {"0.5": threshold, ...}}} with the best score of each."""
    return _best_thresholds(_localizers(method, scorer, baselines))


def _best_thresholds(localizers: Mapping[str, LocalizationScorer]) -> Chosen:
    return {
        name: {metric: {_key(iou): counts.best(iou, metric) for iou in counts.iou_thresholds} for metric in METRICS}
        for name, counts in localizers.items()
    }


def all_thresholds(chosen: Chosen | None) -> list[float]:
    """Every threshold in the result of `best_thresholds`, or none for None."""
    by_metric = [ious for metrics in (chosen or {}).values() for ious in metrics.values()]
    return [threshold for ious in by_metric for threshold in ious.values()]


def summarize(
    method: str,
    scorer: LocalizationScorer,
    baselines: Baselines,
    validation: Chosen | None,
    beside: Mapping[str, LocalizationScorer] | None = None,
) -> dict[str, Any]:
    """The scores' part of result.json.

    Args:
      method: the localizer's name.
      scorer: LocalizationScorer of its maps.
      baselines: Baselines of the same images.
      validation: `best_thresholds` of the split that thresholds are chosen on, or None.
      beside: further localizers of the same images, by name, whose boxes have no threshold.
    """
    localizers = {**_localizers(method, scorer, baselines), **(beside or {})}
    best = _best_thresholds(localizers)
    if validation is not None:
        validation = {**validation, **{name: validation[method] for name in beside or ()}}
    chosen = {"validation": validation, "best": best}
    default = scorer.protocol.default_threshold
    thresholds = {kind: found and found[method][GT_KNOWN] for kind, found in chosen.items()}
    return {
        "thresholds": {"protocol": default, **thresholds},
        "scores": [entry for name, counts in localizers.items() for entry in _scores(name, counts, chosen)],
        "sizes": {
            "names": tally.SIZES,
            "bounds": tally.SIZE_BOUNDS,
            "of": "largest true box as a share of the frame",
            "scores": [entry for name, counts in localizers.items() for entry in _by_size(name, counts, chosen)],
        },
        "overlaps": {
            "from": OVERLAPS,
            "counts": [entry for name, counts in localizers.items() for entry in _overlaps(name, counts, chosen)],
        },
        "max_box_acc": {name: _max_box_acc(counts) for name, counts in localizers.items()},
        "classification": classification(scorer),
        "bootstrap": bootstrap.describe(),
        "curves": _curves(localizers),
        **_pixel_figures(localizers),
    }


def classification(scorer: LocalizationScorer) -> dict[str, float | None]:
    """Shares of pictures whose class is the first, or among the first five, predicted."""
    top1, top5 = scorer.classification()
    return {"top1": _number(top1.value), "top5": _number(top5.value)}


def _localizers(method, scorer, baselines):
    return {method: scorer, **baselines.scorers}


def _key(iou):
    return f"{iou:g}"


def _number(value):
    """The value, or None where nothing was counted: JSON has no NaN."""
    return None if math.isnan(value) else value


def _interval(ends):
    return None if any(math.isnan(end) for end in ends) else list(ends)


def _kinds(name, counts, metric, iou, chosen):
    """Yields (kind, threshold) of the three ways to choose one, fewer where there is no such way."""
    yield "protocol", counts.protocol.default_threshold
    for kind, thresholds in chosen.items():
        if thresholds is not None:
            yield kind, thresholds[name][metric][_key(iou)]


def _scores(name, counts, chosen):
    for iou in counts.iou_thresholds:
        for metric in counts.metrics:
            for kind, threshold in _kinds(name, counts, metric, iou, chosen):
                yield _entry(name, kind, counts.score_at(metric, iou, threshold, interval=True))


def _by_size(name, counts, chosen):
    for iou in counts.iou_thresholds:
        for kind, threshold in _kinds(name, counts, GT_KNOWN, iou, chosen):
            for size, size_name in enumerate(tally.SIZES):
                score = counts.score_at(GT_KNOWN, iou, threshold, size=size, interval=True)
                yield {"size": size_name, **_entry(name, kind, score)}


def _entry(localizer, kind, score):
    return {
        "localizer": localizer,
        "metric": score.metric,
        "average": score.average,
        "iou": score.iou,
        "threshold_from": kind,
        "threshold": score.threshold,
        "hits": score.hits,
        "pictures": score.pictures,
        "left_out": score.left_out,
        "value": _number(score.value),
        "interval": _interval(score.interval),
    }


def _overlaps(name, counts, chosen):
    for kind, threshold in _kinds(name, counts, GT_KNOWN, 0.5, chosen):
        pictures = counts.overlaps[counts.index_of(threshold)].tolist()
        yield {"localizer": name, "threshold_from": kind, "threshold": threshold, "pictures": pictures}


def _max_box_acc(counts):
    """GT-known Loc at the best threshold of each IoU, and the mean over IoUs."""
    scores = [counts.max_box_acc(iou, interval=True) for iou in counts.iou_thresholds]
    return {
        **{_key(score.iou): _number(score.value) for score in scores},
        "mean": _number(counts.mean_max_box_acc()),
        "mean_interval": _interval(bootstrap.mean_interval(score.interval for score in scores)),
    }


def _curves(localizers):
    curves = {}
    for name, counts in localizers.items():
        curve = counts.curves()
        curves["thresholds"] = curve.pop("thresholds")
        curves[name] = curve
    return curves


def _pixel_figures(localizers):
    """PxAP and PIoU of those that have a map, None where no picture has a mask with an object."""
    found = {name: counts for name, counts in localizers.items() if counts.pixels.object_pixels.any()}
    if not found:
        return {"pxap": None, "piou": None, "pixel_intervals": None, "piou_thresholds": None}
    intervals = {
        name: {
            "pxap": _interval(counts.pixel_groups.interval(pxap)),
            "piou": _interval(counts.pixel_groups.interval(piou)),
        }
        for name, counts in found.items()
    }
    return {
        "pxap": {name: pxap(counts.pixels) for name, counts in found.items()},
        "piou": {name: piou(counts.pixels) for name, counts in found.items()},
        "piou_thresholds": {name: piou_threshold(counts.pixels) for name, counts in found.items()},
        "pixel_intervals": intervals,
    }
