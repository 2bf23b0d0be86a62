import json
import math
import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from made_loops import VIEW, kill, made_loop, weights

from e2wsol.backbones import BackboneOptions
from e2wsol.data import dataset, pipeline, schema
from e2wsol.errors import UserError
from e2wsol.methods.bas import BASOptions
from e2wsol.training import checkpoints
from e2wsol.training.callbacks import MetricsFile
from e2wsol.training.loop import LoopOptions, steps_per_epoch


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls, self.batches, self.epochs = [], [], []

    def on_train_begin(self, logs=None):
        self.calls.append("train begin")

    def on_train_end(self, logs=None):
        self.calls.append("train end")

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(f"epoch {epoch}")

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append((batch, logs))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append((epoch, logs))


class StopAfter(keras.callbacks.Callback):
    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epochs:
            self.model.stop_training = True


def assert_close(one, other, tolerance):
    for (path, value), (_, expected) in zip(one, other, strict=True):
        np.testing.assert_allclose(value, expected, rtol=0, atol=tolerance, err_msg=path)


@pytest.fixture(scope="module")
def finished(tiny_records, tmp_path_factory):
    """A run of two epochs of three steps with its callbacks and files."""
    folder = tmp_path_factory.mktemp("run")
    recorder = Recorder()
    loop = made_loop(
        tiny_records,
        folder / "checkpoints",
        epochs=2,
        callbacks=[recorder, MetricsFile(folder / "metrics.jsonl")],
    )
    loop.run()
    return loop, recorder, folder


def test_callbacks_see_batches_and_epochs(finished):
    loop, recorder, _ = finished
    assert loop.step == 6
    assert recorder.calls == ["train begin", "epoch 0", "epoch 1", "train end"]
    assert [batch for batch, _ in recorder.batches] == list(range(6))
    # Entries every second step and at the end of each epoch.
    assert [logs["step"] for _, logs in recorder.batches if logs] == [2, 3, 4, 6]
    for epoch, logs in recorder.epochs:
        assert set(logs) == {"loss", "accuracy", "learning_rate", "val_top1", "val_top5", "step"}
        assert logs["step"] == 3 * (epoch + 1) and logs["learning_rate"] == pytest.approx(0.05)


def test_epoch_loss_is_the_mean_of_its_steps(finished):
    _, recorder, _ = finished
    logged = {logs["step"]: logs["loss"] for _, logs in recorder.batches if logs}
    assert recorder.epochs[0][1]["loss"] == pytest.approx((2 * logged[2] + logged[3]) / 3, rel=1e-5)
    assert recorder.epochs[1][1]["loss"] == pytest.approx((logged[4] + 2 * logged[6]) / 3, rel=1e-5)


def test_metrics_file(finished):
    _, recorder, folder = finished
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [(entry["kind"], entry["step"]) for entry in entries] == [
        *(("train", 2), ("train", 3), ("epoch", 3), ("train", 4), ("train", 6), ("epoch", 6))
    ]
    assert entries[-1]["val_top1"] == recorder.epochs[1][1]["val_top1"]


def recomputed_top(model, records, k):
    info = dataset.load(str(records))
    hits = []
    for batch in pipeline.eval_dataset(info, VIEW, split="val", batch=1):
        logits = model(batch["image"], training=False)["logits"].numpy()[0]
        hits.append(int(batch["label"][0]) in np.argsort(-logits)[:k])
    return np.mean(hits), len(hits)


def test_validation_is_the_exact_share(finished, tiny_records):
    loop, recorder, _ = finished
    share, count = recomputed_top(loop.model, tiny_records, 1)
    assert count == 9 and recorder.epochs[1][1]["val_top1"] == pytest.approx(share, abs=1e-7)
    assert recorder.epochs[1][1]["val_top5"] == 1  # of three classes


def test_best_checkpoint_has_the_best_validation(finished):
    loop, recorder, folder = finished
    top1 = [logs["val_top1"] for _, logs in recorder.epochs]
    best = checkpoints.read_state(folder / "checkpoints" / "best")
    assert best["step"] == 3 * (1 + int(np.argmax(top1))) and loop.best == best["best"] == max(top1)


