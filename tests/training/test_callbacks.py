import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.localization import protocols
from e2wsol.training.callbacks import MetricsFile, TensorBoardLog


def entries(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_metrics_file_has_a_line_for_each_entry(tmp_path):
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.on_train_begin()
    file.on_train_batch_end(0)
    file.on_train_batch_end(1, {"loss": 0.5, "step": 2})
    file.on_epoch_end(0, {"loss": 0.4, "val_top1": 0.25, "step": 2})
    train, epoch = entries(file.path)
    assert (train["kind"], train["loss"], train["step"]) == ("train", 0.5, 2)
    assert (epoch["kind"], epoch["epoch"], epoch["val_top1"]) == ("epoch", 1, 0.25)


@pytest.mark.parametrize("torn", ["", '{"kind": "train", "st', '{"kind": "train", "step": 7}\x00\x00\n'])
def test_resume_cuts_what_came_after_the_checkpoint(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"kind": "train", "step": step}) + "\n" for step in (2, 4, 6)]
    path.write_text("".join(lines) + torn)
    MetricsFile(path, start_step=4).on_train_begin()
    assert [entry["step"] for entry in entries(path)] == [2, 4]


def test_tensorboard_shows_scalars_and_maps(tmp_path):
    keras.utils.set_random_seed(0)
    model = methods.create("cam", backbone=BackboneOptions(backbone_width=0.01), image_size=32, num_classes=2)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    log = TensorBoardLog(tmp_path, images, np.array([0, 1]), protocols.get("maxboxacc"))
    log.set_model(model)
    log.on_train_batch_end(0, {"loss": 1.5, "step": 3})
    log.on_epoch_end(0, {"loss": 1.25, "step": 3})
    found = {}
    for event in tf.data.TFRecordDataset([str(path) for path in tmp_path.glob("events*")]):
        event = tf.compat.v1.Event.FromString(event.numpy())
        for value in event.summary.value:
            found[value.tag] = (event.step, tf.make_ndarray(value.tensor))
    assert found["train/loss"] == (3, 1.5) and found["epoch/loss"] == (3, 1.25)
    step, image = found["localization"]
    assert step == 3 and len(image) == 2 + 2  # width, height and two pictures
    assert tf.io.decode_png(image[2]).shape == (32, 32, 3)
