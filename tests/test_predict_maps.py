"""Maps that predict writes, scored by evaluate --maps: as evaluate --run_dir scores, where the view is the same."""

import csv
import json

import keras
import numpy as np
import pytest
from made_runs import run
from PIL import Image

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.data import dataset
from e2wsol.training.run_folder import RunFolder

SIDE = 32
PROTOCOL = ("--protocol=maxboxacc", "--threshold=0.4")  # its frame is the whole picture


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Folder of photos in two classes with boxes, and records of them."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    rows = [("path", "class", "split", "x0", "y0", "x1", "y1")]
    for number in range(14):
        kind, (width, height) = ("ant", "bee")[number % 2], rng.integers(40, 90, 2).tolist()
        name = f"{kind}/no {number}.jpg"
        (folder / kind).mkdir(exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(folder / name, quality=95)
        rows.append((name, kind, "train" if number < 4 else "test", 0, 0, min(width, 12 + 5 * number), height))
    with open(folder / "boxes.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    records = tmp_path_factory.mktemp("records")
    flags = (f"--input={folder}", f"--output={records}", "--workers=1", "--store=original")
    assert run("build", "--source=folder", *flags) == 0
    return folder, records


def make_run(folder, method, records):
    """A run folder of a small method with random weights whose view is the whole picture."""
    keras.utils.set_random_seed(1)
    model = methods.create(method, backbone=BackboneOptions(backbone_width=0.03), image_size=SIDE, num_classes=2)
    run_folder = RunFolder(folder)
    (run_folder.checkpoints / "last").mkdir(parents=True)
    model.save(run_folder.checkpoints / "last" / "model.keras")
    view = {"image_size": SIDE, "resize_size": SIDE, "eval_crop": "none", "resize_filter": "antialias"}
    flags = {"method": method, "backbone": "vgg16", "data_dir": str(records), **view}
    run_folder.flags_file.write_text(json.dumps({"flags": flags}))
    run_folder.dataset_file.write_bytes((records / dataset.FILE_NAME).read_bytes())
    return folder


def scores(result, metric):
    """{(IoU, threshold): hits} of the run's or the maps' own localizer."""
    own = {"own maps", "maps", result["method"]}
    return {
        (each["iou"], each["threshold"]): (each["hits"], each["pictures"])
        for each in result["scores"]
        if each["metric"] == metric and each["localizer"] in own
    }


@pytest.mark.parametrize(("method", "metric"), [("spol_seg", "GT-known Loc"), ("cam", "Top-1 Loc")])
def test_predicted_maps_score_as_the_run(photos, tmp_path, method, metric):
    """spol_seg has one map for all classes; cam's is that of the predicted class, which Top-1 Loc counts alone."""
    folder, records = photos
    made = make_run(tmp_path / "run", method, records)
    output = tmp_path / "out"
    flags = (f"--output={output}", "--maps=npy", "--nooverlays")
    assert run("predict", f"--model={made}", *flags, *PROTOCOL, folder) == 0
    assert run("evaluate", f"--run_dir={made}", "--crops=1", "--samples=0", *PROTOCOL) == 0
    of_run = json.loads((made / "result.json").read_text())
    pictures = json.loads((output / "predictions.json").read_text())["pictures"]
    (tmp_path / "classes.csv").write_text("".join(f"{each['name']},{each['class']}\n" for each in pictures))
    classes = () if method == "spol_seg" else (f"--predictions={tmp_path / 'classes.csv'}",)
    maps = (f"--maps={output / 'maps'}", f"--data_dir={records}", f"--map_size={SIDE}", "--threshold_split=train")
    assert run("evaluate", *maps, *classes, "--samples=0", *PROTOCOL, f"--run_dir={tmp_path / 'result'}") == 0
    of_maps = json.loads((tmp_path / "result" / "result.json").read_text())
    expected, found = scores(of_run, metric), scores(of_maps, metric)
    given = {key for key in expected if key[1] == 0.4}
    assert len(given) == 3 and {key: found[key] for key in given} == {key: expected[key] for key in given}
    assert all(expected[key][1] == 10 for key in given)
    assert any(hits > 0 for hits, _ in found.values())
    if method == "spol_seg":
        assert found == expected
