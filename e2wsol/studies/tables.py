"""A study's results as files: results.csv, and the table in Markdown."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from e2wsol.studies.summary import Summary

HEADS = ("suite", "row", "method", "seed", "metric", "iou", "threshold_from", "threshold", "value", "low", "high")


def results_csv(summary: Summary) -> str:
    """The text of results.csv: every localization score of every row and seed, PxAP and classification too.

    Args:
      summary: Summary.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADS)
    methods = {row.name: row.method for row in summary.plan.rows}
    for name, seeds in summary.found.items():
        for seed, scored in seeds.items():
            for values in _values(scored.result):
                writer.writerow([summary.plan.suite.name, name, methods[name], seed, *values])
    return text.getvalue()


def _values(result):
    """Yields metric, IoU, where the threshold is from, threshold, value and interval of the method's scores."""
    for entry in result["scores"]:
        if entry["localizer"] == result["method"]:
            ends = entry["interval"] or ("", "")
            yield entry["metric"], entry["iou"], entry["threshold_from"], entry["threshold"], entry["value"], *ends
    for name in ("pxap", "piou"):
        if result[name]:
            method = result["method"]
            ends = result["pixel_intervals"][method][name] or ("", "")
            yield {"pxap": "PxAP", "piou": "PIoU"}[name], "", "", "", result[name][method], *ends
    for name, value in result["classification"].items():
        if value is not None:
            yield f"{name} classification", "", "", "", value, "", ""


def markdown(study: Mapping[str, Any]) -> str:
    """The table and the claims of study.json in Markdown, in per cent."""
    suite = study["suite"]
    metrics = study["metrics"]
    read_by = [metric["title"] for metric in metrics if metric["key"] in suite["read_by"]]
    lines = [
        f"Split {suite['split']}, {suite['pictures']} pictures; read by {' and '.join(read_by)}. Mean ± deviation "
        f"over seeds [95% interval over pictures]. {suite['seconds'] / 3600:.1f} hours of trainings and evaluations.",
        "",
        "| | seeds | " + " | ".join(metric["title"] for metric in metrics) + " |",
        "|---" * (len(metrics) + 2) + "|",
    ]
    titles = {row["entry"]: row["title"] for row in study["rows"]}
    for row in study["rows"]:
        cells = [_cell(row["scores"].get(metric["key"])) for metric in metrics]
        network = titles.get(row["of"], row["of"])
        title = row["title"] + (f" ({row['layer']} of {network}'s network)" if network else "")
        lines.append(f"| {title} | {len(row['seeds']) or ''} | " + " | ".join(cells) + " |")
    lines += ["", "| claim | score | difference | p | holds |", "|---|---|---|---|---|"]
    lines += [_claim(claim) for claim in study["claims"]]
    lines += [f"\nNot measured: {one['title']}, seed {one['seed']}: {one['why']}." for one in study["missing"]]
    return "\n".join(lines) + "\n"


def _cell(score):
    if score is None:
        return ""
    text = f"{100 * score['mean']:.1f}"
    text += "" if score["deviation"] is None else f" ± {100 * score['deviation']:.1f}"
    return text + ("" if score["interval"] is None else " " + _ends(score["interval"]))


def _ends(interval, sign=""):
    low, high = (f"{100 * end:{sign}.1f}" for end in interval)
    return f"[{low}, {high}]"


def _claim(claim):
    start = f"| {claim['title']}: {claim['claim']} | {claim['metric']} | "
    if claim["interval"] is None:
        return start + f" | | {claim['holds']} |"
    difference = f"{100 * claim['difference']:+.1f} {_ends(claim['interval'], '+')}"
    why = f" ({claim['why']})" if claim["why"] else ""
    return start + f"{difference} | {claim['p']:.4f} | {claim['holds']}{why} |"
