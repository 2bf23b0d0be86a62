"""The page of a study: every method on one suite, with seeds, intervals, claims, papers and the same pictures."""

import itertools
from collections.abc import Mapping, Sequence
from html import escape

from e2wsol.visualize.document import definitions, document, folded_table
from e2wsol.visualize.forest_plot import differences, forest_plot
from e2wsol.visualize.page_assets import STUDY_CSS
from e2wsol.visualize.results import Samples, Study
from e2wsol.visualize.study_images import shared, side_by_side
from e2wsol.visualize.study_tables import (
    bars,
    claims_table,
    difference_table,
    is_baseline,
    ordered,
    papers_table,
    score_table,
)

# The entry that study.json's "against_cam" compares with.
_REFERENCE = "cam"


def study_page(
    study: Study, samples: Mapping[str, Samples | None], classes: Sequence[str], *, pictures: int = 12
) -> str:
    """The study as one HTML document.

    Args:
      study: the dict of study.json: suite, metrics, rows, missing, claims, papers.
      samples: {entry: the arrays of samples.npz of its first seed, as `results.load_samples` gives them, or None};
        may be empty.
      classes: class names in label order, may be empty.
      pictures: how many pictures the page shows at most, of those that every entry kept.
    """
    suite = study["suite"]
    title = f"Study: {suite['title']}"
    sections = [
        f"<h1>{escape(title)}</h1>",
        _scope(study),
        definitions([(name, value) for name, value in _facts(study).items() if value not in (None, "")], "facts"),
        f"<p>{escape(suite['note'])}</p>" if suite.get("note") else "",
        _warning(study),
        _scores(study),
        _against_cam(study),
        _claims(study),
        _papers(study),
        _images(study, samples, classes, pictures),
        folded_table("How it was made", ("setting", "value"), _making(study)),
    ]
    return document(title, sections, STUDY_CSS)


def _scope(study):
    kinds = {"trained": "trained", "post-hoc": "post-hoc, on another entry's network", "baseline": "centre baselines"}
    counts = {kind: sum(row["kind"] == kind for row in study["rows"]) for kind in kinds}
    listed = "; ".join(f"{count} {kinds[kind]}" for kind, count in counts.items() if count)
    return f'<p class="soft">Measured: {listed or "nothing yet"}.</p>'


def _facts(study):
    """What was run, by name; None or empty where the study does not say."""
    suite = study["suite"]
    epochs, batch = suite.get("epochs"), suite.get("batch_size")
    return {
        "Data set": f"{suite['dataset']}, {suite['split']} split",
        "Pictures": suite.get("pictures"),
        "Classes": suite.get("classes"),
        "Input side": f"{suite['image_size']} pixels" if suite.get("image_size") else None,
        "Backbone": suite.get("backbone"),
        "Start weights": suite.get("start_weights"),
        "Training": f"{epochs} epochs, batches of {batch}" if epochs and batch else None,
        "Trainings and evaluations": f"{suite['seconds'] / 3600:.1f} hours" if suite.get("seconds") else None,
        "Seeds": ", ".join(map(str, suite["seeds"])),
        "Box protocol": suite.get("protocol"),
        "Thresholds chosen on": f"{suite['threshold_split']} split" if suite.get("threshold_split") else None,
        "Main measure": "; ".join(_title(study, key) for key in suite["read_by"]),
    }


def _making(study):
    """Versions, commit and what the intervals are, as (name, text)."""
    suite = study["suite"]
    pairs = {**(suite.get("versions") or {}), "git commit": suite.get("git_commit")}
    pairs |= {f"bootstrap, {name}": value for name, value in (study.get("bootstrap") or {}).items()}
    return [(name, value) for name, value in pairs.items() if value is not None]


def _title(study, key):
    """A metric's title."""
    return next((metric["title"] for metric in study["metrics"] if metric["key"] == key), key)


def _warning(study):
    """What is missing, an entry and reason a line."""
    groups = itertools.groupby(study["missing"], key=lambda cell: (cell["title"], cell["why"]))
    lines = [(title, why, [str(cell["seed"]) for cell in cells]) for (title, why), cells in groups]
    if not lines:
        return ""
    listed = "".join(
        f"<li>{escape(title)}, seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}: {escape(why)}</li>"
        for title, why, seeds in lines
    )
    return (
        '<div class="warning" role="note"><b>The study is not complete.</b> Not measured, and in no figure below:'
        f"<ul>{listed}</ul></div>"
    )


