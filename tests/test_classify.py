"""python -m e2wsol.classify, and its file in python -m e2wsol.evaluate --predictions."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from made_runs import run, train_run

from e2wsol import trained_run
from e2wsol.config import from_mapping
from e2wsol.data import dataset, pipeline
from e2wsol.evaluation import predicted_classes


@pytest.fixture(scope="module")
def classes(tiny_run, tmp_path_factory):
    """The file of the tiny run's classes of split test."""
    output = tmp_path_factory.mktemp("classes") / "test.jsonl"
    assert run("classify", f"--run_dir={tiny_run}", f"--output={output}", "--batch_size=3") == 0
    return output


def entries(file):
    return [json.loads(text) for text in file.read_text().splitlines()]


def recomputed(run_dir, records, view=None, crops=1):
    """(picture id, float64 probabilities) of split test, picture by picture."""
    model = trained_run.load_model(run_dir / "checkpoints" / "best" / "model.keras")
    view = view or from_mapping(pipeline.PipelineOptions, json.loads((run_dir / "flags.json").read_text())["flags"])
    for batch in pipeline.eval_dataset(dataset.load(str(records)), view, split="test", batch=1, crops=crops):
        views = batch["crops"][0] if crops == 10 else batch["image"]
        powers = np.exp(np.asarray(model(views, training=False)["logits"], np.float64))
        yield batch["source_id"].numpy()[0].decode(), (powers / powers.sum(1, keepdims=True)).mean(0)


def check(found, expected):
    assert len(found) == 8
    for entry, (source_id, probabilities) in zip(found, expected, strict=True):
        assert entry["picture"] == source_id
        assert sorted(entry["classes"]) == [0, 1, 2]  # three classes there are
        np.testing.assert_allclose(entry["probabilities"], -np.sort(-probabilities), atol=2e-6)
        np.testing.assert_allclose(entry["probabilities"], probabilities[entry["classes"]], atol=2e-6)


def test_classes_and_probabilities_are_the_networks(classes, tiny_run, tiny_records):
    check(entries(classes), recomputed(tiny_run, tiny_records))


def test_ten_crops_and_another_split(tiny_run, tiny_records, tmp_path):
    flags = (f"--run_dir={tiny_run}", f"--output={tmp_path / 'a.jsonl'}")
    assert run("classify", *flags, "--crops=10") == 0
    check(entries(tmp_path / "a.jsonl"), recomputed(tiny_run, tiny_records, crops=10))
    assert run("classify", *flags, "--split=val") == 0
    assert len(entries(tmp_path / "a.jsonl")) == 9


def test_whole_pictures_at_another_size(tiny_run, tiny_records, tmp_path):
    assert run("classify", f"--run_dir={tiny_run}", f"--output={tmp_path / 'a.jsonl'}", "--input_size=48") == 0
    about = json.loads((tmp_path / "a.jsonl.about.json").read_text())
    assert (about["image_size"], about["eval_crop"], about["crops"]) == (48, "none", 1)
    assert entries(tmp_path / "a.jsonl") != entries_at_32(tiny_run, tmp_path)


def entries_at_32(tiny_run, folder):
    assert run("classify", f"--run_dir={tiny_run}", f"--output={folder / 'b.jsonl'}") == 0
    return entries(folder / "b.jsonl")


def test_stopped_it_leaves_no_half_file_and_ends_with_the_same_file(classes, tiny_run, tmp_path, monkeypatch):
    output, written, line = tmp_path / "out" / "test.jsonl", [], predicted_classes.line

    def stopping(*entry):
        written.append(entry)
        if len(written) == 5:
            raise KeyboardInterrupt
        return line(*entry)

    flags = (f"--run_dir={tiny_run}", f"--output={output}", "--batch_size=3")
    monkeypatch.setattr(predicted_classes, "line", stopping)
    assert run("classify", *flags) == 130
    assert not output.exists()
    assert run("classify", *flags) == 0
    assert output.read_bytes() == classes.read_bytes()
    assert sorted(file.name for file in output.parent.iterdir()) == ["test.jsonl", "test.jsonl.about.json"]


