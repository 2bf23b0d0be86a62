"""The report of one run, and what it shares with the comparison of two."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from e2wsol.localization.baselines import CENTRE_BOX
from e2wsol.visualize import gallery
from e2wsol.visualize.charts import charts, overlap_chart
from e2wsol.visualize.document import definitions, document, folded_table, tile
from e2wsol.visualize.gallery import OUTCOMES
from e2wsol.visualize.results import (
    Result,
    Samples,
    ScoreRow,
    averaging,
    cropping,
    leaving_out,
    score_rows,
    skipping,
    value_of,
)
from e2wsol.visualize.score_tables import KIND_HEADS, method_rows, percent, score_tables

_GLOSSARY = {
    "IoU": "Area that the predicted and the true box share, divided by the area that they cover together: 1 is a "
    "perfect box, 0 no overlap.",
    "GT-known Loc": "Share of pictures whose box hits a true box (IoU at least the bound shown, or above it, as the "
    "protocol says) when the map is asked for the true class. It measures localization alone. MaxBoxAcc is its "
    "figure at the best threshold.",
    "Top-1 Loc": "Share of pictures whose box hits and whose class is predicted rightly.",
    "Top-5 Loc": "Share of pictures whose box hits and whose true class is among the five most probable.",
    "PxAP": "Average precision of the map's pixels against the object's outline, over all thresholds; it needs no box "
    "and no threshold.",
    "PIoU": "IoU of the pixels above the threshold with those of the object, over all pictures, at the threshold "
    "where it is highest.",
    "Threshold": "The box encloses what the score map marks above the threshold. The protocol's is fixed beforehand; "
    "the validation one was chosen on other pictures than the scored; the best one was chosen on the scored pictures "
    "themselves, as most papers report it, so it is an upper bound.",
    "Centre box": "No network: a box in the middle of every picture with 0.7 of its sides. A method has to beat it.",
    "Centre Gaussian": "No network: the map is a Gaussian bump in the middle of every picture.",
}


def report_page(
    result: Result,
    samples: Samples | None,
    names: Sequence[str],
    *,
    pictures: int = 48,
    pseudo_masks: np.ndarray | None = None,
) -> str:
    """The report of one run as an HTML document.

    Args:
      result: the dict of result.json, checked by `results.load_result`.
      samples: the arrays of samples.npz, or None to leave the pictures out.
      names: class names in label order, may be empty.
      pictures: how many pictures the page shows at most.
      pseudo_masks: uint8 RGB sheet of masks that the run learned from, or None.
    """
    title = f"{result['method']} on {dataset_title(result)}"
    sections = [
        f"<h1>{escape(title)}</h1>",
        definitions([(name, value) for name, value in facts(result).items() if value not in (None, "")], "facts"),
        _tiles(result),
        "<h2>Scores</h2>",
        score_note(result),
        score_tables(result),
        chart_section(charts(result), overlap_chart(result)),
        _images(result, samples, names, pictures),
        _pseudo_masks(pseudo_masks),
        glossary(result),
        _settings(result),
    ]
    return document(title, sections)


def dataset_title(result: Result) -> str:
    """The data set and split that were scored, for headings."""
    data = result["dataset"]
    return f"{data.get('name', 'a data set')}, {data.get('split', '')} split"


def facts(result: Result) -> dict[str, Any]:
    """What was scored and how, by name; None or empty where the result does not say."""
    data = result["dataset"]
    return {
        "Data set": data.get("name"),
        "Split": data.get("split"),
        "Pictures": data.get("pictures"),
        "Classes": data.get("classes"),
        "Method": result["method"],
        "Backbone": result.get("backbone"),
        "Input side": f"{result['image_size']} pixels" if result.get("image_size") else None,
        "Box protocol": result["protocol"],
        "Averaging": averaging(result),
        "Denominators": leaving_out(result),
        "Bad records": skipping(result),
        "Classes predicted from": cropping(result),
        "Validation threshold from": result.get("threshold_split"),
        "Checkpoint": result["checkpoint"],
    }


def first_kind(row: ScoreRow) -> str:
    """The kind of threshold to read first: the one chosen on validation, else the protocol's, else the best."""
    return next((kind for kind in ("validation", "protocol") if value_of(row.scores.get(kind)) is not None), "best")


def first_rows(result: Result) -> list[ScoreRow]:
    """The method's rows to read first."""
    return [row for row in method_rows(result) if row.iou == 0.5 and row.metric in ("GT-known Loc", "Top-1 Loc")]


def classification(result: Result) -> dict[str, float]:
    """{name: accuracy} of the classes that the result holds."""
    found = {name.replace("top", "Top-"): value for name, value in result["classification"].items()}
    return {f"{name} classification": value for name, value in found.items() if value is not None}


