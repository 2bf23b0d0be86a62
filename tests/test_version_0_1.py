"""Run folders, .keras files, exports and flagfiles that version 0.1 wrote: they give the boxes that they gave then.

version_0_1/ was made by the commands of commit 4277c3d, and is never made anew.
"""

import json
import pathlib
import shutil

import numpy as np
import pytest
from made_runs import run

from e2wsol import config, train
from e2wsol.methods.bas import BASOptions
from e2wsol.trained_run import load

FOLDER = pathlib.Path(__file__).parent / "version_0_1"
PREDICTED = json.loads((FOLDER / "predictions.json").read_text())
# What --model named, and the threshold that predict took: today's takes the one that evaluate chose.
MODELS = {
    "bas": ("bas", {"threshold": 0.2}),
    "e2net": ("e2net.keras", {}),
    "dgl": ("dgl.keras", {}),
    "export": ("export", {}),
}


def photos():
    """{name: uint8 RGB} of the images that were localized."""
    made = {}
    for seed, (width, height) in enumerate([(60, 45), (40, 70), (52, 52)]):
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
        top, left = height // 4, width // 3
        pixels[top : top + height // 2, left : left + width // 3] = (200, 40, 40)
        made[f"{seed}.png"] = pixels
    return made


@pytest.mark.parametrize("name", MODELS)
def test_boxes_are_those_of_then(name):
    model, settings = MODELS[name]
    images, expected = photos(), {entry["name"]: entry for entry in PREDICTED[name]["found"]}
    loaded = load(FOLDER / model)
    found = dict(zip(images, loaded.predict(list(images.values()), **settings)))
    for image, entry in expected.items():
        assert found[image].label == entry["class"], image
        assert found[image].score == pytest.approx(entry["score"], abs=1e-4)
        # A rounding of another processor moves a box by a pixel of the network at most.
        scale = max(images[image].shape) / 32
        np.testing.assert_allclose(found[image].box, entry["box"], atol=1.01 * scale, err_msg=image)
    assert loaded.protocol == (PREDICTED[name]["protocol"] or loaded.protocol)


def test_a_run_brings_its_names_and_the_threshold_that_evaluate_chose():
    loaded = load(FOLDER / "bas")
    assert loaded.class_names == ("red-headed", "lime-headed", "cyan-headed") and loaded.protocol == "maxboxacc"
    assert (loaded.threshold, loaded.threshold_from) == (0.051000000000000004, "chosen on split val")
    options = loaded.model.options
    assert options == BASOptions(area_weight=1.2, top_k=2, head_channels=64)


def test_the_flagfile_means_what_its_run_recorded():
    flags, _, _ = config.parse(["train", f"--flagfile={FOLDER / 'bas.cfg'}"], train.TrainFlags)
    recorded = json.loads((FOLDER / "bas" / "flags.json").read_text())["flags"]
    given = config.to_mapping(flags)
    paths = ("data_dir", "run_dir", "tensorboard_pictures")
    assert {name: given[name] for name in recorded if name not in paths} == {
        name: value for name, value in recorded.items() if name not in paths
    }


@pytest.mark.slow
def test_commands_take_the_run_under_flags_of_then(tmp_path, tiny_records):
    """evaluate --batch, report --result, predict --model and a training that goes on."""
    folder = tmp_path / "run"
    shutil.copytree(FOLDER / "bas", folder, symlinks=True)
    assert run("evaluate", f"--run_dir={folder}", f"--data_dir={tiny_records}", "--batch=4") == 0
    before, after = (json.loads((path / "result.json").read_text()) for path in (FOLDER / "bas", folder))
    assert after["dataset"] == before["dataset"] and after["method"] == before["method"] == "bas"
    assert [entry["hits"] for entry in after["scores"]] == pytest.approx(
        [entry["hits"] for entry in before["scores"]], abs=1
    )
    # Of the same kind, and not the shards of then.
    flags = (f"--flagfile={FOLDER / 'bas.cfg'}", f"--data_dir={tiny_records}", f"--run_dir={folder}", "--epochs=5")
    assert run("train", *flags, "--tensorboard_pictures=0") == 2
    flags = (*flags, "--allow_other_data")
    assert run("train", *flags, "--tensorboard_pictures=0") == 0
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps[-1] == 20 and (folder / "checkpoints" / "last").resolve().name == "step-00000020"
