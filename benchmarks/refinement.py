"""How much boxes gain where the image's colours move them, how well their quality tells, on photos with true boxes.

python benchmarks/refinement.py --run=animals=runs/bas_animals,birds=runs/cub50:layercam:block10 --fit
python benchmarks/refinement.py --classifier=dogs=records/imagewoof --classifier_weights=mobilenet_v1_075_imagenet.npz \
    --classifier_index=imagenet_index.json

A run is NAME=RUN_DIR, or NAME=RUN_DIR:LOCALIZER:LAYER for another localizer's maps; its split test is looked at. With
--classifier an ImageNet network (MobileNetV1, alpha 0.75, its CAM) looks at records whose classes the index numbers.
Maps are those of the true classes over whole photos, as predict makes them. Every second photo serves to choose: each
set's threshold (at IoU 0.5, as evaluate does on its validation split), and with --fit the numbers in
refine.ESTIMATES, from all sets with the same weight; all figures are of the others. IoU is that with the best of a
photo's true boxes. --cache keeps maps and measures between calls. The last line is one JSON object.
"""

import e2wsol.on_tensorflow  # isort: skip

import dataclasses
import json
import pathlib
import pickle
import time

import cv2
import numpy as np
import tensorflow as tf

import e2wsol
from e2wsol import cli
from e2wsol.config import option
from e2wsol.data import dataset, images, schema, views
from e2wsol.localization import boxes, protocols, refine
from e2wsol.localization.score_map import to_score_map
from e2wsol.localizers import LocalizerOptions

THRESHOLDS = np.arange(1, 90) / 100
PROTOCOL = protocols.get("maxboxacc")
RIDGE = 0.0003
ALONE = "alone"


@dataclasses.dataclass(frozen=True)
class RefinementOptions:
    """What is looked at."""

    run: tuple[str, ...] = option((), "NAME=RUN_DIR or NAME=RUN_DIR:LOCALIZER:LAYER, comma-separated")
    classifier: str = option("", "NAME=RECORDS for an ImageNet network")
    classifier_weights: str = option("", "its .npz")
    classifier_index: str = option("", "JSON: name of a class -> its number among the 1000")
    every: int = option(1, "of the photos of a set each so manieth is looked at", minimum=1)
    batch_size: int = option(8, "photos that go through a network at once", minimum=1)
    cache: str = option("", "folder for maps and measures")
    fit: bool = option(False, "fit the numbers of refine.ESTIMATES and print them")


@dataclasses.dataclass(eq=False)
class Photo:
    """One photo.

    Attributes:
      view: uint8 (S, S, 3).
      map: (h, w) of its class.
      truth: (n, 4) true boxes as shares of the photo.
    """

    view: np.ndarray
    map: np.ndarray
    truth: np.ndarray

    def iou(self, box):
        return max(refine.share_iou(box, true) for true in self.truth)


def main(options, positional):
    """Prints the tables and the JSON line."""
    cli.no_arguments(positional)
    cv2.setNumThreads(1)
    sets = {name: _measured(name, photos, options) for name, photos in _sets(options)}
    if options.fit:
        refine.ESTIMATES = _fit([each[::2] for each in sets.values()])
        for name, weights in refine.ESTIMATES.items():
            print(f'    "{name}": {{' + ", ".join(f'"{key}": {value:g}' for key, value in weights.items()) + "},")
    numbers = {name: _report(name, each[1::2]) for name, each in sets.items()}
    print(json.dumps(numbers))


def _sets(options):
    """Yields (name, function that gives the Photos)."""
    for text in options.run:
        name, _, rest = text.partition("=")
        yield name, lambda rest=rest: _of_run(rest, options)
    if options.classifier:
        name, _, records = options.classifier.partition("=")
        yield name, lambda: _of_classifier(records, options)


def _of_run(text, options):
    folder, *localizer = text.split(":")
    run = e2wsol.load(folder)
    model = run.model
    if localizer:
        model = run.localizer(LocalizerOptions(localizer=(localizer[0],), layer=(localizer[1],)))
    return _photos(model, run.records(), run.resize_filter, options)


def _of_classifier(records, options):
    weights = np.load(options.classifier_weights)
    model = e2wsol.CAM(
        num_classes=1000, backbone="mobilenet_v1", backbone_width=0.75, weights=options.classifier_weights
    )
    kernel = weights["conv_preds/kernel"][0, 0]
    model.get_layer("linear").set_weights([kernel, weights["conv_preds/bias"]])
    index = json.loads(pathlib.Path(options.classifier_index).read_text())
    info = dataset.load(records)
    return _photos(model, info, views.BILINEAR, options, [index[name] for name in info.classes])


def _photos(model, info, resize_filter, options, numbers=None):
    size = model.image_size
    view = views.PipelineOptions(image_size=size, resize_size=size, eval_crop="none", resize_filter=resize_filter)
    localize = tf.function(lambda pictures, labels: model.localize(pictures, labels)[1])
    records = tf.data.TFRecordDataset(list(info.split("test").files)).shard(options.every, 0).map(schema.parse)
    photos = []
    for batch in records.ragged_batch(options.batch_size):
        pixels = [images.decode(each, "a record")[0] for each in batch["jpeg"].numpy()]
        shown = np.stack([views.eval_view(each, view) for each in pixels])
        labels = batch["label"].numpy()
        labels = labels if numbers is None else np.array([numbers[label] for label in labels], np.int32)
        for seen, each, truth, (height, width) in zip(
            shown, localize(shown, labels).numpy(), batch["boxes"], batch["size"].numpy()
        ):
            photos.append(Photo(seen, each, truth.numpy() / [width, height, width, height]))
    return photos


