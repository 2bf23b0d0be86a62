"""The report's tables of scores, of one run and of two."""

import itertools
from collections.abc import Sequence
from html import escape

from e2wsol.visualize.document import table
from e2wsol.visualize.results import (
    THRESHOLD_KINDS,
    Result,
    ScoreRow,
    interval_of,
    score_rows,
    size_rows,
    threshold_of,
    value_of,
)

KIND_HEADS = {
    "protocol": "protocol's threshold",
    "validation": "threshold chosen on validation",
    "best": "best threshold on this split",
}
_PIXEL_METRICS = {"pxap": "PxAP, all thresholds", "piou": "PIoU, peak over thresholds"}
_MAIN_IOU = 0.5
_MISSING = "-"
_MINUS = "\N{MINUS SIGN}"
_TO = "\N{EN DASH}"


def score_tables(result: Result) -> str:
    """All scores of a result as HTML: those at IoU 0.5 and the summaries, and folded below them other IoUs."""
    main, others = _split(score_rows(result))
    heads = "localizer", *(KIND_HEADS[kind] for kind in THRESHOLD_KINDS)
    bodies = [*_bodies(main, result["method"]), _sizes(result), _mean(result), *_pixels(result)]
    return _table(heads, bodies) + _folded(others, lambda rows: _table(heads, _bodies(rows, result["method"])))


def comparison_tables(first: Result, second: Result, names: tuple[str, str]) -> str:
    """The methods' scores of two results beside each other, with the differences in points.

    Args:
      first: the first result.
      second: the other one.
      names: what the runs are called.
    """
    heads = ("threshold", *names, "difference")
    main, others = _split(method_rows(first))
    bodies = [*_paired_bodies(main, first, second), *_paired_sizes(first, second), *_paired_summaries(first, second)]
    folded = _folded(others, lambda rows: _table(heads, _paired_bodies(rows, first, second), "compare"))
    return _table(heads, bodies, "compare") + folded


def method_rows(result: Result) -> list[ScoreRow]:
    """The score rows of the result's own method."""
    return [row for row in score_rows(result) if row.localizer == result["method"]]


def percent(value: float) -> str:
    """A share as 81.0%."""
    return f"{100 * value:.1f}%"


def points(first: float | None, second: float | None) -> str:
    """What the second share has more than the first, in points, as +1.2; '-' where one is None.

    The difference is that of the numbers as they are shown, so that a reader who subtracts agrees.
    """
    if first is None or second is None:
        return _MISSING
    return signed(round(100 * second, 1) - round(100 * first, 1))


def signed(difference: float) -> str:
    """A number of points with its sign, as +1.2 or −1.2; 0.0 has none."""
    difference = round(difference, 1)
    return f"{difference:+.1f}".replace("-", _MINUS) if difference else "0.0"


def low_high(interval: Sequence[float] | None) -> str:
    """A share's interval in per cent, as 55.0–62.5, in small type under the figure; empty for None."""
    return f"<small>{100 * interval[0]:.1f}{_TO}{100 * interval[1]:.1f}</small>" if interval else ""


def _split(rows):
    """(rows at the main IoU, the others); all are main ones where none is at that IoU."""
    main = [row for row in rows if row.iou == _MAIN_IOU]
    return (main, [row for row in rows if row.iou != _MAIN_IOU]) if main else (rows, [])


def _folded(rows, table):
    if not rows:
        return ""
    ious = " and ".join(f"{iou:g}" for iou in sorted({row.iou for row in rows}))
    return f"<details><summary>Scores at IoU {ious}</summary>{table(rows)}</details>"


def _table(heads, bodies, css="scores"):
    return table("Scores", map(escape, heads), bodies, css)


def _body(title, rows, note=""):
    """A group of rows under its title, which spans all columns."""
    note = f" <small>{escape(note)}</small>" if note else ""
    head = f'<tr><th scope="rowgroup" colspan="4">{escape(title)}{note}</th></tr>'
    return "\n".join(["<tbody>", head, *rows, "</tbody>"])


def _row(name, cells, css=""):
    css = f' class="{css}"' if css else ""
    return f'<tr{css}><th scope="row">{escape(name)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _cell(value, interval=None, threshold=None):
    """A score with its confidence interval and threshold under it, where it has them."""
    if value is None:
        return _MISSING
    at = "" if threshold is None else f"<small>at {threshold:.3f}</small>"
    return f"{100 * value:.1f}{low_high(interval)}{at}"


def _score_cell(score):
    return _cell(value_of(score), interval_of(score), threshold_of(score) if score else None)


def _counted(scores):
    counts = sorted({score["pictures"] for score in scores})
    return f"{' or '.join(map(str, counts))} pictures counted" if counts else ""


