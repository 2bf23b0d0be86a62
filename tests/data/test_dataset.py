import json
import shutil

import pytest

from e2wsol.data import dataset
from e2wsol.errors import UserError


@pytest.fixture
def copy(records, tmp_path):
    return shutil.copytree(records, tmp_path / "copy")


def edit(folder, **changes):
    path = folder / dataset.FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def message(folder, **options):
    with pytest.raises(UserError) as error:
        dataset.load(folder, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_load(records):
    info = dataset.load(records, verify=True)
    assert info.classes == ("class 0", "class 1", "class 2")
    train = info.split("train")
    assert train.count == 23 and train.class_counts == (8, 8, 7)
    assert [path.rsplit("/", 1)[1] for path in train.files] == [f"train-{i:05d}-of-00003.tfrecord" for i in range(3)]


def test_unknown_split_lists_the_splits(records):
    with pytest.raises(UserError, match="no split 'val'; this data set has test, train"):
        dataset.load(records).split("val")


def test_no_folder_and_no_description(tmp_path):
    assert "not found; make it with python -m tfrecords.build" in message(tmp_path / "nowhere")
    assert str(tmp_path / "dataset.json") in message(tmp_path)


@pytest.mark.parametrize("text", ["{", '{"format": "other/1"}', "[]"])
def test_wrong_description(copy, text):
    (copy / "dataset.json").write_text(text)
    assert "dataset.json" in message(copy)


@pytest.mark.parametrize("changes", [{"classes": []}, {"splits": {"train": {}}}, {"splits": []}])
def test_description_with_wrong_parts(copy, changes):
    edit(copy, **changes)
    assert "dataset.json: not a valid data set description" in message(copy)


def test_description_with_classes_that_are_no_names(copy):
    edit(copy, classes=[1])
    assert message(copy).endswith("dataset.json: 'classes' is no list of names in label order")


def test_counts_that_disagree(copy):
    document = json.loads((copy / "dataset.json").read_text())
    document["splits"]["train"]["count"] = 22
    edit(copy, splits=document["splits"])
    assert "counts of split train do not agree" in message(copy)


def test_missing_empty_cut_and_changed_shards(copy):
    shard = copy / "train-00001-of-00003.tfrecord"
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    assert message(copy).startswith(f"{shard}: shard has {len(content) // 2} bytes, expected {len(content)}")
    shard.write_bytes(b"")
    assert message(copy).startswith(f"{shard}: shard has 0 bytes")
    shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    dataset.load(copy)
    assert message(copy, verify=True).startswith(f"{shard}: checksum differs")
    shard.unlink()
    assert message(copy).startswith(f"{shard}: shard is missing")
