import dataclasses
import json

import cv2
import numpy as np
import pytest
from made_runs import run

from e2wsol import trained_run
from e2wsol.config import from_mapping
from e2wsol.data import dataset, pipeline
from e2wsol.errors import UserError
from e2wsol.evaluation import of_run
from e2wsol.localization import protocols


@pytest.fixture(scope="module")
def result(tiny_run, tiny_records):
    assert run("evaluate", f"--run_dir={tiny_run}", "--batch_size=3", "--samples=6") == 0
    return json.loads((tiny_run / "result.json").read_text())


def pictures(run_dir, records):
    """(map, label, logits, true box in the frame) of the test split, one by one."""
    model = trained_run.load_model(run_dir / "checkpoints" / "best" / "model.keras")
    view = from_mapping(pipeline.PipelineOptions, json.loads((run_dir / "flags.json").read_text())["flags"])
    offset = (view.resize_size - view.image_size) // 2
    for batch in pipeline.eval_dataset(dataset.load(str(records)), view, split="test", batch=1):
        logits, maps = model.localize(batch["image"], batch["label"])
        height, width = batch["size"].numpy()[0]
        box = batch["boxes"].numpy()[0, 0].astype(np.float64)
        scale = np.array([view.resize_size / width, view.resize_size / height] * 2)
        yield maps.numpy()[0], int(batch["label"][0]), logits.numpy()[0], box * scale - offset


def box_of(localization_map, threshold, size=32):
    """E2Net's extraction, written down again from its evaluate.py, without the colour map (one gray level)."""
    score = cv2.resize(localization_map.astype(np.float32), (size, size)).astype(np.float64)
    score = (score - score.min()) / (score.max() - score.min())
    gray = np.minimum(np.floor(score * 256), 255).astype(np.uint8)
    _, mask = cv2.threshold(gray, int(gray.max() * threshold), 255, cv2.THRESH_TOZERO)
    contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    if not contours:
        return np.array([0, 0, 1, 1])
    x, y, w, h = cv2.boundingRect(max(contours, key=cv2.contourArea))
    return np.array([x, y, x + w, y + h])