def _bodies(rows, method):
    for (metric, iou), group in itertools.groupby(rows, key=lambda row: (row.metric, row.iou)):
        group = list(group)
        lines = [_row(row.localizer, _kinds(row.scores), "method" if row.localizer == method else "") for row in group]
        note = _counted(score for row in group for score in row.scores.values())
        yield _body(f"{metric}, IoU {iou:g}", lines, note)


def _kinds(scores):
    return [_score_cell(scores.get(kind)) for kind in THRESHOLD_KINDS]


def _sizes(result):
    rows = [_row(f"{name}: {_counted_images(scores)}", _kinds(scores)) for name, scores in size_rows(result)]
    return _body(f"GT-known Loc, IoU 0.5, {result['method']} by size of the object", rows) if rows else ""


def _counted_images(scores):
    count = max(score["pictures"] for score in scores.values())
    return f"{count} picture{'' if count == 1 else 's'}"


def _mean_title(result):
    """MaxBoxAcc's name and the IoUs that it is the mean over; both empty where the result has none."""
    found = result.get("max_box_acc") or {}
    ious = [key for key in next(iter(found.values()), {}) if key[0].isdigit()]
    name = "MaxBoxAccV2" if result.get("every_contour") else "MaxBoxAcc"
    return f"{name}, mean over IoU {', '.join(ious)}" if ious else ""


def _mean(result):
    rows = [
        _row(name, [_MISSING, _MISSING, _mean_cell(scores)], "method" if name == result["method"] else "")
        for name, scores in (result.get("max_box_acc") or {}).items()
    ]
    return _body(_mean_title(result), rows, "best threshold of each IoU") if rows else ""


def _mean_cell(scores):
    return _cell(scores["mean"], scores["mean_interval"])


def _pixels(result):
    for key, title in _PIXEL_METRICS.items():
        rows = [
            _row(
                name, [_MISSING, _MISSING, _pixel_cell(result, key, name)], "method" if name == result["method"] else ""
            )
            for name in result.get(key) or {}
        ]
        if rows:
            yield _body(title, rows)


def _pixel_cell(result, key, localizer):
    value = (result.get(key) or {}).get(localizer)
    interval = (result.get("pixel_intervals") or {}).get(localizer, {}).get(key)
    threshold = (result.get("piou_thresholds") or {}).get(localizer) if key == "piou" else None
    return _cell(value, interval, threshold)


def _paired_bodies(rows, first, second):
    """A body for each of the first method's rows: one line a threshold, then the baselines' best scores."""
    theirs = {(row.metric, row.iou): row for row in method_rows(second)}
    for row in rows:
        other = theirs.get((row.metric, row.iou))
        scores = other.scores if other else {}
        lines = _paired_kinds(row.scores, scores)
        lines += [
            _paired_row(f"{name}, best", _score_cell, *pair, "soft")
            for name, *pair in _paired_baselines(row.metric, row.iou, first, second)
        ]
        yield _body(f"{row.metric}, IoU {row.iou:g}", lines, _counted([*row.scores.values(), *scores.values()]))


def _paired_kinds(ours, theirs):
    return [
        _paired_row(KIND_HEADS[kind], _score_cell, ours.get(kind), theirs.get(kind))
        for kind in THRESHOLD_KINDS
        if kind in ours or kind in theirs
    ]


def _paired_baselines(metric, iou, first, second):
    """(name, score in the first result, in the second) of each baseline, at its best threshold."""
    found = [
        {row.localizer: row.scores.get("best") for row in score_rows(result) if (row.metric, row.iou) == (metric, iou)}
        for result in (first, second)
    ]
    methods = first["method"], second["method"]
    names = [name for name in found[0] if name in found[1] and name not in methods]
    return [(name, found[0][name], found[1][name]) for name in names]


def _paired_row(name, cell, ours, theirs, css=""):
    return _row(name, [cell(ours), cell(theirs), points(value_of(ours), value_of(theirs))], css)


def _paired_sizes(first, second):
    theirs = dict(size_rows(second))
    for name, scores in size_rows(first):
        if name in theirs:
            yield _body(f"GT-known Loc, IoU 0.5, {name}", _paired_kinds(scores, theirs[name]), _counted_images(scores))


def _paired_summaries(first, second):
    """MaxBoxAcc's means and the pixel scores that both results have."""
    methods = first["method"], second["method"]
    if _mean_title(first) and _mean_title(first) == _mean_title(second):
        ours, theirs = (result["max_box_acc"][name] for result, name in zip((first, second), methods))
        cells = [_mean_cell(ours), _mean_cell(theirs), points(ours["mean"], theirs["mean"])]
        yield _body(_mean_title(first), [_row("best of each IoU", cells)])
    for key, title in _PIXEL_METRICS.items():
        if first.get(key) and second.get(key):
            cells = [_pixel_cell(result, key, name) for result, name in zip((first, second), methods)]
            difference = points(first[key].get(methods[0]), second[key].get(methods[1]))
            yield _body(title, [_row("all" if key == "pxap" else "peak", [*cells, difference])])
