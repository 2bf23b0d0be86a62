"""The commands with --on_bad_record=skip against runs on records that never held the bad ones."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from made_records import write_shard
from made_runs import run, train_run

from e2wsol.data import dataset, schema

pytestmark = pytest.mark.slow
SKIP = "--on_bad_record=skip"


@pytest.fixture(scope="module")
def folders(tiny_records, tmp_path_factory):
    """(tiny records whose third record of train and test is no JPEG, the same without these two records)."""
    root = tmp_path_factory.mktemp("skip")
    bad, good = (shutil.copytree(tiny_records, root / name) for name in ("bad", "good"))
    documents = {folder: json.loads((folder / dataset.FILE_NAME).read_text()) for folder in (bad, good)}
    for name in ("train", "test"):
        shard = documents[bad]["splits"][name]["shards"][0]["file"]
        records = [one.numpy() for one in tf.data.TFRecordDataset(str(tiny_records / shard))]
        label = int(schema.parse(records[2])["label"])
        document = documents[good]["splits"][name]
        document["shards"][0] |= write_shard(good / shard, records[:2] + records[3:])
        document["count"] -= 1
        document["class_counts"][label] -= 1
        # The JPEG's first marker, in a record as long as before.
        documents[bad]["splits"][name]["shards"][0] |= write_shard(
            bad / shard, records[:2] + [records[2].replace(b"\xff\xd8\xff\xe0", b"\0\0\0\0")] + records[3:]
        )
    for folder, document in documents.items():
        (folder / dataset.FILE_NAME).write_text(json.dumps(document))
    return bad, good


def test_training(folders, tmp_path, capsys):
    bad, good = folders
    flags = ("--method=cam", "--steps_per_epoch=3")
    assert train_run(bad, tmp_path / "bad", *flags) == 2
    assert "holds no readable JPEG" in capsys.readouterr().err
    assert train_run(bad, tmp_path / "bad", *flags, SKIP) == 0, "a run that has stopped goes on with skip"
    assert "split train: 1 of 24 records cannot be read and are left out" in capsys.readouterr().out
    assert train_run(good, tmp_path / "good", *flags) == 0
    lines = {}
    for name in ("bad", "good"):
        text = (tmp_path / name / "metrics.jsonl").read_text()
        lines[name] = [json.loads(line) for line in text.splitlines()]
    skipped = [line.pop("skipped_records", None) for line in lines["bad"]]
    assert skipped == [1 if line["kind"] == "epoch" else None for line in lines["bad"]]
    for one, other in zip(lines["bad"], lines["good"], strict=True):
        assert one.pop("kind") == other.pop("kind")
        assert one | {"seconds": 0} == pytest.approx(other | {"seconds": 0}, rel=1e-3)
    document = json.loads((tmp_path / "bad" / "bad_records.json").read_text())
    (splits,) = document.values()
    assert [entry["record"] for entry in splits["train"]] == [2] and splits["val"] == []


def test_evaluation_and_classes(folders, tiny_run, tmp_path, capsys):
    results = {}
    for folder, flags in zip(folders, ((SKIP,), ())):
        copy = shutil.copytree(tiny_run, tmp_path / folder.name)
        flags = (f"--run_dir={copy}", f"--data_dir={folder}", *flags)
        assert run("evaluate", *flags, "--samples=2") == 0
        printed = capsys.readouterr().out
        assert run("classify", *flags) == 0
        results[folder.name] = (
            json.loads((copy / "result.json").read_text()),
            printed,
            (copy / "test.jsonl").read_bytes(),
        )
    (result, printed, classes), (clean, clean_printed, clean_classes) = results["bad"], results["good"]
    assert result["skipped_records"] == {"test": 1} and clean["skipped_records"] == {}
    assert result["scores"] == clean["scores"] and result["dataset"] == clean["dataset"]
    assert classes == clean_classes
    line = "Bad records: 1 of split test left out as unreadable"
    assert line in printed and line not in clean_printed


def test_pseudo_masks(folders, tiny_run, tmp_path):
    outputs = []
    for folder, flags in zip(folders, ((SKIP,), ())):
        copy = shutil.copytree(tiny_run, tmp_path / f"run_{folder.name}")
        output = tmp_path / folder.name
        common = (f"--run_dir={copy}", f"--data_dir={folder}", f"--output={output}", "--mask_size=32")
        assert run("pseudo_masks", *common, *flags) == 0
        outputs.append(output)
        assert run("pseudo_masks", *common, *flags) == 0
    infos = [dataset.load(output) for output in outputs]
    assert infos[0].split("train").class_counts == infos[1].split("train").class_counts
    for file in infos[1].split("train").files:
        name = file.rsplit("/", 1)[1]
        np.testing.assert_array_equal((outputs[0] / name).read_bytes(), (outputs[1] / name).read_bytes())
