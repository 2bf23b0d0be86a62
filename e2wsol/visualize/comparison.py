"""The report of two runs side by side."""

import dataclasses
from html import escape
from typing import Any

from e2wsol.errors import ArgumentError
from e2wsol.visualize import gallery
from e2wsol.visualize.charts import charts, overlap_chart
from e2wsol.visualize.document import document, folded_table, tile
from e2wsol.visualize.report_page import (
    chart_section,
    classification,
    dataset_title,
    facts,
    first_kind,
    first_rows,
    glossary,
    image_key,
    outcome_rules,
    score_note,
    settings,
    shown_at,
)
from e2wsol.visualize.results import value_of
from e2wsol.visualize.score_tables import KIND_HEADS, comparison_tables, points

_SAME = {"Data set": "name", "Split": "split", "Pictures": "pictures", "Classes": "classes"}
# What may differ between comparable runs without a word; all other facts are the scores' rules.
_FREE = ("Method", "Backbone", "Input side", "Checkpoint")
# What an empty fact says: plain means over all pictures, classes from one view.
_USUAL = "the usual"


@dataclasses.dataclass(frozen=True)
class EvaluatedRun:
    """One of the two: what the page calls it, its result, its samples or None, its class names."""

    name: str
    result: dict
    samples: dict | None
    classes: list


def check_comparable(first: EvaluatedRun, second: EvaluatedRun) -> None:
    """Raises an ArgumentError unless both runs were scored on the same pictures and classes."""
    for text, key in _SAME.items():
        ours, theirs = (run.result["dataset"].get(key) for run in (first, second))
        if ours != theirs:
            raise ArgumentError(
                "compare",
                None,
                f"{text.lower()} {theirs!r}, where run_dir has {ours!r}; "
                "only runs that were scored on the same images can be compared",
            )
    if first.classes and second.classes and first.classes != second.classes:
        raise ArgumentError("compare", None, "other classes than those of run_dir, or in another order (dataset.json)")


def different_rules(first: EvaluatedRun, second: EvaluatedRun) -> dict[str, tuple[Any, Any]]:
    """{fact: (first's, second's)} where the two scores do not mean the same, such as the protocol."""
    ours, theirs = facts(first.result), facts(second.result)
    return {name: (ours[name], theirs[name]) for name in ours if name not in _FREE and ours[name] != theirs[name]}


def comparison_page(first: EvaluatedRun, second: EvaluatedRun, *, pictures: int = 48) -> str:
    """The comparison as an HTML document.

    Args:
      first: an EvaluatedRun.
      second: another that `check_comparable` accepts beside it.
      pictures: how many pictures the page shows at most, of those that both runs kept.
    """
    title = f"{first.name} and {second.name} on {dataset_title(first.result)}"
    names, results = (first.name, second.name), (first.result, second.result)
    note = " The difference is the second run's score less the first's, in points."
    sections = [
        f"<h1>{escape(title)}</h1>",
        _warning(different_rules(first, second)),
        _tiles(first, second),
        "<h2>Scores</h2>",
        score_note(first.result, note + " One training run of each says nothing of the spread between seeds."),
        comparison_tables(*results, names),
        chart_section(charts(*results, names), overlap_chart(*results, names)),
        _images(first, second, pictures),
        "<h2>The two runs</h2>",
        _facts(first, second),
        _settings(first, second),
        glossary(first.result),
    ]
    return document(title, sections)


def _warning(different):
    if not different:
        return ""
    entries = "".join(
        f"<li>{escape(name)}: {escape(str(ours or _USUAL))} against {escape(str(theirs or _USUAL))}</li>"
        for name, (ours, theirs) in different.items()
    )
    return (
        '<div class="warning" role="note"><b>The two were not scored by the same rules.</b> Their differences mix the '
        f"runs' with the rules'.<ul>{entries}</ul></div>"
    )


def _text(value):
    return "-" if value in (None, "") else str(value)


def _tiles(first, second):
    """The scores to read first, of both."""
    theirs = {row.metric: row for row in first_rows(second.result)}
    tiles = []
    for row in first_rows(first.result):
        kind = first_kind(row)
        other = theirs.get(row.metric)
        pair = value_of(row.scores.get(kind)), value_of(other.scores.get(kind)) if other else None
        tiles.append((row.metric, *pair, f"IoU 0.5, {KIND_HEADS[kind]}"))
    ours, theirs = classification(first.result), classification(second.result)
    tiles += [(name, value, theirs.get(name), "accuracy") for name, value in ours.items()]
    drawn = [
        tile(name, f"{100 * a:.1f} → {100 * b:.1f}", f"{points(a, b)} points; {note}")
        for name, a, b, note in tiles
        if a is not None and b is not None
    ]
    return f'<div class="stats pairs">{"".join(drawn)}</div>'


def _images(first, second, count):
    if first.samples is None or second.samples is None or not count:
        return ""
    both = len(gallery.common(first.samples["ids"], second.samples["ids"]))
    if not both:
        text = "The two runs kept no picture in common: evaluate both with a larger --samples."
        return f'<h2>Pictures</h2><p class="soft">{text}</p>'
    threshold = " and ".join(f"of {run.name} at {shown_at(run.result)}" for run in (first, second))
    text = (
        f"Boxes {threshold}. Each run keeps its own best and worst pictures and the same random ones; here are those "
        f"that both kept, {both} in all: for more, evaluate both with a larger --samples."
    )
    runs = [gallery.RunSamples(run.name, run.samples) for run in (first, second)]
    names = first.classes or second.classes
    return image_key(escape(text)) + outcome_rules() + gallery.paired(*runs, names, count)


def _facts(first, second):
    ours, theirs = facts(first.result), facts(second.result)
    rows = [(name, _text(ours[name]), _text(theirs[name])) for name in ours if ours[name] or theirs[name]]
    body = "\n".join(
        f'<tr{"" if a == b else " class=differs"}><th scope="row">{escape(name)}</th>'
        f"<td>{escape(a)}</td><td>{escape(b)}</td></tr>"
        for name, a, b in rows
    )
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in ("", first.name, second.name))
    return (
        '<div class="scroll texts" tabindex="0" role="region" aria-label="The two runs"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
    )


def _settings(first, second):
    ours, theirs = settings(first.result), settings(second.result)
    names = [name for name in {**ours, **theirs} if name != "seconds" and ours.get(name) != theirs.get(name)]
    rows = [(name, _text(ours.get(name)), _text(theirs.get(name))) for name in names]
    return folded_table("Flags and versions that differ", ("setting", first.name, second.name), rows)
