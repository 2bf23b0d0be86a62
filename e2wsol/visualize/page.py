"""The report: one HTML page that needs no other file and no network."""

import itertools
from html import escape

from e2wsol.localization.baselines import CENTRE_BOX
from e2wsol.visualize.curves import charts
from e2wsol.visualize.gallery import gallery
from e2wsol.visualize.page_style import CSS
from e2wsol.visualize.results import THRESHOLD_KINDS, averaging, cropping, score_rows, threshold_of, value_of

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
    "Threshold": "The box encloses what the score map marks above the threshold. The protocol's is fixed beforehand; "
    "the validation one was chosen on other pictures than the scored; the best one was chosen on the scored pictures "
    "themselves, as most papers report it, so it is an upper bound.",
    "Centre box": "No network: a box in the middle of every picture with 0.7 of its sides. A method has to beat it.",
    "Centre Gaussian": "No network: the map is a Gaussian bump in the middle of every picture.",
}
_KIND_HEADS = {
    "protocol": "protocol's threshold",
    "validation": "threshold chosen on validation",
    "best": "best threshold on this split",
}


def page(result, samples, names):
    """The whole report as an HTML document.

    Args:
      result: the dict of result.json, checked by `results.load_result`.
      samples: the arrays of samples.npz, or None to leave the pictures out.
      names: class names in label order, may be empty.
    """
    data = result["dataset"]
    title = f"{result['method']} on {data.get('name', 'a data set')}, {data.get('split', '')} split"
    sections = [
        f"<h1>{escape(title)}</h1>",
        _facts(result),
        _stats(result),
        "<h2>Scores</h2>",
        f'<p class="soft">Per cent of pictures that count as hits{_averaged(result)}; the threshold stands under each '
        "score.</p>",
        _score_table(result),
        _charts(result),
        _gallery(samples, names),
        "<h2>What the figures mean</h2>",
        _definitions(_GLOSSARY.items(), "glossary"),
        _settings(result),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )


def _definitions(pairs, css_class):
    entries = "\n".join(f"<div><dt>{escape(str(term))}</dt><dd>{escape(str(text))}</dd></div>" for term, text in pairs)
    return f'<dl class="{css_class}">\n{entries}\n</dl>'


def _facts(result):
    data = result["dataset"]
    facts = {
        "Data set": data.get("name"),
        "Split": data.get("split"),
        "Pictures": data.get("pictures"),
        "Classes": data.get("classes"),
        "Method": result["method"],
        "Backbone": result.get("backbone"),
        "Input side": f"{result['image_size']} pixels" if result.get("image_size") else None,
        "Box protocol": result["protocol"],
        "Averaging": averaging(result),
        "Classes predicted from": cropping(result),
        "Validation threshold from": result.get("threshold_split"),
        "Checkpoint": result["checkpoint"],
    }
    return _definitions([(name, value) for name, value in facts.items() if value not in (None, "")], "facts")


def _averaged(result):
    return f", {averaging(result)}" if averaging(result) else ""


def _stats(result):
    """The figures to read first: localization against the centre box, and classification."""
    rows = [row for row in score_rows(result) if row.localizer == result["method"]]
    baseline = {(row.metric, row.iou): row for row in score_rows(result) if row.localizer == CENTRE_BOX}
    tiles = []
    for row in rows:
        if row.iou == 0.5 and row.metric in ("GT-known Loc", "Top-1 Loc"):
            kind = next((kind for kind in ("validation", "protocol") if _value(row, kind) is not None), "best")
            other = baseline.get((row.metric, row.iou))
            beside = _value(other, kind) if other else None
            note = f"IoU 0.5, {_KIND_HEADS[kind]}"
            note += f"; {CENTRE_BOX} {_percent(beside)}" if beside is not None else ""
            tiles.append((row.metric, _value(row, kind), note))
    tiles += [
        (f"{name.replace('top', 'Top-')} classification", value, "accuracy")
        for name, value in result["classification"].items()
        if value is not None
    ]
    return '<div class="stats">' + "".join(_stat(*tile) for tile in tiles if tile[1] is not None) + "</div>"