def _scores(study):
    heights = bars(study)
    footnotes = [
        f"{escape(_title(study, key))}: {100 * height:.1f} is the higher of the centre baselines."
        for key, height in heights.items()
    ]
    dagger = (
        '<p class="soft">† Not above the centre baselines, which look at no picture. An entry that is above them in '
        f"no main measure has shown nothing. {' '.join(footnotes)}</p>"
        if heights
        else ""
    )
    return (
        '<h2>Scores</h2>\n<p class="soft">Per cent: mean ± standard deviation over seeds; under it the 95% bootstrap '
        "interval over pictures. A threshold chosen on validation is what a user gets, the best one of the scored "
        f"split is an upper bound. -: there is no such score.</p>\n{score_table(study)}\n{dagger}"
    )


def _against_cam(study):
    """A forest plot and its numbers for each metric that the suite is read by."""
    found = {key: differences(study, key) for key in study["suite"]["read_by"]}
    plots = [_forest(_title(study, key), items) for key, items in found.items() if items]
    if not plots:
        return ""
    return (
        '<h2>Against CAM</h2>\n<p class="soft">Score less CAM\'s, at thresholds chosen on validation where the metric '
        "has one. The interval is a paired bootstrap over the pictures of the scored split, of scores averaged over "
        "seeds: it covers the choice of pictures, not the spread between trainings, which the small dots show, one a "
        "seed. p is of one comparison alone, not corrected for their number.</p>\n"
        '<p class="key"><span><i class="dot clear"></i>95% interval leaves out 0</span>'
        '<span><i class="dot"></i>interval contains 0</span><span><i class="dot seed"></i>one seed</span></p>\n'
        + "\n".join(plots)
    )


def _forest(title, items):
    return (
        f'<h3>{escape(title)}</h3>\n<div class="forest-pair"><div>'
        f"{forest_plot(items, f'Difference to CAM: {title}')}</div>"
        f"{difference_table(items, f'Differences to CAM: {title}')}</div>"
    )


def _claims(study):
    if not study["claims"]:
        return ""
    return (
        '<h2>Do the papers\' claims hold here?</h2>\n<p class="soft">Differences in points. Open: the interval '
        f"contains 0, so the study cannot tell.</p>\n{claims_table(study)}"
    )


def _papers(study):
    if not study["papers"]:
        return ""
    return (
        '<h2>Paper, ours, not measured</h2>\n<p class="soft">Per cent. The papers\' figures are of other data, input '
        "sizes, backbones and budgets than ours: they say what is claimed, and are not to be compared digit by digit."
        f"</p>\n{papers_table(study)}"
    )


def _images(study, samples, classes, count):
    # The column of the reference stands first, so that it is beside the picture.
    rows = [row for row in ordered(study) if samples.get(row["entry"]) and not is_baseline(row)]
    rows.sort(key=lambda row: row["entry"] != _REFERENCE)
    if not rows or not count:
        return ""
    ids = shared({row["entry"]: samples[row["entry"]] for row in rows}, count)
    if not ids:
        text = "The entries kept no picture in common: evaluate them with the same --samples."
        return f'<h2>Pictures</h2>\n<p class="soft">{text}</p>'
    split = study["suite"].get("threshold_split")
    threshold = (
        f"the threshold that each entry's maps got on the {split} split" if split else "the protocol's threshold"
    )
    return (
        "<h2>The same pictures under every entry</h2>\n"
        f'<p class="soft">Drawn at random with a fixed seed; maps of each entry\'s first seed, boxes '
        f"at {escape(threshold)} for IoU 0.5. Under a tile: whether its box is a hit at IoU 0.5, and the IoU.</p>\n"
        '<p class="key"><span><i class="predicted"></i>predicted box</span><span><i class="true"></i>true box</span>'
        f'<span><i class="ramp"></i>score 0 to 1</span></p>\n{side_by_side(rows, samples, classes, ids)}'
    )
