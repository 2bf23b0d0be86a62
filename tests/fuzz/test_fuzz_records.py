"""Damaged shards, records and dataset.json: pictures, or one clear line that names the shard or the file."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import altered, damaged

from e2wsol.data import dataset, pipeline
from e2wsol.data.synthetic import SyntheticOptions
from e2wsol.errors import UserError
from tfrecords import build, writer
from tfrecords.sources import synthetic

pytestmark = pytest.mark.slow
VIEW = pipeline.PipelineOptions(image_size=16, resize_size=20, data_threads=1)
MADE = SyntheticOptions(synthetic_train=6, synthetic_val=0, synthetic_test=4, synthetic_side=32)


def bounded(examples):
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


def write(folder):
    listing = build.arrange(synthetic.list_pictures(MADE), build.BuildOptions())
    return writer.write(listing, folder, source="synthetic", created_by={"seed": 0}, shard_pictures=4)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound") / "records"
    write(folder)
    return folder


@pytest.fixture
def copy(records, tmp_path):
    return shutil.copytree(records, tmp_path / "records")


def read(info):
    """Pictures that split test gives, all checked."""
    pictures = 0
    with info.reading("test"):
        for batch in pipeline.eval_dataset(info, VIEW, split="test", batch=2):
            assert batch["image"].shape[1:] == (16, 16, 3) and np.isfinite(batch["boxes"]).all()
            pictures += len(batch["label"])
    return pictures


def read_both_ways(folder, shard):
    """Error mode reads all or names the shard; skip reads the rest and counts what it left out."""
    info = dataset.load(folder, on_bad_record="skip")
    try:
        whole = read(info)
    except UserError as error:
        assert shard.name in str(error)
        whole = None
    try:
        skipped = info.without_bad_records(("test",), folder / "nowhere")
    except UserError as error:
        assert "no record of split 'test' can be read" in str(error) or "dataset.json says" in str(error)
        return
    split = skipped.split("test")
    assert read(skipped) == split.count == 4 - split.skipped
    # A shard that is cut between two records reads well to its end; only its size, checked on loading, tells.
    assert whole is None if any(not bad.rest for bad in split.left_out) else whole in (None, split.count)


@bounded(8)
@given(st.data())
def test_shards(copy, records, data):
    shard = sorted(copy.glob("test-*"))[0]
    shard.write_bytes(data.draw(damaged((records / shard.name).read_bytes(), most=2)))
    read_both_ways(copy, shard)


VALUES = {
    "bytes_list": st.binary(max_size=40) | st.just(b"\xff\xd8\xff"),
    "int64_list": st.sampled_from((-1, 0, 1, 2**31, 2**63 - 1, -(2**63))),
    "float_list": st.sampled_from((0.0, -1.0, 1e30, float("nan"), float("inf"), 0.5)),
}


def changed(record, data):
    """The record with other values, of any kind, in one or two of its features."""
    example = tf.train.Example.FromString(record)
    for name in data.draw(st.lists(st.sampled_from(sorted(example.features.feature)), min_size=1, max_size=2)):
        feature = example.features.feature[name]
        kind = data.draw(st.sampled_from((feature.WhichOneof("kind"), *VALUES)))
        values = data.draw(st.lists(VALUES[kind], max_size=2))
        feature.Clear()
        getattr(feature, kind).value.extend(values)
    return example.SerializeToString()


@bounded(8)
@given(st.data())
def test_features(copy, records, data):
    """Records whose checksums hold and whose contents do not."""
    shard = sorted(copy.glob("test-*"))[0]
    stored = [record.numpy() for record in tf.data.TFRecordDataset(str(records / shard.name))]
    with tf.io.TFRecordWriter(str(shard)) as file:
        for record in stored:
            file.write(changed(record, data) if data.draw(st.booleans()) else record)
    read_both_ways(copy, shard)


@bounded(250)
@given(st.data())
def test_dataset_json(copy, records, data):
    document = json.loads((records / dataset.FILE_NAME).read_text())
    text = data.draw(altered(document).map(json.dumps).map(str.encode) | damaged(json.dumps(document).encode()))
    (copy / dataset.FILE_NAME).write_bytes(text)
    try:
        info = dataset.load(copy, verify=True)
        for split in info.splits:
            info.split(split)
        info.split("test")
    except UserError as error:
        assert str(error).startswith(str(copy)) and len(str(error).splitlines()) == 1


@bounded(60)
@given(st.data())
def test_earlier_builds(copy, records, data):
    """Going on from a damaged description ends with sound records or a line, and touches nothing outside."""
    beside = copy.parent / "x"
    beside.write_text("mine")
    name = data.draw(st.sampled_from((dataset.FILE_NAME, writer.PROGRESS)))
    document = json.loads((records / dataset.FILE_NAME).read_text())
    if name == writer.PROGRESS:
        shards = {shard["file"]: shard for split in document["splits"].values() for shard in split["shards"]}
        document = {"created_by": document["created_by"], "shards": shards | {"../x": {}, "old": {}}}
    (copy / name).write_text(json.dumps(data.draw(altered(document))))
    try:
        write(copy)
    except UserError as error:
        assert str(copy) in str(error)
    else:
        dataset.load(copy)
        for path in records.glob("*.tfrecord"):
            assert (copy / path.name).read_bytes() == path.read_bytes()
    finally:
        assert beside.read_text() == "mine"
        shutil.rmtree(copy)
        shutil.copytree(records, copy)