@pytest.mark.slow
def test_killed_process_ends_with_the_same_file(classes, tiny_run, tmp_path):
    output = tmp_path / "out" / "test.jsonl"
    flags = (f"--run_dir={tiny_run}", f"--output={output}", "--batch_size=3")
    process = subprocess.Popen(
        [sys.executable, "-m", "e2wsol.classify", *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while not list(output.parent.glob(".tmp-*-test.jsonl")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not output.exists()
    assert run("classify", *flags) == 0
    assert output.read_bytes() == classes.read_bytes()
    assert sorted(file.name for file in output.parent.iterdir()) == ["test.jsonl", "test.jsonl.about.json"]


def test_a_finished_file_is_left_alone(tiny_run, tmp_path, capsys, monkeypatch):
    flags = (f"--run_dir={tiny_run}", f"--output={tmp_path / 'test.jsonl'}")
    assert run("classify", *flags) == 0
    assert "wrote" in capsys.readouterr().out
    before = (tmp_path / "test.jsonl").stat().st_mtime_ns
    assert run("classify", *flags) == 0
    assert "nothing to do" in capsys.readouterr().out and (tmp_path / "test.jsonl").stat().st_mtime_ns == before
    text = (tmp_path / "test.jsonl").read_bytes()
    (tmp_path / "test.jsonl").write_bytes(text[:100])
    assert run("classify", *flags) == 0
    assert (tmp_path / "test.jsonl").read_bytes() == text
    assert run("classify", *flags, "--crops=10") == 0 and "wrote" in capsys.readouterr().out


@pytest.mark.slow
def test_joined_with_its_own_classes_a_run_scores_the_same(classes, tiny_run, capsys):
    results = []
    for flags in ((), (f"--predictions={classes}",)):
        assert run("evaluate", f"--run_dir={tiny_run}", "--samples=3", *flags) == 0
        results.append(json.loads((tiny_run / "result.json").read_text()))
    own, joined = results
    for part in ("scores", "thresholds", "classification", "curves", "sizes", "max_box_acc"):
        assert own[part] == joined[part]
    assert (own["predictions"], joined["predictions"]) == (None, str(classes)) and "crops" not in joined
    assert f"Classes predicted from: {classes}" in capsys.readouterr().out


@pytest.mark.slow
def test_other_classes_change_top1_alone(classes, tiny_run, tiny_records, tmp_path):
    labels = {}
    view = pipeline.PipelineOptions(image_size=32, resize_size=32)
    for batch in pipeline.eval_dataset(dataset.load(str(tiny_records)), view, split="test", batch=1):
        labels[batch["source_id"].numpy()[0].decode()] = int(batch["label"][0])
    # Three right ones; of a picture that is not in the split nothing is asked.
    lines = [f"{name},{(label + (number > 2)) % 3}" for number, (name, label) in enumerate(labels.items())]
    (tmp_path / "made.csv").write_text("\n".join([*lines, "elsewhere,1"]) + "\n")
    results = []
    for flags in (f"--predictions={classes}", f"--predictions={tmp_path / 'made.csv'}"):
        assert run("evaluate", f"--run_dir={tiny_run}", "--samples=0", flags) == 0
        results.append(json.loads((tiny_run / "result.json").read_text()))
    assert results[1]["classification"] == {"top1": 3 / 8, "top5": 3 / 8}
    known = [[score for score in result["scores"] if score["metric"] == "GT-known Loc"] for result in results]
    assert known[0] == known[1]
    for score, first in zip(known[1], (s for s in results[1]["scores"] if s["metric"] == "Top-1 Loc")):
        assert max(0, score["hits"] - 5) <= first["hits"] <= min(3, score["hits"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--run_dir="], "--run_dir is missing"),
        (["--split=none"], "no split 'none'"),
        (["--output=classes.csv"], "--output=classes.csv: give a name that ends in .jsonl"),
        (["--checkpoint=nowhere.keras"], "nowhere.keras"),
        (["--crops=10", "--input_size=40"], "--input_size=40: whole pictures"),
    ],
)
def test_errors_are_one_line(tiny_run, tmp_path, capsys, flags, words):
    arguments = [f"--run_dir={tiny_run}", f"--output={tmp_path / 'a.jsonl'}", *flags]
    assert run("classify", *arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and words in lines[0] and not (tmp_path / "a.jsonl").exists()


def test_a_file_of_something_else_is_kept(tiny_run, tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text("mine")
    assert run("classify", f"--run_dir={tiny_run}", f"--output={tmp_path / 'a.jsonl'}") == 2
    assert "exists and has no valid a.jsonl.about.json" in capsys.readouterr().err
    assert (tmp_path / "a.jsonl").read_text() == "mine"
    (tmp_path / "b.jsonl.about.json").write_text('{"sha256": "mine"}')
    assert run("classify", f"--run_dir={tiny_run}", f"--output={tmp_path / 'b.jsonl'}") == 2
    assert (tmp_path / "b.jsonl.about.json").read_text() == '{"sha256": "mine"}'


def test_missing_pictures_are_named(classes, tiny_run, tmp_path, capsys):
    (tmp_path / "cut.jsonl").write_text("".join(classes.read_text().splitlines(keepends=True)[:-1]))
    assert run("evaluate", f"--run_dir={tiny_run}", f"--predictions={tmp_path / 'cut.jsonl'}") == 2
    assert "cut.jsonl: no line for picture test/" in capsys.readouterr().err


@pytest.mark.slow
def test_a_method_without_classes_takes_those_of_a_file(classes, tiny_run, tiny_records, tmp_path, capsys):
    assert run("pseudo_masks", f"--run_dir={tiny_run}", f"--output={tmp_path / 'masked'}", "--threads=1") == 0
    assert train_run(tmp_path / "masked", tmp_path / "seg", "--method=spol_seg", "--epochs=1") == 0
    assert run("classify", f"--run_dir={tmp_path / 'seg'}") == 2
    assert "SPOLSeg: a method that predicts no class" in capsys.readouterr().err
    results = []
    for flags in ((), (f"--predictions={classes}",)):
        assert run("evaluate", f"--run_dir={tmp_path / 'seg'}", "--samples=2", *flags) == 0
        results.append(json.loads((tmp_path / "seg" / "result.json").read_text()))
    alone, joined = results
    assert alone["classification"] == {"top1": None, "top5": None} and "crops" not in alone
    known = [score for score in joined["scores"] if score["metric"] == "GT-known Loc"]
    assert alone["scores"] == known and len(joined["scores"]) == 3 * len(known)
    assert run("evaluate", f"--run_dir={tiny_run}", "--samples=0") == 0
    assert joined["classification"] == json.loads((tiny_run / "result.json").read_text())["classification"]
