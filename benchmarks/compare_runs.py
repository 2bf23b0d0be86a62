"""A table of evaluated runs, mean and spread over seeds: python benchmarks/compare_runs.py FOLDER.

FOLDER holds run folders called NAME-seedN with a result.json each. Prints Markdown; the last line is
one JSON object with the means. Scores of other box protocols, averages or numbers of crops are not
comparable: every row names its own, and the baselines stand once for each.
"""

import json
import pathlib
import re
import statistics
import sys

from e2wsol.visualize.results import find_score

HEADS = ("GT-known 0.5", "best t", "GT-known 0.7", "best t", "Top-1 Loc 0.5", "PxAP", "Top-1 class")


def main(folder):
    """Prints the table of all runs under `folder`."""
    groups, baselines = {}, {}
    for file in sorted(pathlib.Path(folder).glob("*-seed*/result.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        name = re.fullmatch(r"(.+)-seed\d+", file.parent.name).group(1)
        groups.setdefault((name, rules(result)), []).append(row(result, result["method"]))
        for other in ("centre box", "centre Gaussian"):
            baselines[other, rules(result)] = [row(result, other)]
    if not groups:
        sys.exit(f"error: {folder}: no NAME-seedN/result.json in it; evaluate runs first")
    print("| | rules | runs | " + " | ".join(HEADS) + " |")
    print("|---" * (len(HEADS) + 3) + "|")
    means = {}
    for (name, group_rules), rows in {**groups, **baselines}.items():
        columns = list(zip(*rows))
        print(f"| {name} | {group_rules} | {len(rows)} | " + " | ".join(map(cell, columns)) + " |")
        # One set of rules needs no naming; otherwise a name alone would not be unique.
        key = name if len({own for _, own in groups}) == 1 else f"{name}, {group_rules}"
        means[key] = [None if None in column else round(statistics.mean(column), 4) for column in columns]
    print(json.dumps({"columns": ["threshold from validation unless best t", *HEADS], "means": means}))


def rules(result):
    """What scores are counted by: protocol, average where it is over classes, crops where there are ten."""
    parts = [result["protocol"]]
    parts += ["mean over classes"] if result.get("average") == "classes" else []
    parts += ["ten crops"] if result.get("crops") == 10 else []
    return ", ".join(parts)


def row(result, localizer):
    """The scores of one localizer in the order of HEADS; None where there is none."""

    def score(metric, iou, kind):
        entry = find_score(result, localizer, metric, iou, kind)
        return entry and entry["value"]

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
