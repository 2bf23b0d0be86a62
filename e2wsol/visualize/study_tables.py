"""The study page's tables: scores, differences to CAM, the papers' claims, published scores beside ours."""

import itertools
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from e2wsol.visualize.document import table
from e2wsol.visualize.forest_plot import Difference
from e2wsol.visualize.results import Study
from e2wsol.visualize.score_tables import KIND_HEADS, low_high, signed

_NOT_MEASURED = '<span class="soft">not measured</span>'
_NO_SCORE = "-"
_VERDICTS = {
    "yes": '<b class="good">✓ holds</b>',
    "no": '<b class="bad">✗ does not hold</b>',
    "open": "<b>open</b>",
    "not measured": _NOT_MEASURED,
}
# By column: the key of a published row, and of our scores beside it.
_PAPER_METRICS = {
    "gt_known": "GT-known Loc",
    "top1_loc": "Top-1 Loc",
    "top5_loc": "Top-5 Loc",
    "top1_class": "Top-1 class",
}


def mean_of(row: Mapping[str, Any], key: str) -> float | None:
    """A row's mean score in [0, 1]; None where it has none."""
    return (row["scores"].get(key) or {}).get("mean")


def is_baseline(row: Mapping[str, Any]) -> bool:
    """Whether a row is one of the centre baselines."""
    return row["kind"] == "baseline"


def ordered(study: Study) -> list[dict[str, Any]]:
    """The rows: highest score in the first metric that the suite is read by first, those without one last."""
    key = next(iter(study["suite"]["read_by"]), "")

    def height(row):
        mean = mean_of(row, key)
        return -1.0 if mean is None else mean

    return sorted(study["rows"], key=height, reverse=True)


def bars(study: Study) -> dict[str, float]:
    """{key: the higher one of the centre baselines' scores} of the metrics that the suite is read by."""
    baselines = [row for row in study["rows"] if is_baseline(row)]
    found = {key: [mean_of(row, key) for row in baselines] for key in study["suite"]["read_by"]}
    means = {key: [mean for mean in values if mean is not None] for key, values in found.items()}
    return {key: max(values) for key, values in means.items() if values}


def shows_nothing(row: Mapping[str, Any], heights: Mapping[str, float]) -> bool:
    """Whether a row beats the centre baselines in none of the metrics of `bars` that it has a score in."""
    pairs = [(mean_of(row, key), height) for key, height in heights.items()]
    below = [mean <= height for mean, height in pairs if mean is not None]
    return not is_baseline(row) and bool(below) and all(below)


def score_table(study: Study) -> str:
    """A row an entry, a column a metric, the centre baselines last and set apart."""
    rows, heights = ordered(study), bars(study)
    titles = {row["entry"]: row["title"] for row in rows}
    absent = {item["entry"]: item["title"] for item in study["missing"] if item["entry"] not in titles}
    entries = [_score_row(study, row, titles, heights) for row in rows if not is_baseline(row)]
    entries += [_absent_row(study, title) for title in absent.values()]
    baselines = [_score_row(study, row, titles, heights) for row in rows if is_baseline(row)]
    columns = len(study["metrics"]) + 2
    heads = ["entry", "seeds", *(_metric_head(metric, study["suite"]["read_by"]) for metric in study["metrics"])]
    title = "Centre baselines: no network, the same for every picture"
    return table("Scores", heads, [_body(entries), _body(baselines, title, columns)], "study")


def _body(lines, title="", columns=1):
    if not lines:
        return ""
    head = f'<tr><th scope="rowgroup" colspan="{columns}">{escape(title)}</th></tr>\n' if title else ""
    return f"<tbody>\n{head}" + "\n".join(lines) + "\n</tbody>"


def _metric_head(metric, read_by):
    threshold = KIND_HEADS.get(metric.get("threshold"), "")
    read = "<small><b>main measure</b></small>" if metric["key"] in read_by else ""
    return f"{escape(metric['title'])}<small>{threshold}</small>{read}"


def _score_row(study, row, titles, heights):
    notes = []
    if row["of"]:
        place = f"{row['layer']} of" if row.get("layer") else "on"
        note = f"{row['kind']}, {place} {titles.get(row['of'], row['of'])}'s network"
        notes.append(f"<small>{escape(note)}</small>")
    nothing = shows_nothing(row, heights)
    if nothing:
        notes.append('<small class="bad">has shown nothing †</small>')
    cells = "".join(_score_cell(row, metric["key"], heights) for metric in study["metrics"])
    return (
        f'<tr{" class=soft" if nothing else ""}><th scope="row">{escape(row["title"])}{"".join(notes)}</th>'
        f"<td>{_seeds(row, study['suite']['seeds'])}</td>{cells}</tr>"
    )


def _seeds(row, wanted):
    if is_baseline(row):
        return _NO_SCORE
    return str(len(wanted)) if len(row["seeds"]) == len(wanted) else f"{len(row['seeds'])} of {len(wanted)}"


