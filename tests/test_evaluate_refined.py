"""Evaluating boxes that colours move, and records without any box."""

import json

import numpy as np
import pytest
import tensorflow as tf
from made_runs import run, train_run

import e2wsol
from e2wsol.data import dataset, schema
from e2wsol.localization import refine
from e2wsol.localization.score_map import to_score_map

pytestmark = pytest.mark.slow  # trains


@pytest.fixture(scope="module")
def cam_run(tiny_records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "cam"
    assert train_run(tiny_records, folder, "--method=cam", "--resize_size=32") == 0
    return folder


def test_rows_of_their_own(cam_run, tiny_records):
    """Hits of the refined boxes are counted beside the others, which stay as they are."""
    plain = e2wsol.load(cam_run).evaluate(samples=0)
    result = e2wsol.load(cam_run).evaluate(samples=0, refine="grabcut")
    name = "cam, refined (grabcut)"
    own = [entry for entry in result["scores"] if entry["localizer"] != name]
    assert own == plain["scores"] and result["thresholds"] == plain["thresholds"]
    loaded = e2wsol.load(cam_run)
    hits = 0
    for stored in tf.data.TFRecordDataset(list(dataset.load(str(tiny_records)).split("test").files)):
        record = schema.parse(stored)
        pixels = tf.io.decode_jpeg(record["jpeg"]).numpy()
        found = loaded.predict(pixels, int(record["label"]), refine="grabcut")
        sides = np.tile(found.image_size, 2)
        hits += (
            max(refine.share_iou(np.array(found.box) / sides, true / sides) for true in record["boxes"].numpy()) >= 0.5
        )
    [entry] = [
        entry
        for entry in result["scores"]
        if (entry["localizer"], entry["metric"], entry["iou"], entry["threshold_from"])
        == (name, "GT-known Loc", 0.5, "validation")
    ]
    assert abs(entry["hits"] - hits) <= 1 and entry["pictures"] == 8  # ends are counted in another way
    assert run("report", f"--run_dir={cam_run}") == 0


def test_records_without_boxes(tiny_records, tmp_path, capsys):
    """Classes are scored, the threshold agrees best with the cut's boxes, and predict takes it."""
    photos = tmp_path / "photos"
    for split in ("train", "test"):
        for index, stored in enumerate(
            tf.data.TFRecordDataset(list(dataset.load(str(tiny_records)).split(split).files))
        ):
            record = schema.parse(stored)
            file = photos / split / record["class_name"].numpy().decode() / f"{index}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(record["jpeg"].numpy())
    records, folder = tmp_path / "records", tmp_path / "run"
    assert run("build", "--source=folder", f"--input={photos}", f"--output={records}", "--workers=1") == 0
    assert train_run(records, folder, "--method=cam", "--resize_size=32") == 0
    capsys.readouterr()
    assert run("evaluate", f"--run_dir={folder}") == 0
    said = capsys.readouterr().out
    assert "the records have no box: no localization is scored" in said and "of 8 pictures is right" in said
    assert not (folder / "result.json").exists()
    document = json.loads((folder / "classification.json").read_text())
    loaded = e2wsol.load(folder)
    assert loaded.threshold == document["thresholds"]["agreement"]
    assert loaded.threshold_from == "by agreement with colours on split train"
    assert agreement(loaded, records, loaded.threshold) >= max(agreement(loaded, records, each) for each in (0.1, 0.5))


def agreement(loaded, records, threshold):
    """Mean IoU of the cut's box with the map's at a threshold, over the photos of split train."""
    rules, found = loaded.box_protocol(), []
    for stored in tf.data.TFRecordDataset(list(dataset.load(str(records)).split("train").files)):
        record = schema.parse(stored)
        pixels = tf.io.decode_jpeg(record["jpeg"]).numpy()
        one = loaded.predict(pixels, int(record["label"]), threshold=threshold)
        view = loaded.predictor().prepare(pixels)
        cut = refine.cut_box(view, to_score_map(one.map, len(view), rules), rules)
        if cut is not None:
            found.append(refine.share_iou(np.array(one.box) / np.tile(one.image_size, 2), cut))
    return np.mean(found)
