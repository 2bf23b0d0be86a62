"""python -m e2wsol.evaluate --maps, the evaluator without a model."""

import json
import shutil

import cv2
import numpy as np
import pytest
from made_runs import run

from e2wsol import report
from e2wsol.data import dataset, pipeline

SIDE = 40


def records_of(folder, split="test"):
    view = pipeline.PipelineOptions(image_size=SIDE, resize_size=SIDE)
    for batch in pipeline.eval_dataset(dataset.load(str(folder)), view, split=split, batch=1):
        yield {name: value.numpy()[0] for name, value in batch.items()}


def store_maps(folder, records, splits=("test",)):
    """Smooth random maps in [0, 1] by picture id; returns {picture id: map} of the last split."""
    rng = np.random.default_rng(0)
    for split in splits:
        maps = {}
        for picture in records_of(records, split):
            name = picture["source_id"].decode()
            coarse = rng.random((5, 5)).astype(np.float32)
            found = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
            maps[name] = (found - found.min()) / np.ptp(found)
            path = folder / f"{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, maps[name])
    return maps


@pytest.fixture(scope="module")
def stored(tiny_records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored") / "mine"
    return folder, store_maps(folder, tiny_records, ("val", "test"))


def evaluate(folder, records, *flags):
    assert run("evaluate", f"--maps={folder}", f"--data_dir={records}", f"--map_size={SIDE}", *flags) == 0
    output = next((flag.split("=")[1] for flag in flags if flag.startswith("--run_dir")), folder)
    return json.loads((type(folder)(output) / "result.json").read_text())


def reference_hits(maps, records, ious, *, every):
    """IoU -> hits at the benchmark's 1000 thresholds by OpenCV alone: of the largest contour, or of any."""
    thresholds, hits = np.arange(0, 1, 0.001), {iou: np.zeros(1000, int) for iou in ious}
    for picture in records_of(records):
        gray = (maps[picture["source_id"].decode()].astype(np.float64) * 255).astype(np.uint8)
        height, width = picture["size"]
        scale = SIDE / np.array([width, height, width, height], np.float64)
        truth = np.trunc(picture["boxes"][: picture["num_boxes"]] * scale)
        for column, threshold in enumerate(thresholds):
            boxes = contour_boxes(gray, int(threshold * gray.max()), every=every)
            best = max(overlap(box, true) for box in boxes for true in truth)
            for iou in ious:
                hits[iou][column] += best >= iou
    return hits


def contour_boxes(gray, level, *, every):
    contours = cv2.findContours((gray > level).astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    if not contours:
        return [np.zeros(4)]
    chosen = contours if every else [max(contours, key=cv2.contourArea)]
    rectangles = [cv2.boundingRect(contour) for contour in chosen]
    return [np.array([x, y, min(x + w, SIDE - 1), min(y + h, SIDE - 1)]) for x, y, w, h in rectangles]


def overlap(one, other):
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]) + 1
    common = np.maximum(0, sides).prod()
    return common / (sum((box[2:] - box[:2] + 1).prod() for box in (one, other)) - common)


@pytest.mark.parametrize(
    ("protocol", "every"), [pytest.param("maxboxacc", False, marks=pytest.mark.slow), ("maxboxaccv2", True)]
)
def test_scores_of_stored_maps_equal_the_benchmarks(stored, tiny_records, tmp_path, protocol, every):
    folder, maps = stored
    found = evaluate(folder, tiny_records, f"--protocol={protocol}", f"--run_dir={tmp_path / 'out'}", "--threads=2")
    hits = reference_hits(maps, tiny_records, (0.3, 0.5, 0.7), every=every)
    best = {iou: found_hits.max() / 8 for iou, found_hits in hits.items()}
    accuracies = found["max_box_acc"]["mine"]
    assert {iou: accuracies[f"{iou:g}"] for iou in best} == best
    assert accuracies["mean"] == pytest.approx(np.mean(list(best.values())), rel=1e-12)
    assert found["curves"]["mine"]["gt_known_0.5"] == (hits[0.5] / 8).tolist()
    assert (found["method"], found["protocol"], found["threshold_split"]) == ("mine", protocol, None)


