"""A forest plot as inline SVG: each entry's difference to CAM with its confidence interval, and its seeds."""

import dataclasses
import math
from collections.abc import Sequence
from html import escape

from e2wsol.visualize.results import Study

_WIDTH, _RIGHT, _TOP, _ROW = 640, 620, 14, 30
_SEED_SHIFT = 9
# SVG has no flow layout; so many units a letter are enough for the page's font.
_LETTER = 6.5
_MARGIN, _MOST_LETTERS = 16, 36
_STEPS = 6


@dataclasses.dataclass(frozen=True)
class Difference:
    """An entry's score less CAM's, in [-1, 1].

    Attributes:
      name: the entry's title.
      value: the difference of the means over seeds.
      interval: its ends (low, high).
      p: of the test that there is no difference.
      by_seed: the difference of each seed that both have.
    """

    name: str
    value: float
    interval: tuple
    p: float
    by_seed: tuple

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return not self.interval[0] <= 0 <= self.interval[1]


def differences(study: Study, key: str) -> list[Difference]:
    """The Differences of all entries that were compared with CAM in one metric, largest first."""
    found = [(row, (row["against_cam"] or {}).get(key)) for row in study["rows"]]
    return sorted(
        (_difference(row["title"], against) for row, against in found if against),
        key=lambda difference: -difference.value,
    )


def _difference(title, against):
    interval, seeds = tuple(against["interval"]), tuple(against["by_seed"])
    return Difference(title, against["difference"], interval, against["p"], seeds)


def forest_plot(found: Sequence[Difference], title: str) -> str:
    """The SVG of some Differences, a row each, in points; the page's style colours it.

    Args:
      found: list of Difference, not empty.
      title: the accessible name.
    """
    left = _MARGIN + _LETTER * min(_MOST_LETTERS, max(len(difference.name) for difference in found))
    ticks = _ticks([100 * value for item in found for value in (0, item.value, *item.interval, *item.by_seed)])
    axis = _PointsAxis(left, ticks[0], ticks[-1])
    bottom = _TOP + _ROW * len(found)
    return "\n".join(
        [
            f'<svg class="chart forest" viewBox="0 0 {_WIDTH} {bottom + 44}" role="img" aria-label="{escape(title)}">',
            *(_tick(axis.x(tick), bottom, tick) for tick in ticks),
            f'<text class="label" x="{(left + _RIGHT) / 2:.1f}" y="{bottom + 38}" text-anchor="middle">'
            "difference to CAM in points</text>",
            *(_row(axis, left, _TOP + _ROW * (place + 0.4), item) for place, item in enumerate(found)),
            "</svg>",
        ]
    )


@dataclasses.dataclass(frozen=True)
class _PointsAxis:
    """Points to view box coordinates: `low` stands at `left`, `high` at the right margin."""

    left: float
    low: float
    high: float

    def x(self, points: float) -> float:
        return self.left + (_RIGHT - self.left) * (points - self.low) / (self.high - self.low)


def _ticks(values):
    """Round numbers, evenly spaced, from at most the lowest value to at least the highest."""
    low, high = min(values), max(values)
    least = max(high - low, 1.0) / _STEPS
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
    first, last = math.floor(low / step), math.ceil(high / step)
    return [step * number for number in range(first, max(last, first + 1) + 1)]


def _tick(x, bottom, tick):
    css = "zero" if tick == 0 else "grid"
    text = f"{tick:+.3g}".replace("-", "\N{MINUS SIGN}") if tick else "0"
    return (
        f'<line class="{css}" x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{bottom}"/>'
        f'<text class="label" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{text}</text>'
    )


def _row(axis, left, y, item):
    name = item.name if len(item.name) <= _MOST_LETTERS else item.name[: _MOST_LETTERS - 1] + "…"
    low, high = (axis.x(100 * end) for end in item.interval)
    seeds = "".join(
        f'<circle class="seed" cx="{axis.x(100 * value):.1f}" cy="{y + _SEED_SHIFT:.1f}" r="2.5"/>'
        for value in item.by_seed
    )
    return (
        f'<g class="{"clear" if item.clear else "open"}"><title>{escape(item.name)}</title>'
        f'<text x="{left - 10:.1f}" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>'
        f'<line class="whisker" x1="{low:.1f}" y1="{y:.1f}" x2="{high:.1f}" y2="{y:.1f}"/>{seeds}'
        f'<circle class="point" cx="{axis.x(100 * item.value):.1f}" cy="{y:.1f}" r="5"/></g>'
    )
