"""Made-up results of a study's cells: what evaluate would have written, from drawn hits."""

import json

import numpy as np
from visualize import made_up

from e2wsol.evaluation.outcomes import NOT_PREDICTED, Outcomes
from e2wsol.localization.baselines import CENTRE_BOX, CENTRE_GAUSSIAN
from e2wsol.localization.pixel_metrics import EDGES, PixelCounter, pxap

PICTURES = 60
WITHOUT_BOX = 6
IOUS = (0.3, 0.5, 0.7)
THRESHOLDS = (0.2, 0.35, 0.6)
CLASSES = ["Gull", "Tern", "Auk"]


def finish(plan, name, seed, *, share=0.5, **changes):
    """Writes the result of a row and finishes its cell; returns its Outcomes.

    Args:
      share: the share of the boxes that hit at IoU 0.5.
      changes: classes, masks: whether it has them; the others replace parts of result.json.
    """
    row = next(row for row in plan.rows if row.name == name)
    folder = plan.result_dir(row, seed)
    folder.mkdir(parents=True)
    method = f"{row.localizer}/{plan.layer(row)}" if row.of else row.name
    found = _outcomes(np.random.default_rng([*name.encode(), seed]), share, **_taken(changes, "classes", "masks"))
    found.save(folder / "outcomes.npz")
    (folder / "result.json").write_text(json.dumps(_result(method, found) | changes))
    np.savez(folder / "samples.npz", **made_up.samples(6))
    (folder / "dataset.json").write_text(json.dumps({"format": "e2wsol-records/1", "classes": CLASSES}))
    done = plan.done_file(plan.cell_of(row, seed))
    done.parent.mkdir(exist_ok=True)
    done.write_text(json.dumps({"commands": [], "seconds": 30.0 + seed}))
    return found


def _taken(changes, *names):
    return {name: changes.pop(name) for name in names if name in changes}


def _outcomes(rng, share, classes=True, masks=True):
    ious = np.clip(rng.normal(0.5 + 0.25 * (2 * share - 1), 0.2, (PICTURES, len(IOUS))), 0, 1).astype(np.float32)
    ious[:WITHOUT_BOX] = np.nan
    pixels = rng.integers(0, 9, (PICTURES, 2, len(EDGES) - 1))
    return Outcomes(
        ids=np.array([f"p{number}" for number in range(PICTURES)]),
        labels=np.arange(PICTURES, dtype=np.int32) % 3,
        ranks=np.where(classes, rng.choice([0, 0, 0, 1, 2, 5], PICTURES), NOT_PREDICTED).astype(np.int8),
        iou_thresholds=np.array(IOUS),
        thresholds=np.array(THRESHOLDS),
        ious=ious,
        hits=np.nan_to_num(ious) >= IOUS,
        pixel_histograms=pixels if masks else pixels[:0],
    )


def _result(method, found):
    """result.json, its scores counted picture by picture."""
    classes, masks = bool((found.ranks >= 0).all()), len(found.pixel_histograms) > 0
    metrics = {"GT-known Loc": 9, **({"Top-1 Loc": 1, "Top-5 Loc": 5} if classes else {})}
    scores = []
    for place, (iou, threshold) in enumerate(zip(IOUS, THRESHOLDS)):
        for metric, within in metrics.items():
            pairs = zip(found.hits[WITHOUT_BOX:, place], found.ranks[WITHOUT_BOX:])
            hits = sum(bool(hit and rank < within) for hit, rank in pairs)
            for kind, more in (("protocol", 0), ("validation", 0), ("best", 2)):
                scores.append(_score(method, metric, iou, kind, threshold, hits + more))
        scores += [_score(CENTRE_BOX, "GT-known Loc", iou, kind, 0.1, 0) for kind in ("validation", "best")]
        scores += [_score(CENTRE_GAUSSIAN, "GT-known Loc", iou, kind, 0.1, 27) for kind in ("validation", "best")]
    pixels = {method: _pxap(found), CENTRE_GAUSSIAN: 0.25} if masks else None
    return {
        "dataset": {"name": "made", "split": "test", "pictures": PICTURES, "classes": 3},
        "method": method,
        "image_size": 32,
        "protocol": "maxboxacc",
        "average": "pictures",
        "skip_empty": False,
        "predictions": None,
        "threshold_split": "val",
        "backbone": "mobilenet_v1",
        "flags": {"epochs": 3, "batch_size": 16, "backbone_weights": "made.npz"},
        "scores": scores,
        "pxap": pixels,
        "piou": pixels and dict.fromkeys(pixels, 0.125),
        "pixel_intervals": pixels and {name: {"pxap": [0.1, 0.9], "piou": None} for name in pixels},
        "classification": {
            "top1": float(np.mean(found.ranks == 0)) if classes else None,
            "top5": float(np.mean(found.ranks < 5)) if classes else None,
        },
        "versions": {"keras": "3.15"},
        "git_commit": "abc",
    }


def _score(localizer, metric, iou, kind, threshold, hits):
    pictures = PICTURES - WITHOUT_BOX
    return {
        "localizer": localizer,
        "metric": metric,
        "average": "pictures",
        "iou": iou,
        "threshold_from": kind,
        "threshold": threshold,
        "hits": hits,
        "pictures": pictures,
        "left_out": 0,
        "value": hits / pictures,
        "interval": None if kind == "best" else [hits / pictures - 0.1, hits / pictures + 0.1],
    }


def _pxap(found):
    counter = PixelCounter()
    counter.object_pixels, counter.background_pixels = found.pixel_histograms.sum(axis=0)
    return pxap(counter)
