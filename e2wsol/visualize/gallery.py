"""The report's images: groups of figures with inlined JPEGs, a filter over them and a dialog that enlarges one."""

import base64
import dataclasses
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np
from numpy.typing import ArrayLike

from e2wsol.visualize import overlay
from e2wsol.visualize.results import Samples

_JPEG_QUALITY = 85
# Boxes are drawn this share of the picture's side inside it, so that an edge along the border is seen whole.
_INSET = 0.008
# Two boxes of one size that share so much have an IoU of 0.5: what misses with more differs in size.
SHARE = 2 / 3
# By word: the mark and name that the page shows, and the rule. The first rule that holds counts.
OUTCOMES = {
    "hit": ("✓ hit", "The box counts as a hit and the class is right, or no class was predicted."),
    "wrong-class": ("✗ wrong class", "The box counts as a hit, but the predicted class is another one."),
    "no-true-box": ("? no true box", "The picture has no true box to compare with."),
    "too-small": (
        "✗ box too small",
        "No hit; the predicted box is smaller than the true one, and at least two thirds of it lie inside.",
    ),
    "too-big": (
        "✗ box too big",
        "No hit; the predicted box is at least as large as the true one, and holds at least two thirds of it.",
    ),
    "elsewhere": ("✗ elsewhere", "No hit; the two boxes share less than that, or no box was found."),
}


@dataclasses.dataclass(frozen=True)
class RunSamples:
    """Images of one run: its name, empty where the page shows one run only, and the arrays of samples.npz."""

    name: str
    samples: dict


@dataclasses.dataclass(frozen=True)
class ImageGroup:
    """Some pictures under a heading; `rows` holds for each the index in every run's arrays."""

    title: str
    meaning: str
    rows: list


