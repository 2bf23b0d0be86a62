"""The same pictures under every entry of a study, side by side."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from e2wsol.visualize import gallery, overlay
from e2wsol.visualize.document import table
from e2wsol.visualize.results import Samples

# Pixels of a tile in the page; it is shown at about two thirds of them, so that it is sharp on a dense screen.
_SIDE = 160


def shared(samples: Mapping[str, Samples], count: int) -> list[str]:
    """Ids of the pictures that were drawn at random and that all entries kept, in the order of the data set.

    The best and the worst pictures of an entry are no fair sample for the others.

    Args:
      samples: {entry: the arrays of samples.npz}.
      count: ids at most.
    """
    first, *others = samples.values()
    kept = set.intersection(*(set(arrays["ids"].tolist()) for arrays in [first, *others]))
    return [name for name, random in zip(first["ids"].tolist(), first["random"]) if random and name in kept][:count]


def side_by_side(
    rows: Sequence[Mapping[str, Any]], samples: Mapping[str, Samples], classes: Sequence[str], ids: Sequence[str]
) -> str:
    """A table of pictures: a row a picture, first as it is with its true box, then a column an entry.

    Args:
      rows: the study's rows of the entries in `samples`, in the order of the columns.
      samples: {entry: the arrays of samples.npz}.
      classes: class names in label order.
      ids: of the pictures, which all entries kept.
    """
    columns = [(row["title"], samples[row["entry"]]) for row in rows]
    places = [{name: place for place, name in enumerate(arrays["ids"].tolist())} for _, arrays in columns]
    lines = []
    for name in ids:
        shown = [(title, arrays, where[name]) for (title, arrays), where in zip(columns, places)]
        lines.append(f"<tr>{_original(*shown[0][1:], classes)}{''.join(_tile(*entry) for entry in shown)}</tr>")
    heads = ["picture", *(escape(title) for title, _ in columns)]
    return table("Pictures under every entry", heads, ["<tbody>\n" + "\n".join(lines) + "\n</tbody>"], "beside")


def _original(arrays, index, classes):
    """The picture with its true box, its class and its id."""
    name = gallery.class_name(int(arrays["labels"][index]), classes)
    image, factors = _small(arrays["images"][index])
    view = gallery.image_tag(image, name) + gallery.boxes_over(
        image.shape, (), _boxes(arrays["true_boxes"], index, factors)
    )
    return (
        f'<th scope="row"><span class="view">{view}</span><b>{name}</b>'
        f"<small>{escape(str(arrays['ids'][index]))}</small></th>"
    )


def _tile(title, arrays, index):
    """The picture under an entry's map, with both boxes, hit or miss and IoU; the name again, for the rows far down."""
    image, factors = _small(arrays["images"][index])
    heat = overlay.heat_overlay(image, arrays["maps"][index])
    boxes = (_boxes(arrays[kind], index, factors) for kind in ("predicted_boxes", "true_boxes"))
    css, verdict = ("good", "✓ hit") if arrays["hits"][index] else ("bad", "✗ miss")
    name, iou = escape(title), float(arrays["ious"][index])
    view = gallery.image_tag(heat, f"map of {name}") + gallery.boxes_over(image.shape, *boxes)
    return (
        f'<td><span class="view">{view}</span>'
        f'<small aria-hidden="true">{name}</small><span class="{css}">{verdict} · {iou:.2f}</span></td>'
    )


def _small(image):
    """The picture at the size of a tile, never enlarged, and the factors of its boxes."""
    return overlay.scaled(image, min(_SIDE, max(image.shape[:2])))


def _boxes(boxes, index, factors):
    """(n, 4) boxes of one picture in its tile; padding stays negative."""
    return np.reshape(boxes[index], (-1, 4)) * factors
