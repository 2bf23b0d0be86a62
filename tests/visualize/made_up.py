"""A made-up result and samples for the tests of tables, curves and pages."""

import json

import numpy as np

METHOD = "e2net"


def result(**changes):
    thresholds = [step / 10 for step in range(10)]
    curves = {
        "thresholds": thresholds,
        METHOD: {"gt_known_0.5": [round(0.7 - abs(t - 0.2), 3) for t in thresholds]},
        "centre Gaussian": {"gt_known_0.5": [round(0.6 - abs(t - 0.3), 3) for t in thresholds]},
    }
    curves["centre box"] = {"gt_known_0.5": [0.55] * len(thresholds)}
    scores = [
        _score(METHOD, "protocol", 0.1, 60),
        _score(METHOD, "validation", 0.3, 61),
        _score(METHOD, "best", 0.2, 70),
        _score("centre box", "protocol", 0.1, 55),
        _score("centre Gaussian", "protocol", 0.1, 40),
    ]
    made = {
        "dataset": {"name": "birds <&>", "split": "test", "pictures": 100, "classes": 3},
        "method": METHOD,
        "backbone": "vgg16",
        "checkpoint": "runs/a/checkpoints/best/model.keras",
        "protocol": "e2net",
        "threshold_split": "validation",
        "image_size": 32,
        "thresholds": {"protocol": 0.1, "validation": {"0.5": 0.3}, "best": {"0.5": 0.2}},
        "scores": scores,
        "classification": {"top1": 0.81, "top5": 0.97},
        "pxap": {METHOD: 0.456, "centre Gaussian": 0.321},
        "curves": curves,
        "flags": {"data_dir": "<records>"},
        "versions": {"keras": "3.15"},
        "git_commit": "abc",
        "seconds": 1.5,
    }
    return made | changes


def full_result():
    """With everything that the evaluator writes today."""
    found = result()
    scores = [{**score, "interval": [0.5, 0.7]} for score in found["scores"]]
    names = METHOD, "centre Gaussian"
    return found | {
        "scores": scores,
        "sizes": {"names": ["small", "large"], "bounds": [0.2], "scores": [{"size": "small", **scores[0]}]},
        "overlaps": {
            "from": [0.0, 0.5],
            "counts": [{"localizer": METHOD, "threshold_from": "validation", "pictures": [40, 60]}],
        },
        "max_box_acc": {name: {"0.5": 0.7, "mean": 0.7, "mean_interval": [0.6, 0.8]} for name in names},
        "bootstrap": {"level": 0.95},
        "piou": dict.fromkeys(names, 0.4),
        "piou_thresholds": dict.fromkeys(names, 0.3),
        "pixel_intervals": {name: {"pxap": [0.4, 0.5], "piou": None} for name in names},
    }


def _score(localizer, kind, threshold, hits):
    return {
        "localizer": localizer,
        "metric": "GT-known Loc",
        "iou": 0.5,
        "threshold_from": kind,
        "threshold": threshold,
        "hits": hits,
        "pictures": 100,
        "value": hits / 100,
    }


def samples(count=6, size=32):
    rng = np.random.default_rng(0)
    predicted = np.tile(np.float32([4, 4, 20, 20]), (count, 1))
    true = np.full((count, 2, 4), -1, np.float32)
    true[:, 0] = (8, 8, 24, 24)
    ious = np.linspace(0, 1, count, dtype=np.float32)
    return {
        "ids": np.array([f"picture{i}<.jpg" for i in range(count)]),
        "images": rng.integers(0, 255, (count, size, size, 3), dtype=np.uint8),
        "maps": rng.integers(0, 255, (count, size, size), dtype=np.uint8),
        "predicted_boxes": predicted,
        "true_boxes": true,
        "ious": ious,
        "labels": np.arange(count) % 3,
        "predictions": np.zeros(count, int),
        "hits": ious >= 0.5,
        "random": np.ones(count, bool),
    }


def write_run(folder, *, count=6):
    """Fills `folder` with result.json, samples.npz and dataset.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result()))
    np.savez(folder / "samples.npz", **samples(count))
    names = ["Gull <script>alert(1)</script>", "Tern & co", "Auk"]
    (folder / "dataset.json").write_text(json.dumps({"format": "e2wsol-records/1", "classes": names}))
