"""A made-up study and samples for the tests of its page."""

import made_up
import numpy as np

_METRICS = {
    "gt_known_0.5": ("GT-known Loc, IoU 0.5", "validation"),
    "gt_known_0.5_best": ("GT-known Loc, IoU 0.5", "best"),
    "top1_class": ("Top-1 class", None),
}


def study(**changes):
    """Two trained entries and a post-hoc one, one that does not beat the centre box, one without a run."""
    rows = [
        row("centre box", kind="baseline", seeds=[], gt=0.47),
        row("cam", title="CAM", gt=0.5, by_seed=[0.48, 0.5, 0.52], top1=0.8),
        row(
            "weak",
            title="Weak & <b>",
            seeds=[0, 2],
            gt=0.46,
            by_seed=[0.5, 0.42],
            against=(-0.04, -0.09, 0.01, 0.12),
            apart=[0.5 - 0.48, 0.42 - 0.52],
        ),
        row(
            "dgl", title="DGL", kind="post-hoc", of="cam", layer="block10", gt=0.625, against=(0.125, 0.05, 0.2, 0.0001)
        ),
    ]
    made = {
        "suite": {
            "name": "tiny",
            "title": "Tiny <suite>",
            "dataset": "tiny",
            "split": "test",
            "pictures": 243,
            "classes": 3,
            "protocol": "maxboxacc",
            "threshold_split": "val",
            "image_size": 32,
            "backbone": "mobilenet_v1",
            "start_weights": None,
            "seeds": [0, 1, 2],
            "epochs": 12,
            "batch_size": 16,
            "read_by": ["gt_known_0.5"],
            "note": "The box <hits> often.",
            "versions": {"keras": "3.15"},
            "seconds": 5400.0,
        },
        "metrics": [{"key": key, "title": title, "threshold": kind} for key, (title, kind) in _METRICS.items()],
        "rows": rows,
        "missing": [{"entry": "spg", "title": "SPG", "seed": seed, "why": "not run yet"} for seed in (0, 1)],
        "claims": [
            claim("dgl", "yes", 0.125, [0.05, 0.2]),
            claim("weak", "open", -0.04, [-0.09, 0.01], "few <epochs>"),
            claim("cam", "no", -0.1, [-0.15, -0.05]),
            claim("spg", "not measured", None, None),
        ],
        "papers": [
            paper("cam", "vgg16", 55.25, {"gt_known": 0.5, "top1_loc": None, "setting": "tiny, 32 pixels"}),
            paper("cam", "resnet50", 66.0, {"gt_known": 0.5, "top1_loc": None, "setting": "tiny, 32 pixels"}),
            paper("spg", "inception_v3", None, None) | {"protocol_note": "ten <crops>"},
        ],
    }
    return made | changes


def row(
    entry,
    *,
    gt,
    title=None,
    kind="trained",
    of=None,
    layer=None,
    seeds=(0, 1, 2),
    by_seed=(),
    top1=None,
    against=None,
    apart=(),
):
    scores = {
        "gt_known_0.5": score(gt, by_seed),
        "gt_known_0.5_best": {**score(gt + 0.031), "interval": None},
    }
    if top1 is not None:
        scores["top1_class"] = {**score(top1), "deviation": None}
    if against:
        difference, low, high, p = against
        found = {"difference": difference, "interval": [low, high], "p": p, "by_seed": list(apart)}
        against = {"gt_known_0.5": found}
    return {
        "entry": entry,
        "title": title or entry,
        "kind": kind,
        "of": of,
        "layer": layer,
        "method": entry,
        "seeds": list(seeds),
        "scores": scores,
        "against_cam": against,
        "seconds": 1.0,
        "cells": [],
    }


def score(mean, by_seed=()):
    interval = [mean - 0.0625, mean + 0.0625]
    return {"mean": mean, "deviation": 0.02, "interval": interval, "by_seed": list(by_seed)}


def claim(entry, holds, difference, interval, why=""):
    facts = {"entry": entry, "claim": f"{entry} above all", "metric": "gt_known_0.5", "why": why}
    return {**facts, "difference": difference, "interval": interval, "holds": holds}


def paper(method, backbone, gt_known, ours):
    figures = {"top1_loc": 40.0, "top5_loc": 50.0, "gt_known": gt_known, "top1_class": None}
    return {
        "method": method,
        "backbone": backbone,
        "dataset": "cub",
        **figures,
        "source": "table <1>",
        "protocol_note": "",
        "ours": ours,
    }


def samples():
    """Pictures of three entries: six of each, of which the first two are not of all, and the third not random."""
    found = {}
    for shift, entry in enumerate(("cam", "weak", "dgl")):
        arrays = made_up.samples(6)
        arrays["ids"] = np.array(["first", "second", "third", "p<3>", "p4", "p5"])
        arrays["ids"][:2] = [f"{entry}0", f"{entry}1"]
        arrays["random"][2] = False
        # Not in one order, so that a column that took the place of another's picture is seen.
        found[entry] = {name: np.roll(array, shift, axis=0) for name, array in arrays.items()}
    return found