def test_result_stands_beside_the_maps_and_makes_a_report(stored, tiny_records, capsys):
    folder, _ = stored
    found = evaluate(folder, tiny_records, "--samples=3")
    assert found["classification"] == {"top1": None, "top5": None}
    assert {score["metric"] for score in found["scores"]} == {"GT-known Loc"}
    assert {score["threshold_from"] for score in found["scores"]} == {"protocol", "best"}
    assert set(found["pxap"]) == set(found["piou"]) == {"mine", "centre Gaussian"}
    for score in found["scores"] + found["sizes"]["scores"]:
        assert score["value"] is None or score["interval"][0] <= score["value"] <= score["interval"][1]
    table = capsys.readouterr().out
    assert "mine on synthetic (test), protocol maxboxacc" in table and "PIoU mine: " in table
    page = report.write_report(folder / "result.json").read_text()
    assert "not classified" in page and (folder / "dataset.json").is_file()


def test_sizes_and_overlaps_add_up_to_the_scores(stored, tiny_records, tmp_path):
    found = evaluate(stored[0], tiny_records, f"--run_dir={tmp_path}")
    for score in found["scores"]:
        parts = [
            part
            for part in found["sizes"]["scores"]
            if all(part[key] == score[key] for key in ("localizer", "metric", "iou", "threshold_from"))
        ]
        assert len(parts) == 3
        assert sum(part["hits"] for part in parts) == score["hits"]
        assert sum(part["pictures"] for part in parts) == score["pictures"] == 8
    edges = np.array(found["overlaps"]["from"])
    for entry in found["overlaps"]["counts"]:
        counts = np.array(entry["pictures"])
        same = [
            score
            for score in found["scores"]
            if all(score[key] == entry[key] for key in ("localizer", "threshold")) and score["iou"] == 0.5
        ]
        assert counts.sum() == 8 and counts[edges >= 0.5].sum() == same[0]["hits"]


def test_predictions_and_validation(stored, tiny_records, tmp_path):
    folder, _ = stored
    pictures = [picture for split in ("val", "test") for picture in records_of(tiny_records, split)]
    right = {picture["source_id"].decode(): number % 2 == 0 for number, picture in enumerate(pictures)}
    lines = [
        f"{picture['source_id'].decode()},{(picture['label'] + (0 if right[picture['source_id'].decode()] else 1)) % 3}"
        for picture in pictures
    ]
    (tmp_path / "classes.csv").write_text("\n".join(lines) + "\n")
    flags = (f"--predictions={tmp_path / 'classes.csv'}", "--threshold_split=val", f"--run_dir={tmp_path}")
    found = evaluate(folder, tiny_records, *flags)
    top1 = np.mean([right[picture["source_id"].decode()] for picture in records_of(tiny_records)])
    assert found["classification"]["top1"] == top1
    kinds = {(score["metric"], score["threshold_from"]) for score in found["scores"]}
    assert len(kinds) == 9 and found["thresholds"]["validation"].keys() == {"0.3", "0.5", "0.7"}
    known, loc = (
        next(score for score in found["scores"] if score["metric"] == metric)
        for metric in ("GT-known Loc", "Top-1 Loc")
    )
    assert loc["hits"] <= known["hits"]


def test_a_result_takes_the_place_of_an_earlier_one_alone(stored, tiny_records, tmp_path, capsys):
    arguments = [f"--maps={stored[0]}", f"--data_dir={tiny_records}", f"--map_size={SIDE}", "--samples=0"]
    shutil.copytree(tiny_records, tmp_path / "records")
    changed = json.loads((tmp_path / "records" / "dataset.json").read_text()) | {"name": "other"}
    (tmp_path / "records" / "dataset.json").write_text(json.dumps(changed))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "result.json").write_text('{"mine": 1}')
    for folder, name in (("records", "dataset.json"), ("own", "result.json")):
        before = (tmp_path / folder / name).read_bytes()
        assert run("evaluate", *arguments, f"--run_dir={tmp_path / folder}") == 2
        said = f"error: --run_dir={tmp_path / folder}: {name} is there, and evaluate has no record of writing it"
        assert said in capsys.readouterr().err and (tmp_path / folder / name).read_bytes() == before
    for _ in range(2):
        assert run("evaluate", *arguments, f"--run_dir={tmp_path / 'out'}") == 0
    (tmp_path / "out" / ".e2wsol.jsonl").unlink()  # as earlier versions left it
    assert run("evaluate", *arguments, f"--run_dir={tmp_path / 'out'}") == 0


