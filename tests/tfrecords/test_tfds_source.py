import builtins

import cv2
import numpy as np
import pytest
from made_sources import decode_mask, options_with, read_split, run_build

from e2wsol.errors import UserError
from tfrecords.sources.tfds import TfdsOptions

# TensorFlow Datasets and what it imports warn about their own future.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]


def picture(index):
    small = np.random.default_rng(index).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return cv2.resize(small, (40, 30))


def example(index):
    mask = np.zeros((30, 40, 1), np.uint8)
    mask[5 : 10 + index] = 1
    box = np.asarray([5 / 30, 0.25, 0.5, 1], np.float32)
    return {"image": picture(index), "label": index % 2, "bbox": box, "segmentation_mask": mask}


def store(folder, features, splits):
    """Writes a TensorFlow Datasets set; returns the folder of its version."""
    tfds = pytest.importorskip("tensorflow_datasets")
    plain = {
        "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
        "label": tfds.features.ClassLabel(names=["ant", "bee"]),
    }
    builder = tfds.dataset_builders.store_as_tfds_dataset(
        name="made_birds",
        version="1.0.0",
        features=tfds.features.FeaturesDict(plain | features(tfds.features)),
        split_datasets={name: list(enumerate(examples)) for name, examples in splits.items()},
        data_dir=folder,
        disable_shuffling=True,
    )
    return builder.data_path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return store(
        tmp_path_factory.mktemp("tfds"),
        lambda kinds: {"bbox": kinds.BBoxFeature(), "segmentation_mask": kinds.Image(shape=(None, None, 1))},
        {"train": [example(i) for i in range(12)], "validation": [example(20 + i) for i in range(3)]},
    )


def test_several_objects(tmp_path):
    boxes = [[[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.25]], []]
    examples = [
        {"image": picture(i), "label": i, "objects": {"bbox": np.asarray(boxes[i], np.float32).reshape(-1, 4)}}
        for i in range(2)
    ]
    stored = store(
        tmp_path, lambda kinds: {"objects": kinds.Sequence({"bbox": kinds.BBoxFeature()})}, {"train": examples}
    )
    records = read_split(build(stored, tmp_path / "out"), "train")
    assert records["train/0000000"]["boxes"].tolist() == [[0, 0, 20, 15], [0, 15, 10, 30]]
    assert records["train/0000001"]["boxes"].shape == (0, 4)


def build(folder, output, **options):
    return run_build(output, source="tfds", input=str(folder), **options)


def test_pictures_boxes_and_masks(folder, tmp_path):
    info = build(folder, tmp_path / "out")
    assert info.name == "made_birds" and info.classes == ("ant", "bee")
    assert {name: split.count for name, split in info.splits.items()} == {"train": 12, "val": 3}
    record = read_split(info, "train")["train/0000003"]
    assert record["label"] == 1 and record["boxes"].tolist() == [[10, 5, 40, 15]]
    np.testing.assert_array_equal(decode_mask(record), example(3)["segmentation_mask"][..., 0])
    stored = cv2.imdecode(np.frombuffer(record["jpeg"], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(stored.astype(int) - picture(3)).mean() < 4


def test_holdout_takes_the_right_examples(folder, tmp_path):
    options = options_with(TfdsOptions, tfds_splits=("train:train", "validation:test"))
    info = build(folder, tmp_path / "out", source_options=options, holdout=0.34, shard_pictures=5)
    assert info.split("train").class_counts == (4, 4) and info.split("val").class_counts == (2, 2)
    records = read_split(info, "train") | read_split(info, "val")
    assert len(records) == 12
    for name, record in records.items():
        expected = example(int(name[-3:]))["segmentation_mask"][..., 0]
        np.testing.assert_array_equal(decode_mask(record), expected)


def test_by_name(folder, tmp_path):
    options = options_with(TfdsOptions, tfds_data_dir=str(folder.parent.parent))
    info = build("made_birds", tmp_path / "out", source_options=options)
    assert info.split("train").count == 12


def test_unknown_name_and_split(folder, tmp_path):
    options = options_with(TfdsOptions, tfds_data_dir=str(tmp_path), tfds_splits=("dev",))
    with pytest.raises(UserError, match=r"^input=no_such_set: TensorFlow Datasets knows no such data set"):
        build("no_such_set", tmp_path / "out", source_options=options)
    with pytest.raises(UserError, match=r"^tfds_splits=dev: .* has the splits train, validation"):
        build(folder, tmp_path / "out", source_options=options)


def test_not_prepared(tmp_path):
    options = options_with(TfdsOptions, tfds_data_dir=str(tmp_path))
    with pytest.raises(UserError, match=r"^input=caltech_birds2011: not prepared in .*; add tfds_download"):
        build("caltech_birds2011", tmp_path / "out", source_options=options)


def test_not_installed(monkeypatch, tmp_path):
    real = builtins.__import__

    def without_tfds(name, *args, **kwargs):
        if name == "tensorflow_datasets":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_tfds)
    with pytest.raises(UserError, match=r"^source=tfds: needs tensorflow-datasets: pip install"):
        build("mnist", tmp_path / "out")
