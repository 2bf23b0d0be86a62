"""Score-over-threshold curves as inline SVG.

Colours come from the page: lines carry the classes `method`, `baseline` and `flat`, marks the classes
`mark` and their kind, text `label`; see page_style.py.
"""

import dataclasses
from html import escape

from e2wsol.localization.baselines import CENTRE_BOX
from e2wsol.visualize.results import THRESHOLD_KINDS, score_rows, value_of

_METRICS = {"gt_known": "GT-known Loc", "top1": "Top-1 Loc", "top5": "Top-5 Loc"}
_WIDTH, _HEIGHT = 480, 346
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 468, 80, 280
_FIRST_MARK, _MARK_ROW = 36, 16
# SVG has no flow layout; so many units a letter are enough for the page's font.
_LETTER = 7
_AXIS_ENDS = (0.25, 0.5, 1.0)
_MARK_NAMES = {"protocol": "protocol", "validation": "chosen on validation", "best": "best"}


@dataclasses.dataclass(frozen=True)
class Line:
    """One curve: its name, the scores in [0, 1] at the chart's thresholds, and its CSS class."""

    name: str
    values: list
    kind: str


@dataclasses.dataclass(frozen=True)
class Mark:
    """One threshold to point out: its kind (protocol, validation, best) and the score there."""

    kind: str
    threshold: float
    value: float


def charts(result):
    """One SVG a metric whose curve the result holds, as a list of strings.

    Each shows the method's curve with its marked thresholds and the baselines' curves; the centre
    box's is flat, since it has no threshold.
    """
    thresholds = result["curves"].get("thresholds", [])
    localizers = {name: curves for name, curves in result["curves"].items() if name != "thresholds"}
    keys = dict.fromkeys(key for curves in localizers.values() for key in curves)
    drawn = []
    for key in keys:
        metric, iou = key.rsplit("_", 1)
        metric = _METRICS.get(metric, metric)
        rows = {row.localizer: row for row in score_rows(result) if row.metric == metric and row.iou == float(iou)}
        lines = [
            Line(name, curves[key], _kind(name, result["method"]))
            for name, curves in localizers.items()
            if key in curves
        ]
        drawn.append(chart(thresholds, lines, _marks(rows.get(result["method"])), title=f"{metric}, IoU {iou}"))
    return drawn


def _kind(name, method):
    if name == method:
        return "method"
    return "flat" if name == CENTRE_BOX else "baseline"


def _marks(row):
    scores = row.scores if row else {}
    found = [(kind, scores[kind], value_of(scores[kind])) for kind in THRESHOLD_KINDS if kind in scores]
    return [
        Mark(kind, score["threshold"], value)
        for kind, score, value in found
        if score.get("threshold") is not None and value is not None
    ]


def chart(thresholds, lines, marks, *, title):
    """One line chart as an SVG element.

    Args:
      thresholds: increasing numbers in [0, 1], the horizontal axis (L).
      lines: `Line`s whose values have length L; the vertical axis is 0 to 100%.
      marks: `Mark`s, each a vertical line with its name above the plot and a dot at its score.
      title: heading, also the accessible name.
    """
    used = max([*thresholds, *(mark.threshold for mark in marks)], default=1.0)
    axis = _Axis(next((end for end in _AXIS_ENDS if used <= end), used))
    # From left to right and downwards: so no mark's line crosses the name of another.
    ordered = sorted(marks, key=lambda mark: mark.threshold)
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text class="title" x="{_LEFT}" y="13">{escape(title)}</text>',
        *_grid(axis),
        *(_polyline(axis, thresholds, line) for line in reversed(lines)),
        *(part for row, mark in enumerate(ordered) for part in _mark(axis, mark, row)),
        *_legend(lines),
        "</svg>",
    ]
    return "\n".join(parts)


@dataclasses.dataclass(frozen=True)
class _Axis:
    """Data to view box coordinates; thresholds run from 0 to `end`."""

    end: float

    def x(self, threshold):
        return _LEFT + (_RIGHT - _LEFT) * threshold / self.end

    def y(self, value):
        return _BOTTOM - (_BOTTOM - _TOP) * value


def _grid(axis):
    for percent in range(0, 101, 20):
        y = axis.y(percent / 100)
        yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_RIGHT}" y2="{y:.1f}"/>'
        yield f'<text class="label" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{percent}%</text>'
    for step in range(6):
        tick = axis.end * step / 5
        yield f'<text class="label" x="{axis.x(tick):.1f}" y="{_BOTTOM + 16}" text-anchor="middle">{tick:.2g}</text>'
    middle = (_LEFT + _RIGHT) / 2
    yield f'<text class="label" x="{middle}" y="{_BOTTOM + 33}" text-anchor="middle">threshold on the score map</text>'


def _polyline(axis, thresholds, line):
    points = " ".join(f"{axis.x(t):.1f},{axis.y(v):.1f}" for t, v in zip(thresholds, line.values) if v == v)
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


def _legend(lines):
    x, y = _LEFT, _HEIGHT - 8
    for line in lines:
        yield f'<line class="line {line.kind}" x1="{x}" y1="{y - 4}" x2="{x + 26}" y2="{y - 4}"/>'
        yield f'<text class="label" x="{x + 32}" y="{y}">{escape(line.name)}</text>'
        x += 32 + _LETTER * len(line.name) + 18
