"""Evaluating a run through localizers other than its method's own maps."""

import json
import shutil

import cv2
import numpy as np
import pytest
from made_runs import run, train_run

from e2wsol import report, trained_run
from e2wsol.config import from_mapping
from e2wsol.data import dataset, pipeline
from e2wsol.localization import protocols
from e2wsol.localization.frame import Frame
from e2wsol.localization.metrics import LocalizationScorer
from e2wsol.localization.pixel_metrics import pxap
from e2wsol.localizers import Localizer, LocalizerOptions

pytestmark = pytest.mark.slow  # a run and its maps


@pytest.fixture(scope="module")
def cam_run(tiny_records, tmp_path_factory):
    """A run of CAM, evaluated as it is and through two localizers on three layers."""
    folder = tmp_path_factory.mktemp("runs") / "cam"
    assert train_run(tiny_records, folder, "--method=cam") == 0
    assert run("evaluate", f"--run_dir={folder}") == 0
    flags = ("--localizer=cam,dgl", "--layer=features,conv5_1,pool3", "--batch_size=3", "--samples=6")
    assert run("evaluate", f"--run_dir={folder}", *flags) == 0
    return folder


def read(folder):
    return json.loads((folder / "result.json").read_text())


def test_scores_are_those_of_the_localizers_own_maps(cam_run, tiny_records):
    result = read(cam_run / "localizers" / "dgl" / "pool3")
    model = trained_run.load_model(result["checkpoint"])
    localizer = Localizer(model, LocalizerOptions(localizer=("dgl",), layer=("pool3",)))
    view = from_mapping(pipeline.PipelineOptions, result["flags"])
    scorer = LocalizationScorer(protocols.get(model.protocol), Frame.of_view(view))
    for batch in pipeline.eval_dataset(dataset.load(str(tiny_records)), view, split="test", batch=1):
        _, maps = localizer.localize(batch["image"], batch["label"])
        scorer.update(
            maps.numpy()[0],
            boxes=batch["boxes"].numpy()[0, : int(batch["num_boxes"][0])],
            image_size=tuple(batch["size"].numpy()[0][::-1]),
            label=int(batch["label"][0]),
            mask=cv2.imdecode(np.frombuffer(batch["mask"].numpy()[0], np.uint8), cv2.IMREAD_GRAYSCALE),
        )
    expected = scorer.curves()
    assert result["curves"]["dgl/pool3"]["gt_known_0.5"] == expected["gt_known_0.5"]
    assert result["pxap"]["dgl/pool3"] == pytest.approx(pxap(scorer.pixels), abs=1e-3)
    assert (result["method"], result["trained_method"], result["dataset"]["pictures"]) == ("dgl/pool3", "cam", 8)
    assert result["localizer_flags"]["localizer"] == ["cam", "dgl"] and result["threshold_split"] == "val"


def test_own_maps_and_cam_score_as_the_plain_evaluation(cam_run):
    plain, cam = read(cam_run), read(cam_run / "localizers" / "cam" / "features")
    assert cam["curves"]["cam/features"] == plain["curves"]["cam"]
    assert cam["thresholds"] == plain["thresholds"]
    assert cam["classification"] == plain["classification"] and cam["max_box_acc"]["centre box"]
    table = json.loads((cam_run / "localizers" / "dgl" / "layers.json").read_text())
    [own] = [row for row in table["rows"] if row["localizer"] == "own maps"]
    best = plain["max_box_acc"]["cam"]
    assert {iou: row["best"]["value"] for iou, row in own["gt_known"].items()} == {
        iou: best[iou] for iou in ("0.5", "0.7")
    }
    assert own["layer"] is None and own["pxap"] == plain["pxap"]["cam"]


def test_one_layer_alone_is_the_same_as_among_several(cam_run, tmp_path):
    folder = tmp_path / "cam"
    shutil.copytree(cam_run, folder)
    shutil.rmtree(folder / "localizers")
    assert run("evaluate", f"--run_dir={folder}", "--localizer=dgl", "--layer=conv5_1", "--batch_size=8") == 0
    assert [path.name for path in (folder / "localizers").iterdir()] == ["dgl"]
    assert [path.name for path in (folder / "localizers" / "dgl").iterdir()] == ["conv5_1"]  # no table of one row
    one, other = (read(each / "localizers" / "dgl" / "conv5_1") for each in (folder, cam_run))
    assert one["scores"] == other["scores"] and one["curves"] == other["curves"]
    assert read(folder) == read(cam_run)