def iou(one, other):
    """Both ends inside, as E2Net counts."""
    x0, y0 = np.maximum(one[:2], other[:2])
    x1, y1 = np.minimum(one[2:], other[2:])
    both = max(0, x1 - x0 + 1) * max(0, y1 - y0 + 1)
    return both / (sum((b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (one, other)) - both)


def test_numbers_agree_with_a_direct_recomputation(result, tiny_run, tiny_records):
    found = {
        (score["metric"], score["iou"]): score
        for score in result["scores"]
        if score["localizer"] == "e2net" and score["threshold_from"] == "protocol"
    }
    hits = {key: 0 for key in found}
    top1 = top5 = 0
    for localization_map, label, logits, truth in pictures(tiny_run, tiny_records):
        overlap = iou(box_of(localization_map, 0.09), np.trunc(truth))
        right1, right5 = np.argmax(logits) == label, label in np.argsort(-logits)[:5]
        top1, top5 = top1 + right1, top5 + right5
        for threshold in (0.3, 0.5, 0.7):
            hits["GT-known Loc", threshold] += overlap >= threshold
            hits["Top-1 Loc", threshold] += overlap >= threshold and right1
            hits["Top-5 Loc", threshold] += overlap >= threshold and right5
    assert {key: score["hits"] for key, score in found.items()} == hits
    assert all(score["pictures"] == 8 and score["value"] == score["hits"] / 8 for score in found.values())
    assert all(score["threshold"] == 0.09 for score in found.values())
    assert result["classification"] == {"top1": top1 / 8, "top5": top5 / 8}


def test_result_says_what_was_scored(result, tiny_run):
    assert result["dataset"] == {"name": "synthetic", "split": "test", "pictures": 8, "classes": 3}
    assert (result["method"], result["backbone"], result["protocol"]) == ("e2net", "vgg16", "e2net")
    assert result["threshold_split"] == "val" and result["image_size"] == 32
    assert result["checkpoint"].startswith(str(tiny_run)) and result["flags"]["run_dir"] == str(tiny_run)
    assert result["versions"]["keras"] and result["seconds"] > 0
    localizers = {score["localizer"] for score in result["scores"]}
    assert localizers == {"e2net", "centre box", "centre Gaussian"} and len(result["scores"]) == 3 * 3 * 3 * 3
    assert set(result["pxap"]) == {"e2net", "centre Gaussian"}


def test_intervals_hold_their_scores_and_say_how_they_were_made(result):
    assert result["bootstrap"] == {
        "method": "percentile bootstrap over pictures",
        "level": 0.95,
        "draws": 1000,
        "seed": 0,
    }
    for score in result["scores"]:
        low, high = score["interval"]
        assert 0 <= low <= score["value"] <= high <= 1
        # Eight pictures: quantiles of a binomial share.
        draws = np.random.default_rng(1).binomial(8, score["value"], 40000) / 8
        np.testing.assert_allclose((low, high), np.quantile(draws, (0.025, 0.975)), atol=0.13)
    for name, found in result["pixel_intervals"].items():
        for figure, (low, high) in found.items():
            assert low <= result[figure][name] <= high


def test_best_is_never_below_the_others_and_lies_on_the_curve(result):
    curve = result["curves"]
    for name in ("e2net", "centre box", "centre Gaussian"):
        for overlap in (0.3, 0.5, 0.7):
            values = {
                score["threshold_from"]: score
                for score in result["scores"]
                if (score["localizer"], score["metric"], score["iou"]) == (name, "GT-known Loc", overlap)
            }
            best = values["best"]
            assert best["value"] == max(curve[name][f"gt_known_{overlap}"])
            assert best["value"] >= max(values["protocol"]["value"], values["validation"]["value"])
            index = curve["thresholds"].index(best["threshold"])
            assert curve[name][f"gt_known_{overlap}"][index] == best["value"]


def test_samples_are_pictures_of_the_split(result, tiny_run):
    with np.load(tiny_run / "samples.npz") as samples:
        count = len(samples["ids"])
        assert 1 <= count <= 6 and samples["images"].shape == samples["maps"].shape + (3,) == (count, 32, 32, 3)
        assert samples["images"].dtype == samples["maps"].dtype == np.uint8
        np.testing.assert_array_equal(samples["hits"], samples["ious"] >= 0.5)


def test_threshold_chosen_on_another_split_is_the_best_there(result, tiny_run, tmp_path):
    assert run("evaluate", f"--run_dir={tiny_run}", "--split=val", "--threshold_split=test") == 0
    other = json.loads((tiny_run / "result.json").read_text())
    assert other["thresholds"]["best"] == result["thresholds"]["validation"]
    assert other["thresholds"]["validation"] == result["thresholds"]["best"]
    assert other["dataset"]["pictures"] == 9


def test_limit_protocol_and_threshold(result, tiny_run):
    flags = ("--limit=5", "--threshold_limit=5", "--protocol=maxboxacc", "--threshold=0.3")
    assert run("evaluate", f"--run_dir={tiny_run}", *flags) == 0
    other = json.loads((tiny_run / "result.json").read_text())
    assert (other["dataset"]["pictures"], other["protocol"], other["thresholds"]["protocol"]) == (5, "maxboxacc", 0.3)


@pytest.mark.slow
def test_classes_averaged_and_ten_crops(tiny_run, tiny_records):
    """A protocol that averages over classes, thresholds scores and classifies by ten crops, recomputed."""
    assert run("evaluate", f"--run_dir={tiny_run}", "--protocol=bas", "--threshold=0.4", "--batch_size=3") == 0
    found = json.loads((tiny_run / "result.json").read_text())
    assert (found["average"], found["crops"], found["protocol_crops"]) == ("classes", 10, 10)
    model = trained_run.load_model(tiny_run / "checkpoints" / "best" / "model.keras")
    view = from_mapping(pipeline.PipelineOptions, json.loads((tiny_run / "flags.json").read_text())["flags"])
    outcomes = {}
    for batch in pipeline.eval_dataset(dataset.load(str(tiny_records)), view, split="test", batch=1, crops=10):
        logits = model(batch["crops"][0], training=False)["logits"].numpy().astype(np.float64)
        powers = np.exp(logits - logits.max(1, keepdims=True))
        right = np.argmax((powers / powers.sum(1, keepdims=True)).mean(0)) == batch["label"].numpy()[0]
        outcomes.setdefault(int(batch["label"][0]), []).append(right)
    expected = np.mean([np.mean(rights) for rights in outcomes.values()])
    assert found["classification"]["top1"] == pytest.approx(expected, rel=1e-12)
    scores = [score for score in found["scores"] if score["iou"] == 0.5 and score["threshold_from"] == "protocol"]
    assert {score["average"] for score in scores} == {"classes"} and {score["threshold"] for score in scores} == {0.4}
    # The classes of the test split differ in size, so the mean over them is no share of all pictures.
    assert any(0 < score["hits"] < 8 and score["value"] != score["hits"] / 8 for score in scores)


def test_ten_crops_by_their_mean_logits(tiny_run, tiny_records):
    """Protocol mnpo: logits are averaged, and each metric has its own best threshold."""
    assert run("evaluate", f"--run_dir={tiny_run}", "--protocol=mnpo") == 0
    found = json.loads((tiny_run / "result.json").read_text())
    model = trained_run.load_model(tiny_run / "checkpoints" / "best" / "model.keras")
    view = from_mapping(pipeline.PipelineOptions, json.loads((tiny_run / "flags.json").read_text())["flags"])
    right = [
        np.argmax(model(batch["crops"][0], training=False)["logits"].numpy().mean(0)) == batch["label"].numpy()[0]
        for batch in pipeline.eval_dataset(dataset.load(str(tiny_records)), view, split="test", batch=1, crops=10)
    ]
    assert (found["crops"], found["classification"]["top1"]) == (10, np.mean(right))
    for score in found["scores"]:
        curve = {"GT-known Loc": "gt_known", "Top-1 Loc": "top1", "Top-5 Loc": "top5"}[score["metric"]]
        if score["threshold_from"] == "best":
            assert score["value"] == max(found["curves"][score["localizer"]][f"{curve}_{score['iou']:g}"])


def test_ten_crops_by_flag(result, tiny_run, capsys):
    assert run("evaluate", f"--run_dir={tiny_run}", "--crops=10", "--threshold_limit=5") == 0
    other = json.loads((tiny_run / "result.json").read_text())
    assert (other["average"], other["crops"], other["protocol_crops"]) == ("pictures", 10, 1)
    assert "mean of ten crops, where protocol e2net takes one" in capsys.readouterr().out
    known = [[s["value"] for s in r["scores"] if s["metric"] == "GT-known Loc"][:1] for r in (result, other)]
    assert known[0] == known[1]


def test_ten_crops_without_a_margin():
    bare, protocol = pipeline.PipelineOptions(image_size=32, resize_size=32), protocols.get("bas")
    with pytest.raises(UserError, match=r"crops=10: .* resize_size=32 and image_size=32"):
        of_run.crops_to_take("10", protocol, bare)
    assert of_run.crops_to_take("auto", protocol, bare) == of_run.crops_to_take("1", protocol, bare) == 1
    margin = dataclasses.replace(bare, resize_size=36)
    assert of_run.crops_to_take("auto", protocol, margin) == of_run.crops_to_take("10", protocol, margin) == 10
    assert of_run.crops_to_take("auto", protocols.get("e2net"), margin) == 1


def test_batch_size_does_not_matter(result, tiny_run):
    assert run("evaluate", f"--run_dir={tiny_run}", "--batch_size=8", "--samples=0") == 0
    other = json.loads((tiny_run / "result.json").read_text())
    assert other["scores"] == result["scores"] and other["curves"] == result["curves"]


def test_protocols_threshold_of_the_run_counts(tiny_run):
    flags = {"protocol": "maxboxacc", "threshold": 0.4}
    model = trained_run.load_model(tiny_run / "checkpoints" / "best" / "model.keras")
    assert trained_run.protocol_of(model, protocols.BoxOptions(), flags).default_threshold == 0.4
    box = dataclasses.replace(protocols.BoxOptions(), protocol="e2net")
    assert trained_run.protocol_of(model, box, flags).default_threshold == 0.09
    assert trained_run.protocol_of(model, protocols.BoxOptions(), {}).name == "e2net"
