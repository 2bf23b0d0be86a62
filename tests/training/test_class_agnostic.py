"""The loop with a method that learns from pseudo masks and predicts no class."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from made_loops import VIEW, made_loop

from e2wsol.data import dataset, schema
from e2wsol.data.masked_records import MaskedRecords
from e2wsol.errors import UserError
from e2wsol.evaluation.maps import NetworkMaps
from e2wsol.evaluation.scoring import Evaluation
from e2wsol.localization import protocols
from e2wsol.training import checkpoints
from e2wsol.training.callbacks import TensorBoardLog
from e2wsol.training.run_folder import RunFolder

SPOL = protocols.get("spol")


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(logs)


def left_half(height, width):
    mask = np.zeros((height, width, 2), np.uint8)
    mask[:, : width // 2] = 255
    return mask


@pytest.fixture(scope="module")
def masked_records(tiny_records, tmp_path_factory):
    """The tiny records with pseudo masks that call the left half of every picture the object."""
    folder = tmp_path_factory.mktemp("masked") / "records"

    def records(split, file):
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            yield schema.add_pseudo_mask(record, left_half), True

    MaskedRecords(dataset.load(tiny_records), folder, {"mask_size": 32}).write(records, lambda info: None)
    return folder


def test_log_has_no_accuracy_and_the_last_checkpoint_counts(masked_records, tmp_path):
    recorder = Recorder()
    log = TensorBoardLog(tmp_path / "events", np.zeros((1, 32, 32, 3), np.uint8), np.zeros(1, int), SPOL)
    loop = made_loop(masked_records, tmp_path / "checkpoints", method="spol_seg", epochs=2, callbacks=[recorder, log])
    loop.run()
    assert [set(logs) for logs in recorder.epochs] == [{"loss", "learning_rate", "step"}] * 2
    assert loop.best == -math.inf and not (tmp_path / "checkpoints" / "best").exists()
    assert RunFolder(tmp_path).model_file() == tmp_path / "checkpoints" / "last" / "model.keras"


def test_loss_is_that_of_the_pseudo_masks(masked_records, tmp_path):
    """With one logit everywhere a pixel costs what its half of the picture says, give or take the crop."""
    loop = made_loop(masked_records, tmp_path, method="spol_seg", rate=0.0, steps_per_epoch=1, epochs=2)
    head, losses = loop.model.get_layer("spol_head"), []

    class Logits(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            head.kernel.assign(np.zeros(head.kernel.shape))
            head.bias.assign([2.0 * epoch])

        def on_epoch_end(self, epoch, logs=None):
            losses.append(logs["loss"])

    loop.callbacks.append(Logits())
    loop.run()
    assert losses[0] == pytest.approx(math.log(2), rel=1e-4)
    background, gain = math.log1p(math.exp(2)), 2.0
    assert background - gain * 19 / 32 < losses[1] < background - gain * 13 / 32


@pytest.mark.slow
def test_best_checkpoint_has_the_best_boxes(masked_records, tmp_path):
    protocol = dataclasses.replace(SPOL, skip_empty=False, default_threshold=0.5)
    recorder = Recorder()
    loop = made_loop(
        *(masked_records, tmp_path),
        method="spol_seg",
        epochs=2,
        rate=0.02,
        protocol=protocol,
        validate_localization=True,
        callbacks=[recorder],
    )
    loop.run()
    scores = [logs["val_gt_known"] for logs in recorder.epochs]
    assert all("val_top1" not in logs for logs in recorder.epochs)
    state = checkpoints.read_state(tmp_path / "best")
    assert loop.best == state["best"] == max(scores) and state["step"] == 3 * (1 + int(np.argmax(scores)))
    evaluation = Evaluation(loop.info, VIEW, protocol, NetworkMaps(loop.model), batch=4, threads=1)
    expected = next(iter(evaluation.score("val")[0].values())).score_at("GT-known Loc", 0.5, 0.5)
    assert expected.pictures == 9
    assert scores[-1] == pytest.approx(expected.value, abs=1e-7)


def test_records_without_pseudo_masks_are_an_early_error(tiny_records, tmp_path):
    loop = made_loop(tiny_records, tmp_path, method="spol_seg")
    with pytest.raises(UserError, match="split 'train' has no pseudo masks; make them with"):
        loop.run()
