"""Score-over-threshold curves and the histogram of overlaps as inline SVG.

Colours come from the page: lines carry the classes `method`, `second`, `baseline` and `flat`, marks the classes
`mark` and their kind, text `label`; see page_assets.py.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from e2wsol.localization.baselines import CENTRE_BOX
from e2wsol.visualize.results import THRESHOLD_KINDS, Result, score_rows, value_of

_METRICS = {"gt_known": "GT-known Loc", "top1": "Top-1 Loc", "top5": "Top-5 Loc"}
_WIDTH, _HEIGHT = 480, 346
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 468, 80, 280
_FIRST_MARK, _MARK_ROW, _MARK_ROWS = 36, 16, 45
_LEGEND_ROW = 18
# Points of a curve: the plot is not wider than some hundred pixels.
_POINTS = 250
# SVG has no flow layout; so many units a letter are enough for the page's font.
_LETTER = 7
_AXIS_ENDS = (0.25, 0.5, 1.0)
_AXIS_TOPS = (0.1, 0.2, 0.3, 0.5, 1.0)
_MARK_NAMES = {"protocol": "protocol", "validation": "chosen on validation", "best": "best"}


@dataclasses.dataclass(frozen=True)
class Curve:
    """One curve: its name, increasing thresholds in [0, 1], the score in [0, 1] at each, and its CSS class."""

    name: str
    thresholds: list
    values: list
    kind: str


@dataclasses.dataclass(frozen=True)
class ThresholdMark:
    """One threshold to point out: its kind (protocol, validation, best) and the score there."""

    kind: str
    threshold: float
    value: float


def charts(result: Result, second: Result | None = None, names: Sequence[str] = ()) -> list[tuple[float, str]]:
    """Charts of the metrics whose curves the result holds: a list of (IoU threshold, SVG).

    Each shows the method's curve with its marked thresholds and the baselines' curves; the centre
    box's is flat, since it has no threshold.

    Args:
      result: the dict of result.json.
      second: another result, whose method's curve is drawn into the same charts, without marks.
      names: what the two methods' curves are called; empty for the methods' names.
    """
    first = names[0] if names else result["method"]
    drawn = []
    for key in dict.fromkeys(key for curves in _localizers(result).values() for key in curves):
        metric, iou = key.rsplit("_", 1)
        metric = _METRICS.get(metric, metric)
        rows = {row.localizer: row for row in score_rows(result) if row.metric == metric and row.iou == float(iou)}
        lines = _lines(result, key)
        if lines and lines[0].kind == "method":
            lines[0] = dataclasses.replace(lines[0], name=first)
        if second:
            others = [line for line in _lines(second, key) if line.kind == "method"]
            lines[1:1] = [dataclasses.replace(line, name=names[1], kind="second") for line in others]
        marks = [] if second else _marks(rows.get(result["method"]))
        drawn.append((float(iou), chart(lines, marks, title=f"{metric}, IoU {iou}")))
    return drawn


def _localizers(result):
    """Curves by localizer, the method's first."""
    curves = {name: curves for name, curves in result["curves"].items() if name != "thresholds"}
    method = curves.pop(result["method"], None)
    return curves if method is None else {result["method"]: method, **curves}


def _lines(result, key):
    thresholds = result["curves"].get("thresholds", [])
    return [
        Curve(name, *_thinned(thresholds, curves[key]), _kind(name, result["method"]))
        for name, curves in _localizers(result).items()
        if key in curves
    ]


def _thinned(thresholds, values):
    """At most about _POINTS of them, first and last kept: a chart shows no more."""
    step = max(1, len(thresholds) // _POINTS)
    kept = [*range(0, len(thresholds) - 1, step), len(thresholds) - 1] if thresholds else []
    return [thresholds[place] for place in kept], [values[place] for place in kept]


def _kind(name, method):
    if name == method:
        return "method"
    return "flat" if name == CENTRE_BOX else "baseline"


def _marks(row):
    scores = row.scores if row else {}
    found = [(kind, scores[kind], value_of(scores[kind])) for kind in THRESHOLD_KINDS if kind in scores]
    return [
        ThresholdMark(kind, score["threshold"], value)
        for kind, score, value in found
        if score.get("threshold") is not None and value is not None
    ]


def chart(lines: Sequence[Curve], marks: Sequence[ThresholdMark], *, title: str) -> str:
    """One line chart as an SVG element.

    Args:
      lines: `Curve`s; the horizontal axis is the threshold, the vertical one is 0 to 100%.
      marks: `ThresholdMark`s, each a vertical line with its name above the plot and a dot at its score.
      title: heading, also the accessible name.
    """
    used = max([*(t for line in lines for t in line.thresholds), *(mark.threshold for mark in marks)], default=1.0)
    axis = PlotAxes(next((end for end in _AXIS_ENDS if used <= end), used))
    # From left to right and downwards: so no mark's line crosses the name of another.
    ordered = sorted(marks, key=lambda mark: mark.threshold)
    parts = [
        *grid(axis, "threshold on the score map"),
        *(_polyline(axis, line) for line in reversed(lines)),
        *(part for row, mark in enumerate(ordered) for part in _mark(axis, mark, row)),
    ]
    return drawing(title, parts, [(line.name, line.kind) for line in lines], marks=bool(marks))


def drawing(title: str, parts: Iterable[str], entries: Sequence[tuple[str, str]], *, marks: bool = False) -> str:
    """The SVG of a plot: its title, its parts and, below them, a legend of (name, CSS class).

    Without marks there is no room for their names above the plot.
    """
    top = 0 if marks else _MARK_ROWS
    rows = _legend_rows(entries)
    height = _HEIGHT + _LEGEND_ROW * (max((row for *_, row in rows), default=0))
    return "\n".join(
        [
            f'<svg class="chart" viewBox="0 {top} {_WIDTH} {height - top}" role="img" aria-label="{escape(title)}">',
            f'<text class="title" x="{_LEFT}" y="{top + 13}">{escape(title)}</text>',
            *parts,
            *(_legend_entry(*row) for row in rows),
            "</svg>",
        ]
    )


@dataclasses.dataclass(frozen=True)
class PlotAxes:
    """Data to view box coordinates; the horizontal axis runs from 0 to `end`, the vertical one to `top`."""

    end: float
    top: float = 1.0

    def x(self, threshold: float) -> float:
        """The place of a threshold, or an IoU, from the left."""
        return _LEFT + (_RIGHT - _LEFT) * threshold / self.end

    def y(self, value: float) -> float:
        """The place of a share from above."""
        return _BOTTOM - (_BOTTOM - _TOP) * value / self.top


def grid(axis: PlotAxes, label: str) -> Iterator[str]:
    """Yields the lines and numbers behind a plot whose vertical axis is in per cent."""
    for step in range(6):
        value = axis.top * step / 5
        y = axis.y(value)
        yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_RIGHT}" y2="{y:.1f}"/>'
        yield f'<text class="label" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{100 * value:.3g}%</text>'
        tick = axis.end * step / 5
        yield f'<text class="label" x="{axis.x(tick):.1f}" y="{_BOTTOM + 16}" text-anchor="middle">{tick:.2g}</text>'
    middle = (_LEFT + _RIGHT) / 2
    yield f'<text class="label" x="{middle}" y="{_BOTTOM + 33}" text-anchor="middle">{escape(label)}</text>'


