"""The maps of every row of a study on the same three pictures: python benchmarks/method_pictures.py OUTPUT STUDY ...

OUTPUT/ROW.jpg has a line of three tiles for each STUDY, a folder of python -m e2wsol.study: the map of the first seed,
the object's outline (white, where the records have masks), the true box (dashed) and the predicted one. Drawn pictures
are shown under their maps; photos are not shown, only what was made of them, so that the files may be given away.
"""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import functools
import json
import pathlib
import sys

import cv2
import numpy as np
from picture_runs import tile, write_jpeg

from e2wsol.data import dataset, pipeline
from e2wsol.data.pipeline import PipelineOptions
from e2wsol.localization.frame import Frame, mask_in_frame
from e2wsol.visualize.results import load_samples
from e2wsol.visualize.study_images import shared

COLUMNS, SIDE, GAP = 3, 192, 6
DRAWN = ("synthetic",)  # suites whose pictures may be shown


def main(output, studies):
    """Writes a picture for every row that all studies have."""
    lines = [lines_of(pathlib.Path(study)) for study in studies]
    for row in set.intersection(*(set(each) for each in lines)):
        gap = np.full((GAP, lines[0][row].shape[1], 3), 255, np.uint8)
        parts = [part for each in lines for part in (gap, each[row])][1:]
        write_jpeg(pathlib.Path(output) / f"{row}.jpg", np.vstack(parts))
    print(f"wrote {len(lines[0])} pictures into {output}")


def lines_of(folder):
    """{row: its line of tiles} of a study."""
    study = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    cells = {row["entry"]: pathlib.Path(row["cells"][0]) for row in study["rows"] if row["cells"]}
    samples = {row: load_samples(cell / "samples.npz") for row, cell in cells.items()}
    ids = shared(samples, COLUMNS)
    flags = json.loads((cells["cam"] / "flags.json").read_text(encoding="utf-8"))["flags"]
    masks = outlines(flags, study["suite"]["split"], ids)
    show = study["suite"]["name"] in DRAWN
    return {row: line(arrays, ids, masks, show) for row, arrays in samples.items()}


def outlines(flags, split, ids):
    """{id: mask (S, S) of the object in the network's view} of those that have one."""
    view = PipelineOptions(
        image_size=flags["image_size"],
        resize_size=flags["resize_size"],
        resize_filter=flags.get("resize_filter", "bilinear"),
    )
    frame, found = Frame.of_view(view), {}
    for batch in pipeline.eval_dataset(dataset.load(flags["data_dir"]), view, split=split, batch=32):
        for name, png in zip(batch["source_id"].numpy(), batch["mask"].numpy()):
            if png and name.decode() in ids:
                mask = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
                found[name.decode()] = mask_in_frame(mask, frame)
    return found


def line(arrays, ids, masks, show):
    """The tiles of one row side by side."""
    gap = np.full((SIDE, GAP, 3), 255, np.uint8)
    look = {"side": SIDE, "opacity": 0.5 if show else 1.0}
    places = {name: arrays["ids"].tolist().index(name) for name in ids}
    tiles = [
        tile(arrays, place, **look, mark=functools.partial(outlined, mask=masks.get(name)))
        for name, place in places.items()
    ]
    return np.hstack([part for each in tiles for part in (gap, each)][1:])


def outlined(image, mask):
    """The picture with the outline of the object; as it is for None."""
    if mask is None:
        return image
    large = cv2.resize((mask == 1).astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.ascontiguousarray(image), contours, -1, (255, 255, 255), 1)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python benchmarks/method_pictures.py OUTPUT STUDY ...")
    main(sys.argv[1], sys.argv[2:])