def _stat(name, value, note):
    return f'<div class="stat">{escape(name)}<b>{_percent(value)}</b><small>{escape(note)}</small></div>'


def _value(row, kind):
    return value_of(row.scores.get(kind))


def _percent(value):
    return f"{100 * value:.1f}%"


def _score_table(result):
    heads = "".join(f'<th scope="col">{_KIND_HEADS[kind]}</th>' for kind in THRESHOLD_KINDS)
    parts = [f'<thead><tr><th scope="col">localizer</th>{heads}</tr></thead>']
    for (metric, iou), rows in itertools.groupby(score_rows(result), key=lambda row: (row.metric, row.iou)):
        parts += ["<tbody>", _group_head(f"{metric}, IoU {iou:g}", rows := list(rows))]
        parts += [_score_row(row, result["method"]) for row in rows]
        parts.append("</tbody>")
    parts.append(_pxap_rows(result))
    return '<div class="scroll"><table>\n' + "\n".join(part for part in parts if part) + "\n</table></div>"


def _group_head(text, rows=()):
    counts = sorted({score["pictures"] for row in rows for score in row.scores.values()})
    note = f" <small>{' or '.join(map(str, counts))} pictures counted</small>" if counts else ""
    return f'<tr><th scope="rowgroup" colspan="{len(THRESHOLD_KINDS) + 1}">{escape(text)}{note}</th></tr>'


def _score_row(row, method):
    cells = "".join(f"<td>{_score_cell(row.scores.get(kind))}</td>" for kind in THRESHOLD_KINDS)
    return f"{_row_start(row.localizer, method)}{cells}</tr>"


def _row_start(localizer, method):
    css = ' class="method"' if localizer == method else ""
    return f"<tr{css}><td>{escape(localizer)}</td>"


def _score_cell(score):
    value = value_of(score)
    if value is None:
        return "-"
    threshold = threshold_of(score)
    note = "" if threshold is None else f"<small>at {threshold:.3f}</small>"
    return f"{100 * value:.1f}{note}"


def _pxap_rows(result):
    if not result.get("pxap"):
        return ""
    span = len(THRESHOLD_KINDS)
    rows = "\n".join(
        f'{_row_start(name, result["method"])}<td colspan="{span}">{100 * value:.1f}</td></tr>'
        for name, value in result["pxap"].items()
    )
    return f"<tbody>{_group_head('PxAP, all thresholds')}\n{rows}</tbody>"


def _charts(result):
    drawn = charts(result)
    if not drawn:
        return ""
    return (
        "<h2>Score over threshold</h2>\n"
        '<p class="soft">A low threshold gives a large box, a high one a small box. A method is good where its curve '
        "stands above the centre Gaussian's, and safe where the curve is flat around the threshold in use.</p>\n"
        '<div class="charts">' + "".join(f"<div>{svg}</div>" for svg in drawn) + "</div>"
    )


def _gallery(samples, names):
    if samples is None or not len(samples["ids"]):
        return ""
    return (
        "<h2>Pictures</h2>\n"
        '<p class="soft">Left the picture as the network saw it, with its boxes; right the score map over it.</p>\n'
        '<p class="key"><span><i style="border-color:#ff7a00"></i>predicted box</span>'
        '<span><i style="border-color:#40beff;border-top-style:dashed"></i>true box</span>'
        '<span><i class="ramp"></i>score 0 to 1</span></p>\n' + gallery(samples, names)
    )


def _settings(result):
    pairs = {**result.get("versions", {}), "git commit": result.get("git_commit"), "seconds": result.get("seconds")}
    pairs |= {f"--{name}": value for name, value in result.get("flags", {}).items()}
    rows = "\n".join(
        f"<tr><td>{escape(str(name))}</td><td>{escape(str(value))}</td></tr>"
        for name, value in pairs.items()
        if value is not None
    )
    return (
        f"<details><summary>How it was made: versions and flags</summary>"
        f'<div class="scroll"><table><tbody>\n{rows}\n</tbody></table></div></details>'
    )