def test_maps_of_no_picture_are_counted(stored, tiny_records, tmp_path, capsys):
    found = evaluate(stored[0], tiny_records, f"--run_dir={tmp_path / 'out'}")
    assert found["unmatched_maps"] == 9  # those of split val
    said = "note: 9 .npy files in {} belong to no picture of split test, such as val/"
    assert said.format(stored[0]) in capsys.readouterr().out
    assert (
        evaluate(stored[0], tiny_records, "--threshold_split=val", f"--run_dir={tmp_path / 'out'}")["unmatched_maps"]
        == 0
    )


def test_threads_change_nothing(stored, tiny_records, tmp_path):
    results = []
    for threads in (1, 3):
        flags = (f"--threads={threads}", f"--run_dir={tmp_path / str(threads)}", "--protocol=bas", "--samples=3")
        results.append(evaluate(stored[0], tiny_records, *flags))
        del results[-1]["seconds"], results[-1]["flags"]
    assert results[0] == results[1]
    samples = [dict(np.load(tmp_path / str(threads) / "samples.npz")) for threads in (1, 3)]
    for name in samples[0]:
        np.testing.assert_array_equal(samples[0][name], samples[1][name])


def test_pictures_without_a_box_count_as_misses_unless_asked(stored, tiny_records, tmp_path, capsys):
    """Three of eight maps stay below the threshold."""
    for number, (name, found) in enumerate(stored[1].items()):
        path = tmp_path / "maps" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, found * (0.3 if number % 3 == 0 else 1))
    flags = ("--protocol=spol", "--threshold=0.35")
    counted, skipped = (
        evaluate(tmp_path / "maps", tiny_records, *flags, f"--run_dir={tmp_path / 'out'}", f"--{skip}skip_empty")
        for skip in ("no", "")
    )
    assert (counted["skip_empty"], skipped["skip_empty"]) == (False, True)
    scores = [
        {
            score["iou"]: score
            for score in result["scores"]
            if score["localizer"] == "maps" and score["threshold_from"] == "protocol"
        }
        for result in (counted, skipped)
    ]
    assert any(score["hits"] for score in scores[0].values())
    for iou, score in scores[0].items():
        other = scores[1][iou]
        assert (score["pictures"], score["left_out"], score["value"]) == (8, 0, score["hits"] / 8)
        assert (other["pictures"], other["left_out"], other["value"]) == (5, 3, score["hits"] / 5)
    first, second = capsys.readouterr().out.split("maps on synthetic")[1:]
    said = "Denominators: pictures without a pixel above the threshold are left out (--skip_empty)"
    assert said in second and said not in first


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--data_dir=",), "--data_dir is missing: with maps"),
        (("--split=none",), "no split 'none'"),
        (("--map_size=39",), ".npy: 40x40 values, expected 39x39"),
        (("--split=train",), ".npy: no map of picture "),
        (("--map_values=gray",), "--map_values=gray: unknown; choose one of scores, raw"),
        (("--maps=nowhere",), "--maps=nowhere: no such folder"),
        (("--predictions=nowhere.csv",), "--predictions=nowhere.csv: cannot be read"),
    ],
)
def test_errors_are_one_line(stored, tiny_records, capsys, flags, words):
    arguments = [f"--maps={stored[0]}", f"--data_dir={tiny_records}", f"--map_size={SIDE}", *flags]
    assert run("evaluate", *arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and words in lines[0]


def test_a_training_run_keeps_its_result(stored, tiny_records, tiny_run, capsys):
    flags = (f"--maps={stored[0]}", f"--data_dir={tiny_records}", f"--map_size={SIDE}", f"--run_dir={tiny_run}")
    assert run("evaluate", *flags) == 2
    assert "a training run, which keeps its own result" in capsys.readouterr().err
