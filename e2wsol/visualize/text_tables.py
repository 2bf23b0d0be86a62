"""Tables of scores as plain text, for the terminal, and the rows of layers.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from e2wsol.visualize.results import (
    THRESHOLD_KINDS,
    Result,
    averaging,
    cropping,
    interval_of,
    leaving_out,
    score_rows,
    size_rows,
    skipping,
    threshold_of,
    value_of,
)

_LAYER_METRIC = "GT-known Loc"
_LAYER_IOUS = (0.5, 0.7)
_LAYER_KINDS = ("validation", "best")
_HEADS = ("protocol's t", "chosen on validation", "best on this split", "pictures")


def score_table(result: Result) -> str:
    """Every score of a result as aligned text: one row a metric and localizer, in per cent.

    Columns: at the protocol's threshold, at the one chosen on the validation split, at the best one
    of the scored split (each with its confidence interval, and the threshold in brackets), and the number
    of pictures counted. Then the method's scores by object size. Where scores are means over classes,
    pictures are left out, or classes were predicted from ten crops, the text says so.

    Args:
      result: the dict of result.json.

    Returns:
      The table's lines, without a line break at the end.
    """
    cells = [("", *_HEADS)]
    last = None
    for row in score_rows(result):
        group = f"{row.metric}, IoU {row.iou:g}"
        if group != last:
            cells.append((group, "", "", "", ""))
            last = group
        cells.append((f"  {row.localizer}", *_cells(row.scores)))
    sizes = size_rows(result)
    if sizes:
        cells.append((f"GT-known Loc, IoU 0.5, {result['method']} by size of the object", "", "", "", ""))
        cells += [(f"  {name}", *_cells(scores)) for name, scores in sizes]
    return "\n".join([_heading(result), "", *_aligned(cells), "", *_footer(result)])


def _heading(result):
    data = result["dataset"]
    scale = ", ".join(filter(None, ("scores in %", averaging(result), _intervals(result), "t = threshold")))
    where = f"{data.get('name', '?')} ({data.get('split', '?')})"
    return f"{result['method']} on {where}, protocol {result['protocol']}, {scale}"


def _intervals(result):
    level = (result.get("bootstrap") or {}).get("level")
    return f"[{level:.0%} interval over pictures]" if level else ""


def _cells(scores):
    """The columns of one row from its entries by threshold kind."""
    counts = dict.fromkeys(str(score["pictures"]) for score in scores.values())
    return *(_cell(scores.get(kind)) for kind in THRESHOLD_KINDS), "/".join(counts)


def _cell(score):
    value = value_of(score)
    if value is None:
        return "-"
    threshold = threshold_of(score)
    return _percent(value, interval_of(score)) + ("" if threshold is None else f" (t {threshold:.3f})")


def _percent(value, interval=None):
    """A share in per cent, as 81.2 or 81.2 [78.0, 84.1]; a dash where there is none."""
    if value is None:
        return "-"
    text = f"{100 * value:.1f}"
    return text if interval is None else f"{text} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _aligned(cells):
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["  ".join(map(_padded, row, widths, range(len(row)))).rstrip() for row in cells]


def _padded(cell, width, column):
    return cell.rjust(width) if column else cell.ljust(width)


def _footer(result):
    lines = [
        f"Classification {name.replace('top', 'Top-')}: {100 * value:.1f}"
        for name, value in result["classification"].items()
        if value is not None
    ]
    if cropping(result):
        lines.append(f"Classes predicted from: {cropping(result)}")
    if leaving_out(result):
        lines.append(f"Denominators: {leaving_out(result)}")
    if skipping(result):
        lines.append(f"Bad records: {skipping(result)}")
    return lines + _max_box_acc_lines(result) + _pixel_lines(result)


def _max_box_acc_lines(result):
    name = "MaxBoxAccV2" if result.get("every_contour") else "MaxBoxAcc"
    lines = []
    for localizer, found in (result.get("max_box_acc") or {}).items():
        if found["mean"] is not None:
            parts = ", ".join(f"IoU {key} {_percent(value)}" for key, value in found.items() if key[:1].isdigit())
            lines.append(f"{name} {localizer}: {parts}, mean {_percent(found['mean'], found['mean_interval'])}")
    return lines


def _pixel_lines(result):
    intervals = result.get("pixel_intervals") or {}
    return [
        f"{name} {localizer}: {_percent(value, intervals.get(localizer, {}).get(name.lower()))}"
        for name in ("PxAP", "PIoU")
        for localizer, value in (result.get(name.lower()) or {}).items()
    ]


def layer_rows(results: Mapping[str, Result], own: str) -> list[dict[str, Any]]:
    """One row a map, baselines last.

    Args:
      results: {name of a map, "localizer/layer": its result.json}; those of the method's own maps too.
      own: their name there.

    Returns:
      list of {"localizer", "layer": None for the method's own maps and the baselines, "gt_known": {IoU:
      {"validation" or "best": {"value", "interval", "threshold"}}}, "pxap": in [0, 1] or None}.
    """
    rows = [_layer_row(result, name, *name.split("/", 1)) for name, result in results.items() if name != own]
    others = dict.fromkeys(row.localizer for row in score_rows(results[own]))
    return rows + [_layer_row(results[own], name, name, None) for name in others]


def _layer_row(result, name, localizer, layer):
    scores = {row.iou: row.scores for row in score_rows(result) if (row.metric, row.localizer) == (_LAYER_METRIC, name)}
    found = {
        f"{iou:g}": {kind: _layer_entry(scores[iou][kind]) for kind in _LAYER_KINDS if kind in scores[iou]}
        for iou in _LAYER_IOUS
        if iou in scores
    }
    return {"localizer": localizer, "layer": layer, "gt_known": found, "pxap": (result["pxap"] or {}).get(name)}


def _layer_entry(score):
    interval = interval_of(score)
    return {
        "value": value_of(score),
        "interval": None if interval is None else list(interval),
        "threshold": threshold_of(score),
    }


def layer_table(rows: Sequence[Mapping[str, Any]], result: Result) -> str:
    """The rows as aligned text, in per cent; `result` is any of the results."""
    masks = any(row["pxap"] is not None for row in rows)
    heads = [
        f"IoU {iou:g}, {column}" for iou in _LAYER_IOUS for column in (f"t of {result['threshold_split']}", "best t")
    ]
    cells = [("", *heads, *(["PxAP"] if masks else []))]
    for row in rows:
        found = [
            _layer_cell(row["gt_known"].get(f"{iou:g}", {}).get(kind)) for iou in _LAYER_IOUS for kind in _LAYER_KINDS
        ]
        pxap = [_percent(row["pxap"])] if masks else []
        cells.append(("  ".join(filter(None, (row["localizer"], row["layer"]))), *found, *pxap))
    data = result["dataset"]
    heading = (
        f"{result['trained_method']} on {data['name']} ({data['split']}, {data['pictures']} pictures), protocol "
        f"{result['protocol']}, {_LAYER_METRIC} in %, t = threshold"
    )
    return "\n".join([heading, "", *_aligned(cells)])


def _layer_cell(entry):
    if entry is None or entry["value"] is None:
        return "-"
    return _percent(entry["value"]) + ("" if entry["threshold"] is None else f" (t {entry['threshold']:.3f})")