def _polyline(axis, line):
    points = " ".join(f"{axis.x(t):.1f},{axis.y(v):.1f}" for t, v in zip(line.thresholds, line.values) if v == v)
    return f'<polyline class="line {line.kind}" points="{points}"><title>{escape(line.name)}</title></polyline>'


def _mark(axis, mark, row):
    x, label_y = axis.x(mark.threshold), _FIRST_MARK + _MARK_ROW * row
    text = f"{_MARK_NAMES[mark.kind]} {mark.threshold:.3g}: {100 * mark.value:.1f}%"
    # A name that would run out of the chart stands to the left of its line.
    fits = x + _LETTER * len(text) < _WIDTH
    anchor, shift = ("start", 5) if fits else ("end", -5)
    yield f'<line class="mark {mark.kind}" x1="{x:.1f}" y1="{label_y - 9}" x2="{x:.1f}" y2="{_BOTTOM}"/>'
    yield f'<circle class="mark {mark.kind}" cx="{x:.1f}" cy="{axis.y(mark.value):.1f}" r="3.5"/>'
    yield f'<text class="label" x="{x + shift:.1f}" y="{label_y}" text-anchor="{anchor}">{escape(text)}</text>'


def _legend_rows(entries):
    """(name, CSS class, x, row) of each entry, as many in a row as fit."""
    rows, x, row = [], _LEFT, 0
    for name, kind in entries:
        width = 32 + _LETTER * len(name)
        if x > _LEFT and x + width > _WIDTH:
            x, row = _LEFT, row + 1
        rows.append((name, kind, x, row))
        x += width + 18
    return rows


def _legend_entry(name, kind, x, row):
    y = _HEIGHT - 8 + _LEGEND_ROW * row
    return (
        f'<line class="line {kind}" x1="{x}" y1="{y - 4}" x2="{x + 26}" y2="{y - 4}"/>'
        f'<text class="label" x="{x + 32}" y="{y}">{escape(name)}</text>'
    )


def overlap_chart(result: Result, second: Result | None = None, names: Sequence[str] = ()) -> str:
    """The SVG of the shares of pictures by IoU with the true box; empty where the result has no such counts.

    The method stands against the centre box or, with `second`, against that run's method; arguments as
    in `charts`.
    """
    kind = "validation" if "validation" in _overlap_counts(result) else "protocol"
    found = _overlap_counts(result).get(kind, {})
    steps = [(names[0] if names else result["method"], found.get(result["method"]), "method")]
    if second:
        steps.append((names[1], _overlap_counts(second).get(kind, {}).get(second["method"]), "second"))
    steps.append((CENTRE_BOX, found.get(CENTRE_BOX), "flat"))
    steps = [
        (name, [count / sum(counts) for count in counts], css) for name, counts, css in steps if _has_counts(counts)
    ]
    if not steps or steps[0][2] != "method":
        return ""
    highest = max(max(shares) for _, shares, _ in steps)
    axis = PlotAxes(1.0, next(top for top in _AXIS_TOPS if highest <= top))
    edges = [*result["overlaps"]["from"], 1.0]
    parts = [*grid(axis, "IoU with the true box"), *(_overlap_steps(axis, edges, *step) for step in reversed(steps))]
    return drawing("Pictures by overlap", parts, [(name, css) for name, _, css in steps])


def _overlap_counts(result):
    """{threshold kind: {localizer: pictures in each class of IoU}}."""
    found = {}
    for entry in (result.get("overlaps") or {}).get("counts", []):
        found.setdefault(entry["threshold_from"], {})[entry["localizer"]] = entry["pictures"]
    return found


def _has_counts(counts):
    return counts is not None and sum(counts) > 0


def _overlap_steps(axis, edges, name, shares, css):
    corners = [(x, share) for low, high, share in zip(edges, edges[1:], shares) for x in (low, high)]
    points = " ".join(f"{axis.x(x):.1f},{axis.y(share):.1f}" for x, share in [(0, 0), *corners, (1, 0)])
    return f'<polyline class="line {css} steps" points="{points}"><title>{escape(name)}</title></polyline>'
