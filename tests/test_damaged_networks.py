"""Networks that say nothing: NaN weights are refused, maps without contrast are counted and named."""

import json

import numpy as np
import pytest
from made_runs import run

from e2wsol import CAM
from e2wsol.data.synthetic import SyntheticOptions, render

CLASSES = ("a", "b", "c")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(model with NaN weights, model whose maps are flat, folder of two photos)."""
    folder = tmp_path_factory.mktemp("damaged")
    model = CAM(num_classes=3, backbone="mobilenet_v1", backbone_width=0.1, image_size=32, class_names=CLASSES)
    model(np.zeros((1, 32, 32, 3), np.uint8))
    kernel = model.get_layer("linear").kernel
    kernel.assign(np.zeros(kernel.shape))
    model.save(folder / "flat.keras")
    kernel.assign(np.full(kernel.shape, np.nan))
    model.save(folder / "nan.keras")
    (folder / "photos").mkdir()
    from PIL import Image

    for index in range(2):
        pixels = render(SyntheticOptions(synthetic_side=32), "train", index).image
        Image.fromarray(pixels).save(folder / f"photos/{index}.png")
    return folder / "nan.keras", folder / "flat.keras", folder / "photos"


def test_nan_weights_are_refused_by_predict(files, tmp_path, capsys):
    nan, _, photos = files
    assert run("predict", f"--model={nan}", f"--output={tmp_path / 'out'}", photos) == 2
    message = "error: the network gives NaN or infinity: its weights are damaged, or its training diverged"
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")] == [message]


@pytest.mark.parametrize(
    ("form", "file"), [("json", "predictions.json"), ("yolo", "0.txt"), ("coco", "annotations.json")]
)
def test_flat_maps_are_counted_and_give_no_label(files, tmp_path, capsys, form, file):
    _, flat, photos = files
    output = tmp_path / "out"
    assert run("predict", f"--model={flat}", f"--output={output}", f"--format={form}", "--overlays=false", photos) == 0
    assert "note: 2 maps have no contrast, their boxes say nothing: 0.png, 1.png" in capsys.readouterr().out
    text = (output / file).read_text()
    if form == "json":
        assert [entry["flat_map"] for entry in json.loads(text)["pictures"]] == [True, True]
    else:
        assert text == "" or json.loads(text)["annotations"] == []


@pytest.mark.slow
def test_evaluate_counts_flat_maps_and_refuses_nan(files, tiny_records, tmp_path, capsys):
    nan, flat, _ = files
    run_folder = tmp_path / "run"
    from made_runs import train_run

    flags = ("--method=cam", "--backbone=mobilenet_v1", "--backbone_width=0.1", "--epochs=1", "--steps_per_epoch=1")
    assert train_run(tiny_records, run_folder, *flags) == 0
    assert run("evaluate", f"--run_dir={run_folder}", f"--checkpoint={flat}") == 0
    assert "note: 8 of 8 maps (cam) have no contrast: their boxes say nothing" in capsys.readouterr().out
    assert json.loads((run_folder / "result.json").read_text())["flat_maps"] == 8
    assert run("evaluate", f"--run_dir={run_folder}", f"--checkpoint={nan}") == 2
    assert "the network gives NaN or infinity" in capsys.readouterr().err