def _tiles(result):
    """The scores to read first: localization against the centre box, and classification."""
    boxes = {(row.metric, row.iou): row for row in score_rows(result) if row.localizer == CENTRE_BOX}
    tiles = []
    for row in first_rows(result):
        kind = first_kind(row)
        value, other = value_of(row.scores.get(kind)), boxes.get((row.metric, row.iou))
        beside = value_of(other.scores.get(kind)) if other else None
        note = f"IoU 0.5, {KIND_HEADS[kind]}" + ("" if beside is None else f"; {CENTRE_BOX} {percent(beside)}")
        if value is not None:
            tiles.append(tile(row.metric, percent(value), note))
    tiles += [tile(name, percent(value), "accuracy") for name, value in classification(result).items()]
    return f'<div class="stats">{"".join(tiles)}</div>'


def score_note(result: Result, more: str = "") -> str:
    """What the tables' numbers are."""
    averaged = f", {averaging(result)}" if averaging(result) else ""
    level = (result.get("bootstrap") or {}).get("level")
    spread = f" Under a score stands its {level:.0%} confidence interval over pictures, then" if level else " Under it"
    spread += " the threshold." if level else " stands the threshold."
    return f'<p class="soft">Per cent of pictures that count as hits{averaged}.{spread}{more}</p>'


def chart_section(drawn: Sequence[tuple[float, str]], overlap: str) -> str:
    """The curves at IoU 0.5 and the histogram of overlaps; the other curves folded."""
    if not drawn and not overlap:
        return ""
    main = [svg for iou, svg in drawn if iou == 0.5] or [svg for _, svg in drawn]
    others = [svg for _, svg in drawn if svg not in main]
    folded = f"<details><summary>Curves of other IoUs</summary>{_charts(others)}</details>" if others else ""
    return (
        "<h2>Score over threshold</h2>\n"
        '<p class="soft">A low threshold gives a large box, a high one a small box. A method is good where its curve '
        "stands above the centre Gaussian's, and safe where the curve is flat around the threshold in use.</p>\n"
        + _charts([*main, overlap] if overlap else main)
        + folded
    )


def _charts(drawn):
    return '<div class="charts">' + "".join(f"<div>{svg}</div>" for svg in drawn) + "</div>"


def shown_at(result: Result) -> str:
    """In words, at which threshold the pictures' boxes were taken; the evaluator's choice."""
    thresholds = result["thresholds"]
    chosen = (thresholds.get("validation") or {}).get("0.5")
    if chosen is not None:
        return f"threshold {chosen:.3f}, chosen on validation"
    default = thresholds.get("protocol")
    return "the protocol's threshold" + ("" if default is None else f", {default:.3f}")


def image_key(text: str) -> str:
    """The pictures' heading, what stands in them, and the colours."""
    return (
        "<h2>Pictures</h2>\n"
        f'<p class="soft">Left the picture as the network saw it, with its boxes; right the score map over it. {text} '
        "A click enlarges a picture; then the arrow keys move on and Escape closes.</p>\n"
        '<p class="key"><span><i class="predicted"></i>predicted box</span>'
        '<span><i class="true"></i>true box</span><span><i class="ramp"></i>score 0 to 1</span></p>\n'
    )


def outcome_rules() -> str:
    """How a picture's outcome is found, folded."""
    rules = [(text, rule) for text, rule in OUTCOMES.values()]
    return (
        "<details><summary>What the outcomes mean</summary>"
        '<p class="soft">The first rule that holds counts. A hit is the protocol\'s, at IoU 0.5; with several true '
        "boxes a miss is judged by the one of the highest IoU. Of a box that missed, the class does not matter.</p>"
        + definitions(rules, "glossary")
        + "</details>\n"
    )


def _images(result, samples, names, count):
    if samples is None or not len(samples["ids"]) or not count:
        return ""
    several = (
        " A hit counts the boxes of all contours; drawn is the largest contour's."
        if result.get("every_contour")
        else ""
    )
    key = image_key(escape(f"Boxes at {shown_at(result)}.{several}"))
    return key + outcome_rules() + gallery.single(samples, names, count)


def _pseudo_masks(sheet):
    """The masks that the run learned from, folded."""
    if sheet is None:
        return ""
    height, width = sheet.shape[:2]
    return (
        "<details><summary>Pseudo masks in the training records: the first pictures</summary>"
        f'<img class="sheet" src="{gallery.jpeg_uri(sheet)}" width="{width}" height="{height}" '
        'alt="Pictures beside their foreground, their prior and what is learned of them"></details>\n'
    )


def glossary(result: Result) -> str:
    """What the scores mean; those that the result does not hold are left out."""
    absent = {name for name in ("PxAP", "PIoU") if not result.get(name.lower())}
    return "<h2>What the figures mean</h2>" + definitions(
        [(term, text) for term, text in _GLOSSARY.items() if term not in absent], "glossary"
    )


def settings(result: Result) -> dict[str, Any]:
    """How the result was made, by name: versions, commit, seconds, flags."""
    pairs = {**(result.get("versions") or {}), "git commit": result.get("git_commit"), "seconds": result.get("seconds")}
    pairs |= {f"--{name}": value for name, value in (result.get("flags") or {}).items()}
    return {name: value for name, value in pairs.items() if value is not None}


def _settings(result):
    return folded_table("How it was made: versions and flags", ("setting", "value"), list(settings(result).items()))