def single(samples: Samples, names: Sequence[str], count: int) -> str:
    """The gallery of one run: its worst, best and random pictures, no picture twice.

    Args:
      samples: the arrays of samples.npz (see `results.load_samples`), pictures and boxes in one frame.
      names: class names in label order; a label without a name shows as its number.
      count: pictures at most, a third a group.
    """
    titles = {
        "Lowest overlap": "The predicted box and the true one share least.",
        "Highest overlap": "The predicted box fits best.",
        "At random": "Drawn with a fixed seed from all pictures of the split.",
    }
    chosen = choose(samples["ious"], samples["random"], max(1, count // 3))
    groups = [ImageGroup(*title, [(index,) for index in rows]) for title, rows in zip(titles.items(), chosen)]
    return gallery([RunSamples("", samples)], groups, names)


def paired(first: RunSamples, second: RunSamples, names: Sequence[str], count: int) -> str:
    """The gallery of two runs: pictures that both kept, under both.

    Args:
      first: RunSamples of one.
      second: RunSamples of the other.
      names: as in `single`.
      count: as in `single`.
    """
    pairs = common(first.samples["ids"], second.samples["ids"])
    gains = np.array([second.samples["ious"][b] - first.samples["ious"][a] for a, b in pairs])
    better, worse, rest = split_by_gain(gains, max(1, count // 3))
    groups = [
        ImageGroup(f"Better in {second.name}", "Its box overlaps the true one more.", [pairs[i] for i in better]),
        ImageGroup(f"Better in {first.name}", "Its box overlaps the true one more.", [pairs[i] for i in worse]),
        ImageGroup("Others", "In the order of the data set.", [pairs[i] for i in rest]),
    ]
    return gallery([first, second], groups, names)


def choose(ious: np.ndarray, random: np.ndarray, per_group: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the worst, the best and the randomly drawn pictures.

    Args:
      ious: (n,) overlap of each picture.
      random: (n,) bool, whether the picture was drawn at random.
      per_group: at most so many in a group; fewer when n is small, so that groups do not share.

    Returns:
      Three int arrays: by ascending IoU, by descending IoU and in the order of the data set; together
      each index at most once.
    """
    order = np.argsort(ious, kind="stable")
    count = min(per_group, max(1, len(order) // 3))
    worst, rest = order[:count], order[count:]
    best, rest = rest[::-1][:count], rest[: max(0, len(rest) - count)]
    return worst, best, np.sort(rest[random[rest]])[:count]


def split_by_gain(gains: np.ndarray, per_group: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the pictures that gain most, that lose most, and of others, each group at most `per_group`.

    Args:
      gains: (n,) IoU in the second run less that in the first.
      per_group: images of a group at most.
    """
    order = np.argsort(gains, kind="stable")
    count = min(per_group, max(1, len(order) // 3))
    better, worse = order[::-1][:count], order[:count]
    better, worse = better[gains[better] > 0], worse[gains[worse] < 0]
    rest = np.setdiff1d(np.arange(len(gains)), np.concatenate([better, worse]))
    return better, worse, rest[:per_group]


def common(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int]]:
    """Index pairs of the ids that both arrays hold, in the first one's order."""
    places = {name: place for place, name in enumerate(second.tolist())}
    return [(place, places[name]) for place, name in enumerate(first.tolist()) if name in places]


def gallery(runs: Sequence[RunSamples], groups: Sequence[ImageGroup], names: Sequence[str]) -> str:
    """Filter, groups of figures and the dialog as HTML.

    Args:
      runs: a list of RunSamples, one a run; the first gives classes and ids.
      groups: a list of ImageGroup; empty ones are left out.
      names: class names in label order.
    """
    found = [outcomes(run.samples) for run in runs]
    rows = [row for group in groups for row in group.rows]
    labels = sorted({int(runs[0].samples["labels"][row[0]]) for row in rows})
    parts = [_filter(runs, found, labels, names)]
    for group in groups:
        if group.rows:
            parts.append(f'<section class="group"><h3>{escape(group.title)}</h3>')
            parts.append(f'<p class="soft">{escape(group.meaning)}</p>\n<div class="gallery">')
            parts += [_figure(runs, found, row, names) for row in group.rows]
            parts.append("</div></section>")
    return "\n".join([*parts, _DIALOG])


_DIALOG = (
    '<dialog id="zoom" aria-labelledby="zoom-place"><div class="bar"><span id="zoom-place" aria-live="polite"></span>'
    '<button type="button" id="zoom-previous" aria-label="Previous picture">←</button>'
    '<button type="button" id="zoom-next" aria-label="Next picture">→</button>'
    '<button type="button" id="zoom-close" aria-label="Close">✕</button></div>'
    '<div id="zoom-body"></div></dialog>'
)


def _filter(runs, found, labels, names):
    """The form, which the page's script shows: without it no choice would have an effect."""
    options = "".join(f'<option value="{label}">{class_name(label, names)}</option>' for label in labels)
    choices = "".join(_choices(place, run.name, words) for place, (run, words) in enumerate(zip(runs, found)))
    return (
        '<form id="filter" hidden autocomplete="off"><div><label for="class">Class</label>'
        f'<select id="class" name="class"><option value="">all classes</option>{options}</select></div>{choices}'
        '<div class="line"><span id="shown" role="status"></span><button type="reset">Show all</button></div></form>'
    )


def _choices(place, name, words):
    """One row of radio buttons: what became of the picture in this run."""
    legend = f"Outcome in {escape(name)}" if name else "Outcome"
    entries = {"": "all"} | {key: text for key, (text, _) in OUTCOMES.items() if key != "no-true-box" or key in words}
    chips = "".join(
        f'<label class="chip"><input type="radio" name="outcome{place}" value="{key}"{"" if key else " checked"}>'
        f'<span>{text} <span class="count"></span></span></label>'
        for key, text in entries.items()
    )
    return f'<fieldset><legend>{legend}</legend><div class="chips">{chips}</div></fieldset>'


def _figure(runs, found, row, names):
    samples, index = runs[0].samples, row[0]
    label = int(samples["labels"][index])
    name, words = class_name(label, names), [words[place] for words, place in zip(found, row)]
    data = " ".join(f'data-outcome{number}="{word}"' for number, word in enumerate(words))
    views = "".join(_run(run, place, word, names) for run, place, word in zip(runs, row, words))
    verdict = "" if runs[0].name else _verdict(runs[0], index, words[0], names)
    return (
        f'<figure data-class="{label}" {data}><button type="button" class="enlarge" aria-label="Enlarge: {name}, '
        f'{escape(str(samples["ids"][index]))}"><span class="runs">{views}</span></button>'
        f'<figcaption><b>{name}</b><span class="soft id">{escape(str(samples["ids"][index]))}</span>{verdict}'
        "</figcaption></figure>"
    )


def _run(run, index, word, names):
    """The picture with its boxes beside the picture under its map; of two runs also the name and the verdict."""
    image, score_map = run.samples["images"][index], run.samples["maps"][index]
    predicted, true = run.samples["predicted_boxes"][index], run.samples["true_boxes"][index]
    heat = overlay.heat_overlay(image, score_map)
    who = f'<span class="who"><b>{escape(run.name)}</b>{_verdict(run, index, word, names)}</span>' if run.name else ""
    return (
        f'<span class="run">{who}<span class="views"><span class="view">{image_tag(image, "picture with boxes")}'
        f'{boxes_over(image.shape, predicted, true)}</span><span class="view">{image_tag(heat, "score map")}</span>'
        "</span></span>"
    )


def image_tag(image: np.ndarray, text: str) -> str:
    """The <img> of a uint8 RGB picture; `text` stands for it where it is not seen, as HTML."""
    height, width = image.shape[:2]
    return f'<img src="{jpeg_uri(image)}" width="{width}" height="{height}" alt="{text}" decoding="async">'


def boxes_over(shape: Sequence[int], predicted: ArrayLike, true: ArrayLike) -> str:
    """Boxes as SVG over the picture, so that they stay sharp where it is enlarged."""
    height, width = shape[:2]
    rectangles = [_box(box, "predicted", width, height) for box in np.reshape(predicted, (-1, 4)) if box[2] >= 0]
    rectangles += [_box(box, "true", width, height) for box in np.reshape(true, (-1, 4)) if box[2] >= 0]
    return f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(rectangles)}</svg>'


def _box(box, kind, width, height):
    """A dark line and the coloured one on it; outside the picture's border nothing is lost."""
    inset_x, inset_y = _INSET * width, _INSET * height
    x0, x1 = np.clip(np.float64(box[[0, 2]]), inset_x, width - inset_x)
    y0, y1 = np.clip(np.float64(box[[1, 3]]), inset_y, height - inset_y)
    place = f'x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}"'
    return f'<rect class="edge" {place}/><rect class="{kind}" {place}/>'


def _verdict(run, index, word, names):
    """The outcome, the IoU and how the picture was classified."""
    label, prediction = int(run.samples["labels"][index]), int(run.samples["predictions"][index])
    text, iou = OUTCOMES[word][0], float(run.samples["ious"][index])
    classified = "classified rightly"
    if prediction < 0:
        classified = "not classified"
    elif prediction != label:
        classified = f'classified as <span class="bad">{class_name(prediction, names)}</span>'
    return (
        f'<span class="verdict"><span class="badge {"good" if word == "hit" else "bad"}">{text} · IoU {iou:.2f}</span>'
        f'<span class="soft">{classified}</span></span>'
    )


def class_name(label: int, names: Sequence[str]) -> str:
    """The class's name as HTML; its number where it has none."""
    return escape(names[label] if 0 <= label < len(names) else f"class {label}")


def jpeg_uri(image: np.ndarray) -> str:
    """A uint8 RGB picture as a data: URI that holds it as JPEG."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def outcome(predicted: ArrayLike, true_boxes: ArrayLike, *, hit: bool, label: int, prediction: int) -> str:
    """The key in OUTCOMES of one picture.

    A miss is judged by the true box of the highest IoU with the predicted one: where they share at
    least SHARE of the smaller of the two, the predicted box is too small or too big, else elsewhere.

    Args:
      predicted: (4,) predicted box; one without an area is no box.
      true_boxes: (n, 4) true boxes; rows with a negative right edge are padding.
      hit: whether the evaluator counted the box as a hit.
      label: true class.
      prediction: predicted class; a negative one means none.
    """
    if hit:
        return "hit" if prediction < 0 or prediction == label else "wrong-class"
    true_boxes = np.asarray(true_boxes, np.float64).reshape(-1, 4)
    true_boxes = true_boxes[true_boxes[:, 2] >= 0]
    if not len(true_boxes):
        return "no-true-box"
    predicted = np.asarray(predicted, np.float64)
    area, true_areas, shared = _area(predicted), _area(true_boxes), _shared(predicted, true_boxes)
    nearest = np.argmax(shared / np.maximum(area + true_areas - shared, 1e-9))
    true_area = true_areas[nearest]
    if shared[nearest] == 0 or shared[nearest] < SHARE * min(area, true_area):
        return "elsewhere"
    return "too-small" if area < true_area else "too-big"


def _area(boxes):
    return np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0), axis=-1)


def _shared(box, others):
    """(n,) area that the box has in common with each of the others."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    return _area(np.concatenate([low, high], axis=1))


def outcomes(samples: Samples) -> list[str]:
    """The outcome of every picture in the arrays of samples.npz, as a list."""
    names = ("predicted_boxes", "true_boxes", "hits", "labels", "predictions")
    return [
        outcome(predicted, true, hit=bool(hit), label=int(label), prediction=int(prediction))
        for predicted, true, hit, label, prediction in zip(*(samples[name] for name in names))
    ]
