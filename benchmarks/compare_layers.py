"""A table of localizers and layers, mean and spread over seeds: python benchmarks/compare_layers.py FOLDER [NAME].

FOLDER holds run folders called NAME-seedN, NAME being cam where it is not given, that
`python -m e2wsol.evaluate --localizer=... --layer=...` has looked into. Prints Markdown; the last line is one
JSON object with the means.
"""

import json
import pathlib
import statistics
import sys

from compare_runs import cell, row

HEADS = ("GT-known 0.5", "best t", "GT-known 0.7", "best t", "PxAP")
_COLUMNS = (0, 1, 2, 3, 5)  # of compare_runs.row: classes are the same for all maps of a run


def main(folder, name="cam"):
    """Prints the table of all maps of the runs NAME-seedN under `folder`."""
    rows, order = {}, {}
    for run in sorted(pathlib.Path(folder).glob(f"{name}-seed*")):
        for table in sorted((run / "localizers").glob("*/layers.json")):
            layers = [one["layer"] for one in json.loads(table.read_text(encoding="utf-8"))["rows"]]
            order |= {layer: place for place, layer in enumerate(layers)}
        files = sorted((run / "localizers").glob("*/*/result.json"))
        for result in (json.loads(file.read_text(encoding="utf-8")) for file in files):
            rows.setdefault(result["method"], []).append(row(result, result["method"]))
            for other in ("centre box", "centre Gaussian"):
                rows.setdefault(other, [row(result, other)])
    if not rows:
        sys.exit(f"error: {folder}: no {name}-seedN/localizers/*/*/result.json in it; evaluate with --localizer first")
    print("| | runs | " + " | ".join(HEADS) + " |")
    print("|---" * (len(HEADS) + 2) + "|")
    means = {}
    for title in sorted(rows, key=lambda title: place_of(title, order)):
        found = rows[title]
        columns = [[one[column] for one in found] for column in _COLUMNS]
        print(f"| {title} | {len(found)} | " + " | ".join(map(cell, columns)) + " |")
        means[title] = [None if None in column else round(statistics.mean(column), 4) for column in columns]
    print(json.dumps({"columns": ["threshold from validation unless best t", *HEADS], "means": means}))


def place_of(title, order):
    """Sorts "localizer/layer" by localizer, then from input to output; baselines come last."""
    localizer, _, layer = title.partition("/")
    return not layer, localizer, order.get(layer, -1)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python benchmarks/compare_layers.py FOLDER [NAME]")
    main(*sys.argv[1:])