def _score_cell(row, key, heights):
    mean, score = mean_of(row, key), row["scores"].get(key)
    css = ' class="read"' if key in heights else ""
    if mean is None:
        return f"<td{css}>{_NO_SCORE}</td>"
    deviation = score["deviation"]
    spread = "" if deviation is None else f" ± {100 * deviation:.1f}"
    dagger = '<span class="over"> †</span>' if key in heights and not is_baseline(row) and mean <= heights[key] else ""
    return f"<td{css}>{100 * mean:.1f}{spread}{dagger}{low_high(score['interval'])}</td>"


def _absent_row(study, title):
    cells = f"<td>{_NOT_MEASURED}</td>" * len(study["metrics"])
    return f'<tr><th scope="row">{escape(title)}</th><td>0 of {len(study["suite"]["seeds"])}</td>{cells}</tr>'


def difference_table(found: Sequence[Difference], title: str) -> str:
    """The numbers of a forest plot.

    Args:
      found: list of forest_plot.Difference.
      title: the table's accessible name.
    """
    lines = [
        f'<tr><th scope="row">{escape(item.name)}</th><td>{signed(100 * item.value)}</td>'
        f"<td>{_ends(item.interval)}</td><td>{'&lt;0.001' if item.p < 0.0005 else f'{item.p:.3f}'}</td></tr>"
        for item in found
    ]
    return table(title, ["entry", "difference", "95% interval", "p"], [_body(lines)], "figures")


def _difference(value, interval):
    """Points with their interval under them."""
    if value is None:
        return _NOT_MEASURED
    return signed(100 * value) + ("" if interval is None else f"<small>{_ends(interval)}</small>")


def _ends(interval):
    """An interval of a difference, as +1.2 to +3.4 points."""
    return " to ".join(signed(100 * end) for end in interval)


def claims_table(study: Study) -> str:
    """What the papers claim, what was measured, and whether it holds."""
    titles = {row["entry"]: row["title"] for row in [*study["missing"], *study["rows"]]}
    metrics = {metric["key"]: metric["title"] for metric in study["metrics"]}
    lines = [
        f'<tr><th scope="row">{escape(titles.get(claim["entry"], claim["entry"]))}</th>'
        f"<td>{escape(claim['claim'])}<small>{escape(metrics.get(claim['metric'], claim['metric']))}</small></td>"
        f"<td>{_difference(claim['difference'], claim['interval'])}</td>"
        f"<td>{_VERDICTS[claim['holds']]}</td><td>{escape(claim['why'] or '')}</td></tr>"
        for claim in study["claims"]
    ]
    heads = ["entry", "claim", "difference<small>95% interval</small>", "here", "why"]
    return table("Claims of the papers", heads, [_body(lines)], "words")


def papers_table(study: Study) -> str:
    """The published scores by method, and below those of one setting of ours what was measured here."""
    titles = {row["entry"]: row["title"] for row in study["rows"]}
    heads = ["", "backbone", "data set", *_PAPER_METRICS.values(), "source"]
    methods: dict[str, list[dict[str, Any]]] = {}
    for paper in study["papers"]:
        methods.setdefault(paper["method"], []).append(paper)
    bodies = [
        _body(list(_paper_lines(rows, len(heads))), titles.get(name, name), len(heads))
        for name, rows in methods.items()
    ]
    return table("Paper, ours, not measured", heads, bodies, "words papers")


def _paper_lines(papers, columns):
    """A line a published row, and after those of one `ours` that one."""
    for ours, group in itertools.groupby(papers, key=lambda paper: paper["ours"]):
        yield from map(_published, group)
        yield _ours(ours, columns)


def _published(paper):
    cells = "".join(f"<td>{_percent(paper.get(key), 'not given')}</td>" for key in _PAPER_METRICS)
    note = f"<small>{escape(paper['protocol_note'])}</small>" if paper.get("protocol_note") else ""
    return (
        f'<tr><th scope="row">paper</th><td>{escape(paper["backbone"])}</td><td>{escape(paper["dataset"])}</td>'
        f"{cells}<td>{escape(paper['source'])}{note}</td></tr>"
    )


def _ours(ours, columns):
    if ours is None:
        return f'<tr class="ours"><th scope="row">ours</th><td colspan="{columns - 1}">{_NOT_MEASURED}</td></tr>'
    shares = {key: None if ours.get(key) is None else 100 * ours[key] for key in _PAPER_METRICS}
    cells = "".join(f"<td>{_percent(share, 'not measured')}</td>" for share in shares.values())
    return (
        f'<tr class="ours"><th scope="row">ours</th><td colspan="2">{escape(ours["setting"])}</td>{cells}'
        "<td>this study</td></tr>"
    )


def _percent(value, absent):
    return f'<span class="soft">{absent}</span>' if value is None else f"{value:.1f}"