@pytest.mark.slow
def test_two_replicas_equal_one_device(finished, tiny_records, tmp_path):
    one, recorder, _ = finished
    other = Recorder()
    two = made_loop(tiny_records, tmp_path, epochs=2, strategy="mirrored", replicas=2, callbacks=[other])
    assert two.strategy.num_replicas_in_sync == 2
    two.run()
    assert_close(weights(one), weights(two), 1e-5)
    # Nine pictures over two replicas: the filler does not count.
    for (_, logs), (_, expected) in zip(other.epochs, recorder.epochs):
        assert logs == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_batch_norm_under_two_replicas(tiny_records, tmp_path):
    """The first layer's statistics after one step: means of the replicas' ones, the same in both copies."""
    backbone = BackboneOptions(backbone_width=0.01, backbone_batch_norm=True)
    options = {"method": "cam", "backbone": backbone, "steps_per_epoch": 1, "rate": 0.0}
    one = made_loop(tiny_records, tmp_path / "one", **options)
    two = made_loop(tiny_records, tmp_path / "two", strategy="mirrored", replicas=2, **options)
    for loop in (one, two):
        loop.run()
    norms = [loop.model.backbone.get_layer("conv1_1_bn") for loop in (one, two)]
    means, variances = (
        [np.asarray(getattr(n, name).value) for n in norms] for name in ("moving_mean", "moving_variance")
    )
    np.testing.assert_allclose(*means, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(*variances, rtol=0.05)
    for variable in two.model.non_trainable_variables:
        copies = two.strategy.experimental_local_results(variable.value)
        assert len(copies) == 2
        np.testing.assert_array_equal(copies[0].numpy(), copies[1].numpy())


@pytest.mark.slow
def test_deep_network_with_batch_norm_runs_under_two_replicas(tiny_records, tmp_path):
    backbone = BackboneOptions(backbone="mobilenet_v1", backbone_width=0.05)
    options = {"method": "cam", "backbone": backbone, "steps_per_epoch": 2}
    loop = made_loop(tiny_records, tmp_path, strategy="mirrored", replicas=2, **options)
    loop.run()
    assert all(np.isfinite(value).all() for _, value in weights(loop))


@pytest.mark.slow
def test_bas_under_two_replicas(tiny_records, tmp_path):
    """The statistics of its erased branch are the same in both copies, and means of the replicas' ones."""
    backbone = BackboneOptions(backbone_width=0.01, backbone_batch_norm=True)
    bas = BASOptions(erased_statistics="own", warmup_epochs=1)
    options = {"method": "bas", "method_options": [bas], "backbone": backbone, "steps_per_epoch": 1, "rate": 0.0}
    one = made_loop(tiny_records, tmp_path / "one", **options)
    two = made_loop(tiny_records, tmp_path / "two", strategy="mirrored", replicas=2, **options)
    for loop in (one, two):
        loop.run()
        assert not loop.model.maps_are_trained
    for path, variable in two.model.erased_statistics.items():
        copies = [copy.numpy() for copy in two.strategy.experimental_local_results(variable.value)]
        np.testing.assert_array_equal(*copies, err_msg=path)
        assert np.any(copies[0] != float(path.endswith("variance"))), path
    # The replicas normalise by halves of the batch, so what arrives differs; a sum would be twice as much.
    means = [np.asarray(loop.model.erased_statistics["conv5_1_bn/moving_mean"].value) for loop in (one, two)]
    assert np.abs(means[0]).max() > 0.01
    np.testing.assert_allclose(*means, rtol=0, atol=0.5 * np.abs(means[0]).max())


def test_no_checkpoint_is_the_best_while_the_maps_mean_nothing(tiny_records, tmp_path):
    class Bests(keras.callbacks.Callback):
        found = []

        def on_epoch_begin(self, epoch, logs=None):
            self.found.append((loop.best, (tmp_path / "best").exists()))

        def on_train_end(self, logs=None):
            self.on_epoch_begin(None)

    options = {"method": "bas", "method_options": [BASOptions(warmup_epochs=2)], "steps_per_epoch": 1}
    loop = made_loop(tiny_records, tmp_path, epochs=3, callbacks=[Bests()], **options)
    loop.run()
    assert Bests.found[:3] == [(-math.inf, False)] * 3
    assert Bests.found[3][0] >= 0 and Bests.found[3][1]


@pytest.mark.slow
def test_resumed_run_equals_an_uninterrupted_one(finished, tiny_records, tmp_path):
    """Weights, scores and the log; that of --deterministic runs, bit for bit, is in test_restart.py."""
    whole, _, folder = finished
    metrics = tmp_path / "metrics.jsonl"
    made_loop(
        tiny_records, tmp_path, epochs=2, checkpoint_steps=2, callbacks=[MetricsFile(metrics), StopAfter(1)]
    ).run()
    (tmp_path / "last").unlink()
    again = made_loop(tiny_records, tmp_path, epochs=2, checkpoint_steps=2)
    assert again.resume().name == "step-00000003" and again.step == 3
    again.callbacks.append(MetricsFile(metrics, again.step))
    again.run()
    assert_close(weights(whole), weights(again), 1e-6)
    expected = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [entry["step"] for entry in found if entry["kind"] == "epoch"] == [3, 6]
    assert found[-1]["val_top1"] == pytest.approx(expected[-1]["val_top1"])


def without_work(loop, top1=0.5):
    """The loop with steps that do nothing, where only its bookkeeping counts."""
    loop._train_steps = lambda batches, number: tf.constant([[1.0, 0.5]] * number)
    loop._train_steps.names = ("loss", "accuracy")
    loop.validation.scores = lambda: {"val_top1": top1, "val_top5": 1.0}
    return loop


def test_stop_training_stops_after_the_epoch(tiny_records, tmp_path):
    recorder = Recorder()
    loop = made_loop(tiny_records, tmp_path, epochs=5, steps_per_epoch=1, callbacks=[StopAfter(2), recorder])
    without_work(loop).run()
    assert loop.step == 2 and recorder.calls[-1] == "train end"
    assert checkpoints.last(tmp_path).name == "step-00000002"


@pytest.mark.parametrize("dead", [False, True])
def test_a_classifier_that_died_is_named_once(tiny_records, tmp_path, capsys, dead):
    loop = made_loop(tiny_records, tmp_path, epochs=2, steps_per_epoch=4)
    if dead:
        kill(loop)
    loop.run()
    said = capsys.readouterr().out
    assert said.count("warning: step 4: the classifier is dead, its logits are equal") == dead
    assert said.count("warning") == dead


def test_early_stopping_of_keras(tiny_records, tmp_path):
    stopping = keras.callbacks.EarlyStopping("val_top1", mode="max", patience=2)
    loop = made_loop(tiny_records, tmp_path, epochs=9, steps_per_epoch=1, callbacks=[stopping])
    without_work(loop).run()
    assert loop.step == 3  # the score never improves
    assert checkpoints.read_state(tmp_path / "best")["step"] == 1


def test_finished_run_does_nothing_more(finished, tiny_records):
    loop, _, folder = finished
    again = made_loop(tiny_records, folder / "checkpoints", epochs=2)
    again.resume()
    again.run()
    assert_close(weights(loop), weights(again), 0)


@pytest.mark.parametrize("steps", [2, 3, 5])
def test_checkpoints_between_the_ends_of_epochs(tiny_records, tmp_path, monkeypatch, steps):
    saved = []
    monkeypatch.setattr(checkpoints, "save", lambda *arguments, **_: saved.append(arguments[3]["step"]))
    loop = made_loop(tiny_records, tmp_path, epochs=2, checkpoint_steps=steps, steps_per_epoch=4, validate_every=5)
    without_work(loop).run()
    assert saved == sorted({4, 8} | set(range(steps, 8, steps)))


def label_of(records, picture):
    """The label of a training picture by its id."""
    for file in dataset.load(str(records)).split("train").files:
        for serialized in tf.data.TFRecordDataset(file):
            record = schema.parse(serialized)
            if record["source_id"].numpy().decode() == picture:
                return int(record["label"])
    raise KeyError(picture)


@pytest.mark.slow
def test_sigterm_saves_the_step_and_ends(tiny_records, tmp_path):
    """In the middle of a stretch and of an epoch; the same run then goes on to the same weights."""
    settings = {"method": "cam", "epochs": 3, "steps_per_epoch": 3, "log_every": 2}
    loop = made_loop(tiny_records, tmp_path, **settings)
    run = loop._train_steps._run

    def signalled(*arguments):
        if loop.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return run(*arguments)

    loop._train_steps._run = signalled
    before = signal.getsignal(signal.SIGTERM)
    assert loop.run() is True
    assert signal.getsignal(signal.SIGTERM) is before
    assert loop.step == 5 and checkpoints.last(tmp_path).name == "step-00000005"
    again = made_loop(tiny_records, tmp_path, **settings)
    assert again.resume() and again.run() is False
    whole = made_loop(tiny_records, tmp_path / "whole", **settings)
    assert whole.run() is False
    for (path, one), (other_path, other) in zip(weights(whole), weights(again), strict=True):
        assert path == other_path
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_loss_that_is_not_finite_is_an_error(tiny_records, tmp_path):
    loop = made_loop(tiny_records, tmp_path, rate=1e20, epochs=3)
    with pytest.raises(
        UserError, match=r"loss is (nan|inf) at step \d: lower learning_rate=1e\+20; last good"
    ) as caught:
        loop.run()
    said = str(caught.value)
    step, pictures = int(said.split(" step ")[1].split(":")[0]), said.split("pictures of the step: ")[1].split(", ")
    settings = {"seed": loop.options.seed, "start_record": 8 * (step - 1)}
    labels = next(iter(pipeline.train_dataset(loop.info, VIEW, global_batch=8, **settings)))["label"].numpy()
    assert len(pictures) == 8 and [label_of(tiny_records, picture) for picture in pictures] == labels.tolist()
    good = checkpoints.last(tmp_path)
    assert good is None or all(np.isfinite(value).all() for _, value in weights(loop))


def test_validation_every_other_epoch_and_at_the_end(tiny_records, tmp_path):
    recorder = Recorder()
    loop = made_loop(tiny_records, tmp_path, epochs=3, steps_per_epoch=1, validate_every=2, callbacks=[recorder])
    without_work(loop).run()
    assert ["val_top1" in logs for _, logs in recorder.epochs] == [False, True, True]


def test_batch_must_fit_the_devices(tiny_records, tmp_path):
    with pytest.raises(UserError, match=r"^batch_size=7: must be a multiple of the 2 devices"):
        made_loop(tiny_records, tmp_path, strategy="mirrored", replicas=2, batch_size=7)


def test_steps_per_epoch(tiny_records):
    info = dataset.load(str(tiny_records))
    assert steps_per_epoch(LoopOptions(batch_size=5), info) == math.floor(24 / 5)
    assert steps_per_epoch(LoopOptions(batch_size=50), info) == 1
    assert steps_per_epoch(LoopOptions(batch_size=5, steps_per_epoch=100), info) == 100