def _measured(name, photos, options):
    """For each photo {"plain": IoU at every threshold, "found": Candidates, "ious": {box: IoU}, "seconds": one's}."""
    cache = pathlib.Path(options.cache, f"{name}.pickle")
    if options.cache and cache.exists():
        return pickle.loads(cache.read_bytes())
    photos = photos()
    maps = [to_score_map(photo.map, len(photo.view), PROTOCOL) for photo in photos]
    levels = [boxes.to_levels(each, THRESHOLDS, PROTOCOL) for each in maps]
    plain = [boxes.boxes_at_levels(*each, PROTOCOL) / len(photo.view) for each, photo in zip(levels, photos)]
    ious = np.array([[photo.iou(box) for box in each] for each, photo in zip(plain, photos)])
    hits = (ious[::2] >= 0.5).mean(axis=0)
    rules = dataclasses.replace(PROTOCOL, default_threshold=float(THRESHOLDS[hits.argmax()]))
    rows = []
    for photo, score_map, own, at in zip(photos, maps, ious, plain):
        start = time.process_time()
        found = refine.candidates(photo.view, score_map, rules)
        seconds = time.process_time() - start
        cut = refine.cut_box(photo.view, score_map, PROTOCOL)  # as evaluate does, which knows no better threshold
        cut = np.zeros(4) if cut is None else cut
        alone = refine.candidates(photo.view, score_map, rules, with_cut=False)
        rows.append(
            {
                "threshold": rules.default_threshold,
                "plain": own,
                "agreement": np.array([refine.share_iou(box, cut) for box in at]),
                "measures": {ALONE: alone.measures[refine.PLAIN], **found.measures},
                "ious": {box: photo.iou(value) for box, value in found.boxes.items()},
                "seconds": seconds,
            }
        )
    if options.cache:
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_bytes(pickle.dumps(rows))
    return rows


def _fit(sets):
    """refine.ESTIMATES: least squares of the IoU on the measures, with a small penalty; each set weighs the same."""
    estimates = {}
    for name in (ALONE, refine.PLAIN, refine.CUT, refine.MEAN):
        box = refine.PLAIN if name == ALONE else name
        rows = [
            (row["measures"][name], row["ious"][box], 1 / len(each) / len(sets))
            for each in sets
            for row in each
            if name == ALONE or refine.CUT in row["measures"]
        ]
        keys = list(rows[0][0])
        matrix = np.array([[1.0, *(measures[key] for key in keys)] for measures, _, _ in rows])
        weights = np.array([[weight] for *_, weight in rows])
        penalty = RIDGE * np.eye(len(keys) + 1)
        penalty[0, 0] = 0
        scaled = (matrix * weights).T
        solved = np.linalg.solve(scaled @ matrix + penalty, scaled @ [iou for _, iou, _ in rows])
        estimates[name] = dict(zip(["", *keys], np.round(solved, 3).tolist()))
    return estimates


def _report(name, rows):
    """Prints one set's table and returns its numbers."""
    print(f"\n{name}: {len(rows)} photos, threshold {rows[0]['threshold']:g}")
    print("| box | mean IoU | IoU >= 0.5 | IoU >= 0.7 | quality and IoU, Spearman |\n|---|---|---|---|---|")
    numbers = {"photos": len(rows), "threshold": rows[0]["threshold"]}
    for mode in refine.MODES:
        chosen = [_choice(row, mode) for row in rows]
        ious = np.array([row["ious"][box] for row, (box, _) in zip(rows, chosen)])
        rank = _spearman([quality for _, quality in chosen], ious)
        mean, half, most = ious.mean(), (ious >= 0.5).mean(), (ious >= 0.7).mean()
        print(f"| {mode} | {mean:.3f} | {half:.1%} | {most:.1%} | {rank:.2f} |")
        numbers[mode] = {
            "iou": round(mean, 4),
            "at_0.5": round(half, 4),
            "at_0.7": round(most, 4),
            "rank": round(rank, 3),
        }
    agreeing = int(np.mean([row["agreement"] for row in rows], axis=0).argmax())
    plain = np.array([row["plain"] for row in rows])
    at = {"true boxes": rows[0]["threshold"], "agreement": float(THRESHOLDS[agreeing])}
    for source, threshold in at.items():
        own = plain[:, np.abs(THRESHOLDS - threshold).argmin()]
        print(f"threshold by {source}: {threshold:g}, mean IoU {own.mean():.3f}, IoU >= 0.5 {(own >= 0.5).mean():.1%}")
        numbers[f"threshold by {source}"] = [threshold, round(own.mean(), 4), round((own >= 0.5).mean(), 4)]
    milliseconds = 1000 * float(np.median([row["seconds"] for row in rows]))
    print(f"{milliseconds:.0f} ms of one core a photo (median)")
    return {**numbers, "milliseconds": round(milliseconds, 1)}


def _choice(row, mode):
    """(name of the box, its quality), as refine.refine chooses."""
    names = list(row["ious"])
    if mode == refine.NONE or len(names) == 1:
        return refine.PLAIN, refine.estimate(ALONE, row["measures"][ALONE])
    estimates = {name: refine.estimate(name, row["measures"][name]) for name in names}
    name = refine.CUT if mode == refine.GRABCUT else max(estimates, key=estimates.__getitem__)
    return name, estimates[name]


def _spearman(first, second):
    ranks = [np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == "__main__":
    cli.run(main, RefinementOptions)
