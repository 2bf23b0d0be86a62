"""The report's pictures: worst, best and random ones as figures with inlined JPEGs."""

import base64
from html import escape

import cv2
import numpy as np

from e2wsol.visualize import overlay

_PER_GROUP = 9
_SIDE = 336
_JPEG_QUALITY = 82
_GROUPS = {
    "Lowest overlap": "The predicted box and the true one share least.",
    "Highest overlap": "The predicted box fits best.",
    "At random": "Drawn with a fixed seed from all pictures of the split.",
}


def gallery(samples, names):
    """The gallery's HTML: three groups of figures, no picture twice.

    Args:
      samples: the arrays of samples.npz (see `results.load_samples`), pictures and boxes in one frame.
      names: class names in label order; a label without a name shows as its number.
    """
    parts = []
    for (title, meaning), chosen in zip(_GROUPS.items(), choose(samples["ious"], samples["random"])):
        if len(chosen):
            parts.append(f'<h3>{title}</h3>\n<p class="soft">{meaning}</p>\n<div class="gallery">')
            parts += [_figure(samples, index, names) for index in chosen]
            parts.append("</div>")
    return "\n".join(parts)


def choose(ious, random, per_group=_PER_GROUP):
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


def _figure(samples, index, names):
    image, score_map = samples["images"][index], samples["maps"][index]
    tile = overlay.tile(
        image,
        score_map,
        predicted=samples["predicted_boxes"][index],
        true=samples["true_boxes"][index],
        side=_SIDE,
    )
    label, prediction = int(samples["labels"][index]), int(samples["predictions"][index])
    true_name, predicted_name = _name(label, names), _name(prediction, names)
    hit, iou = bool(samples["hits"][index]), float(samples["ious"][index])
    verdict = "✓ hit" if hit else "✗ miss"
    seen = "classified rightly" if label == prediction else f'classified as <span class="bad">{predicted_name}</span>'
    if prediction < 0:
        seen = "not classified"
    height, width = tile.shape[:2]
    return (
        f'<figure data-class="{label}" data-outcome="{"hit" if hit else "miss"}">'
        f'<img src="{jpeg_uri(tile)}" width="{width}" height="{height}" alt="{true_name}: picture and map">'
        f'<figcaption><span class="badge {"good" if hit else "bad"}">{verdict} · IoU {iou:.2f}</span>'
        f'<b>{true_name}</b><span class="soft">{seen}</span>'
        f'<span class="soft">{escape(str(samples["ids"][index]))}</span></figcaption></figure>'
    )


def _name(label, names):
    return escape(names[label] if 0 <= label < len(names) else f"class {label}")


def jpeg_uri(image):
    """A uint8 RGB picture as a data: URI that holds it as JPEG."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