def test_table_says_what_the_results_say(cam_run):
    table = json.loads((cam_run / "localizers" / "dgl" / "layers.json").read_text())
    assert [row["layer"] for row in table["rows"]] == ["pool3", "conv5_1", "features", None, None, None]
    assert not (cam_run / "localizers" / "cam" / "layers.json").exists()  # one row is no table
    for row in table["rows"][:-3]:
        result = read(cam_run / "localizers" / "dgl" / row["layer"])
        [score] = [
            score
            for score in result["scores"]
            if (score["localizer"], score["metric"], score["iou"]) == (result["method"], "GT-known Loc", 0.5)
            and score["threshold_from"] == "validation"
        ]
        found = row["gt_known"]["0.5"]["validation"]
        assert (found["value"], found["threshold"]) == (score["value"], result["thresholds"]["validation"]["0.5"])


def test_fused_layers_scales_and_closing(cam_run, capsys):
    name = "dgl/pool3+conv5_2-max-scales_0.75_1-closing_3"
    flags = ("--layer=conv5_2,pool3", "--layer_fusion=max", "--scales=0.75,1", "--closing=3", "--limit=3")
    assert run("evaluate", f"--run_dir={cam_run}", "--localizer=dgl", *flags, "--threshold_limit=3") == 0
    assert read(cam_run / "localizers" / name)["method"] == name
    text = capsys.readouterr().out
    assert "cam on synthetic (test, 3 pictures), protocol maxboxacc" in text and "PxAP" in text
    lines = [line.split("  ")[0] for line in text.splitlines()]
    assert "own maps" in lines and "centre box" in lines and "wrote 1 results under" in text


def test_every_layer_in_one_pass(cam_run, tmp_path):
    folder = tmp_path / "cam"
    shutil.copytree(cam_run, folder, ignore=shutil.ignore_patterns("localizers"))
    assert (
        run("evaluate", f"--run_dir={folder}", "--localizer=dgl", "--layer=all", "--batch_size=3", "--samples=0") == 0
    )
    table = json.loads((folder / "localizers" / "dgl" / "layers.json").read_text())
    end_points = trained_run.load_model(read(folder)["checkpoint"]).end_points
    assert [row["layer"] for row in table["rows"]] == [*end_points, "features", None, None, None]
    for layer in ("pool3", "conv5_1"):
        one, other = (read(each / "localizers" / "dgl" / layer) for each in (folder, cam_run))
        assert one["scores"] == other["scores"]


def test_report_reads_the_results(cam_run):
    folder = cam_run / "localizers" / "dgl" / "conv5_1"
    with np.load(folder / "samples.npz") as samples:
        assert 1 <= len(samples["ids"]) <= 6 and samples["maps"].shape[1:] == (32, 32)
    assert "dgl/conv5_1" in report.write_report(folder / "result.json").read_text(encoding="utf-8")


def test_predicting_through_a_localizer(cam_run, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.jpg"), picture)
    outputs = []
    for name, flags in {"own": (), "cam": ("--localizer=cam",), "dgl": ("--localizer=dgl", "--layer=pool2")}.items():
        places = f"--model={cam_run}", f"--output={tmp_path / name}", tmp_path / "a.jpg"
        assert run("predict", *flags, "--top_k=2", "--threshold=0.5", *places) == 0
        [entry] = json.loads((tmp_path / name / "predictions.json").read_text())["pictures"]
        outputs.append(entry["top_k"])
    assert outputs[0] == outputs[1] and outputs[0] != outputs[2]


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        ("evaluate", ("--localizer=dgl", "--layer=conv6"), "--layer=conv6: no such layer; choose among conv1_1"),
        ("evaluate", ("--localizer=dlg",), "--localizer=dlg: unknown; choose one of cam, gradcam"),
        ("evaluate", ("--layer=conv5_1",), "--layer: belongs to a localizer"),
        ("evaluate", ("--localizer=dgl", "--maps=."), "--localizer=dgl: --maps has no network to look into"),
        ("predict", ("--localizer=dgl", "--layer=all"), "--layer=all: 18 maps"),
    ],
)
def test_what_is_wrong_is_one_line(command, flags, message, cam_run, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((8, 8, 3), np.uint8))
    where = [f"--run_dir={cam_run}"] if command == "evaluate" else [f"--model={cam_run}", tmp_path / "a.jpg"]
    assert run(command, *flags, *where) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"error: {message}") and "\n" not in error
