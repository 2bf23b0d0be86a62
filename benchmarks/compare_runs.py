"""A table of evaluated runs, mean and spread over seeds: python benchmarks/compare_runs.py FOLDER.

FOLDER holds run folders called NAME-seedN with a result.json each. Prints Markdown; the last line is
one JSON object with the means.
"""

import json
import pathlib
import re
import statistics
import sys

HEADS = ("GT-known 0.5", "best t", "GT-known 0.7", "best t", "Top-1 Loc 0.5", "PxAP", "Top-1 class")


def main(folder):
    """Prints the table of all runs under `folder`."""
    groups, baselines = {}, {}
    for file in sorted(pathlib.Path(folder).glob("*-seed*/result.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        name = re.fullmatch(r"(.+)-seed\d+", file.parent.name).group(1)
        groups.setdefault(name, []).append(row(result, result["method"]))
        baselines = {other: [row(result, other)] for other in ("centre box", "centre Gaussian")}
    if not groups:
        sys.exit(f"error: {folder}: no NAME-seedN/result.json in it; evaluate runs first")
    print("| | runs | " + " | ".join(HEADS) + " |")
    print("|---" * (len(HEADS) + 2) + "|")
    means = {}
    for name, rows in {**groups, **baselines}.items():
        columns = list(zip(*rows))
        print(f"| {name} | {len(rows)} | " + " | ".join(map(cell, columns)) + " |")
        means[name] = [None if None in column else round(statistics.mean(column), 4) for column in columns]
    print(json.dumps({"columns": ["threshold from validation unless best t", *HEADS], "means": means}))


def row(result, localizer):
    """The scores of one localizer in the order of HEADS; None where there is none."""

    def score(metric, iou, kind):
        for entry in result["scores"]:
            if (entry["localizer"], entry["metric"], entry["iou"], entry["threshold_from"]) == (
                localizer,
                metric,
                iou,
                kind,
            ):
                return entry["value"]
        return None

    own = localizer == result["method"]
    return [
        *(score("GT-known Loc", iou, kind) for iou in (0.5, 0.7) for kind in ("validation", "best")),
        score("Top-1 Loc", 0.5, "validation") if own else None,
        (result["pxap"] or {}).get(localizer),
        result["classification"]["top1"] if own else None,
    ]


def cell(values):
    """Mean and, of several runs, standard deviation in per cent."""
    if None in values:
        return ""
    text = f"{100 * statistics.mean(values):.1f}"
    return text + (f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else "")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/compare_runs.py FOLDER")
    main(sys.argv[1])
