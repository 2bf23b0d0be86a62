"""Localizers and layers side by side, for the terminal and for layers.json."""

from e2wsol.visualize.results import interval_of, score_rows, threshold_of, value_of

_METRIC = "GT-known Loc"
_IOUS = (0.5, 0.7)
_KINDS = ("validation", "best")


def layer_rows(results, own):
    """One row a map, baselines last.

    Args:
      results: {name of a map, "localizer/layer": its result.json}; those of the method's own maps too.
      own: their name there.

    Returns:
      list of {"localizer", "layer": None for the method's own maps and the baselines, "gt_known": {IoU:
      {"validation" or "best": {"value", "interval", "threshold"}}}, "pxap": in [0, 1] or None}.
    """
    rows = [_row(result, name, *name.split("/", 1)) for name, result in results.items() if name != own]
    others = dict.fromkeys(row.localizer for row in score_rows(results[own]))
    return rows + [_row(results[own], name, name, None) for name in others]


def _row(result, name, localizer, layer):
    scores = {row.iou: row.scores for row in score_rows(result) if (row.metric, row.localizer) == (_METRIC, name)}
    found = {
        f"{iou:g}": {kind: _entry(scores[iou][kind]) for kind in _KINDS if kind in scores[iou]}
        for iou in _IOUS
        if iou in scores
    }
    return {"localizer": localizer, "layer": layer, "gt_known": found, "pxap": (result["pxap"] or {}).get(name)}


def _entry(score):
    interval = interval_of(score)
    return {
        "value": value_of(score),
        "interval": None if interval is None else list(interval),
        "threshold": threshold_of(score),
    }


def layer_table(rows, result):
    """The rows as aligned text, in per cent; `result` is any of the results."""
    masks = any(row["pxap"] is not None for row in rows)
    heads = [f"IoU {iou:g}, {column}" for iou in _IOUS for column in (f"t of {result['threshold_split']}", "best t")]
    cells = [("", *heads, *(["PxAP"] if masks else []))]
    for row in rows:
        found = [_cell(row["gt_known"].get(f"{iou:g}", {}).get(kind)) for iou in _IOUS for kind in _KINDS]
        pxap = [_percent(row["pxap"])] if masks else []
        cells.append(("  ".join(filter(None, (row["localizer"], row["layer"]))), *found, *pxap))
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join([line[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(line[1:], widths[1:]))])
        for line in cells
    ]
    data = result["dataset"]
    heading = (
        f"{result['trained_method']} on {data['name']} ({data['split']}, {data['pictures']} pictures), protocol "
        f"{result['protocol']}, {_METRIC} in %, t = threshold"
    )
    return "\n".join([heading, "", *map(str.rstrip, lines)])


def _cell(entry):
    if entry is None or entry["value"] is None:
        return "-"
    return _percent(entry["value"]) + ("" if entry["threshold"] is None else f" (t {entry['threshold']:.3f})")


def _percent(value):
    return "-" if value is None else f"{100 * value:.1f}"
