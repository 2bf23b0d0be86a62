"""The same pictures under several runs: python benchmarks/picture_runs.py OUTPUT.jpg [TITLE=]RUN [TITLE=]RUN ...

One row a run, with its title before it, one column a picture: the map with the predicted box (solid) and the true one
(dashed), for the pictures that every run's evaluation drew at random.
"""

import pathlib
import sys

import cv2
import numpy as np

from e2wsol import files
from e2wsol.visualize import overlay
from e2wsol.visualize.results import load_samples

COLUMNS, SIDE = 8, 128


def main(output, entries):
    """Writes the grid of pictures."""
    titles, runs = zip(*(entry.rpartition("=")[::2] for entry in entries))
    samples = [load_samples(pathlib.Path(run) / "samples.npz") for run in runs]
    drawn = [set(sample["ids"][sample["random"]]) for sample in samples]
    shared = sorted(set.intersection(*drawn))[:COLUMNS]
    rows = [np.hstack([tile(sample, list(sample["ids"]).index(name)) for name in shared]) for sample in samples]
    if any(titles):
        rows = [np.hstack([heading(title), row]) for title, row in zip(titles, rows)]
    write_jpeg(output, np.vstack(rows))
    print(f"wrote {output}: {len(runs)} runs, {len(shared)} pictures")


def heading(title):
    """A white tile with a row's title, a line a word."""
    image = np.full((SIDE, SIDE, 3), 255, np.uint8)
    words = title.split()
    for line, word in enumerate(words):
        at = (6, SIDE // 2 + 5 + 20 * line - 10 * (len(words) - 1))
        cv2.putText(image, word, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return image


def write_jpeg(path, image):
    """Writes a uint8 RGB image; its folder is made where it is missing."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    files.write_bytes(path, data.tobytes())


def tile(sample, index, side=SIDE, *, opacity=0.5, mark=lambda image: image):
    """One picture under its map with both boxes, `side` pixels square; `mark` draws what stands under the boxes."""
    scale = side / sample["images"].shape[1]
    image = cv2.resize(sample["images"][index], (side, side), interpolation=cv2.INTER_CUBIC)
    image = mark(overlay.heat_overlay(image, sample["maps"][index], opacity=opacity))
    true = np.where(sample["true_boxes"][index] < 0, -1, sample["true_boxes"][index] * scale)
    image = overlay.draw_boxes(image, true, overlay.TRUE_COLOR, dashed=True)
    return overlay.draw_boxes(image, sample["predicted_boxes"][index] * scale, overlay.PREDICTED_COLOR)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python benchmarks/picture_runs.py OUTPUT.jpg [TITLE=]RUN [TITLE=]RUN ...")
    main(sys.argv[1], sys.argv[2:])
