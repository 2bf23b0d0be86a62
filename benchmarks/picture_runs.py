"""The same pictures under several runs: python benchmarks/picture_runs.py OUTPUT.jpg RUN RUN ...

One row a run, one column a picture: the map with the predicted box (solid) and the true one (dashed),
for the pictures that every run's evaluation drew at random.
"""

import pathlib
import sys

import cv2
import numpy as np

from e2wsol import files
from e2wsol.visualize import overlay
from e2wsol.visualize.results import load_samples

COLUMNS, SIDE = 8, 128


def main(output, runs):
    """Writes the grid of pictures."""
    samples = [load_samples(pathlib.Path(run) / "samples.npz") for run in runs]
    drawn = [set(sample["ids"][sample["random"]]) for sample in samples]
    shared = sorted(set.intersection(*drawn))[:COLUMNS]
    rows = [np.hstack([tile(sample, list(sample["ids"]).index(name)) for name in shared]) for sample in samples]
    write_jpeg(output, np.vstack(rows))
    print(f"wrote {output}: {len(runs)} runs, {len(shared)} pictures")


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
        sys.exit("usage: python benchmarks/picture_runs.py OUTPUT.jpg RUN RUN ...")
    main(sys.argv[1], sys.argv[2:])
