import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import tensorflow as tf
from made_runs import run, train_run

from e2wsol import config, pseudo_masks, trained_run
from e2wsol.config import from_mapping
from e2wsol.data import dataset, masked_records, pipeline, schema
from e2wsol.localization.pseudo_mask import pseudo_mask, to_picture
from e2wsol.methods.base import Method
from e2wsol.methods.cam import CAM
from e2wsol.prediction.mask_maker import MaskMaker
from e2wsol.trained_run import load_model

FLAGS = ("--mask_size=64", "--mask_min_area=4", "--batch_size=3", "--threads=2", "--samples=5")
TRAIN = [f"train-{index:05d}-of-00003.tfrecord" for index in range(3)]


def make(tiny_run, output, *flags):
    return run("pseudo_masks", f"--run_dir={tiny_run}", f"--output={output}", *FLAGS, *flags)


def contents(folder):
    """Every file in a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def records(folder, split="train"):
    """source_id -> serialized record."""
    stream = tf.data.TFRecordDataset(list(dataset.load(folder).split(split).files)).as_numpy_iterator()
    return {schema.parse(record)["source_id"].numpy().decode(): record for record in stream}


@pytest.fixture(scope="module")
def tiny_run(tiny_records, tmp_path_factory):
    """Run folder of CAM, whose maps have contours after 8 steps already; tests must not change it."""
    run_dir = tmp_path_factory.mktemp("runs") / "cam"
    assert train_run(tiny_records, run_dir, "--method=cam") == 0
    return run_dir


@pytest.fixture(scope="module")
def masked(tiny_run, tmp_path_factory):
    """Folder of the command's output, undisturbed; tests must not change it."""
    output = tmp_path_factory.mktemp("masked") / "records"
    assert make(tiny_run, output) == 0
    return output


def test_masks_are_those_of_the_true_class_on_the_whole_picture(masked, tiny_run, tiny_records):
    """Picture by picture, with the network at the run's --resize_size."""
    model = load_model(tiny_run / "checkpoints" / "best" / "model.keras").resized(36)
    plain, priors = records(tiny_records), 0
    for source_id, record in records(masked).items():
        picture = schema.parse(plain[source_id])
        pixels = pipeline.decode(picture["jpeg"])
        view = pipeline.whole_view(pixels, 36)[None]
        outputs = model(view, training=False)
        class_map = np.asarray(model.class_maps(outputs, picture["label"][None, None]))[0, 0]
        foreground, prior = pseudo_mask(class_map, 64, min_area=4)
        expected = to_picture(foreground, prior, *pixels.shape[:2])
        stored = pipeline.decode_pseudo_mask(schema.parse(record)["pseudo_mask"]).numpy()
        # A batch of one may differ from one of three in the last bits.
        assert np.abs(stored.astype(int) - expected).max() <= 1 and np.mean(stored != expected) < 0.01
        priors += prior.any()
    assert priors > 6, "the test needs maps with contours"


def test_everything_else_stays(masked, tiny_records):
    plain, with_masks = records(tiny_records), records(masked)
    assert list(plain) == list(with_masks) and len(plain) == 24
    for source_id, record in with_masks.items():
        example = tf.train.Example.FromString(record)
        assert example.features.feature.pop("image/segmentation/pseudo_mask").bytes_list.value[0].startswith(b"\x89PNG")
        assert example == tf.train.Example.FromString(plain[source_id])
    for name in ("val-00000-of-00001.tfrecord", "test-00000-of-00001.tfrecord"):
        assert (masked / name).samefile(tiny_records / name)
    before, after = (json.loads((folder / "dataset.json").read_text()) for folder in (tiny_records, masked))
    assert after["created_by"].pop("pseudo_masks")["mask_input_size"] == 36
    assert after.pop("pseudo_mask_splits") == ["train"]
    assert before | {"splits": None} == after | {"splits": None}
    info = dataset.load(masked, verify=True)
    assert {name: split.class_counts for name, split in info.splits.items()} == {
        name: split.class_counts for name, split in dataset.load(tiny_records).splits.items()
    }


def test_training_reads_the_masks(masked):
    options = pipeline.PipelineOptions(image_size=32, resize_size=36, shuffle_buffer=8)
    stream = pipeline.train_dataset(dataset.load(masked), options, global_batch=24, seed=0, pseudo_masks=True)
    masks = next(iter(stream))["pseudo_mask"].numpy()
    assert masks.shape == (24, 32, 32, 2) and masks[..., 0].max() > 200 and masks[..., 1].max() > 200


def test_the_folder_holds_the_records_and_the_sheet(masked, tiny_records):
    assert sorted(contents(masked)) == sorted([*contents(tiny_records), pseudo_masks.PSEUDO_MASK_SHEET])
    sheet = cv2.imread(str(masked / pseudo_masks.PSEUDO_MASK_SHEET))
    assert sheet.shape == (24 + 5 * 196, 4 * 196, 3)


def stop_after(monkeypatch, count):
    """The command fails at the record behind so many."""
    finish, seen = MaskMaker._with_mask, []

    def counted(self, item):
        seen.append(1)
        if len(seen) > count:
            raise RuntimeError("stopped")
        return finish(self, item)

    monkeypatch.setattr(MaskMaker, "_with_mask", counted)


@pytest.mark.parametrize("count", [5, 8, 20])
def test_a_stopped_run_goes_on_to_the_same_bits(masked, tiny_run, tmp_path, monkeypatch, capsys, count):
    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        stop_after(patch, count)
        with pytest.raises(RuntimeError, match="stopped"):
            pseudo_masks.main(options(tiny_run, output), [])
    finished = {path.name: path.stat().st_mtime_ns for path in output.glob("*.tfrecord")}
    assert len([name for name in finished if name in TRAIN]) <= count // 8
    assert not (output / "dataset.json").exists() and not list(output.glob(".tmp*"))
    assert make(tiny_run, output) == 0
    assert contents(output) == contents(masked)
    assert {name: (output / name).stat().st_mtime_ns for name in finished} == finished, "finished shards are kept"
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith(f"wrote {output}: 24 pseudo masks, ") and said.endswith(" without a prior")


def options(tiny_run, output):
    values = dict(flag[2:].split("=") for flag in FLAGS) | {"run_dir": str(tiny_run), "output": str(output)}
    return from_mapping(pseudo_masks.PseudoMaskOptions, values)


@pytest.mark.parametrize("stop", ["link", "describe", "sheet"])
def test_stopped_between_the_files(masked, tiny_run, tmp_path, monkeypatch, stop):
    """Behind a link that is not in progress.json yet, before dataset.json, and behind it."""
    output = tmp_path / "out"
    place = {
        "link": (masked_records.MaskedRecords, "_linked"),
        "describe": (masked_records.MaskedRecords, "_description"),
        "sheet": (pseudo_masks, "write_sheet"),
    }[stop]
    done = getattr(*place)

    def interrupted(*arguments):
        if stop == "link":
            done(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*place, interrupted)
        assert make(tiny_run, output) == 130
    assert make(tiny_run, output) == 0
    assert contents(output) == contents(masked)


def test_left_over_files_of_a_killed_process_go(masked, tiny_run, tmp_path):
    output = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 9)
        with pytest.raises(RuntimeError):
            pseudo_masks.main(options(tiny_run, output), [])
    (output / ".tmp-77-train-00001-of-00003.tfrecord").write_bytes(b"half")
    assert make(tiny_run, output) == 0
    assert contents(output) == contents(masked)


def test_a_finished_output_is_left_alone(masked, tiny_run, capsys, monkeypatch):
    before = contents(masked)
    monkeypatch.setattr(trained_run, "load_model", lambda path: pytest.fail("loaded for nothing"))
    assert make(tiny_run, masked) == 0
    assert capsys.readouterr().out == f"{masked}: pseudo masks of this checkpoint are there already, nothing to do\n"
    assert contents(masked) == before


def test_a_damaged_shard_and_a_changed_source_are_made_again(masked, tiny_run, tiny_records, tmp_path):
    source, output = tmp_path / "source", tmp_path / "out"
    shutil.copytree(tiny_records, source)
    assert make(tiny_run, output, f"--data_dir={source}") == 0
    assert contents(output) == contents(masked)
    times = {name: (output / name).stat().st_mtime_ns for name in TRAIN}
    (output / TRAIN[0]).write_bytes(b"cut")
    # The source's second shard now holds the pictures of its first: the counts agree.
    document = json.loads((source / "dataset.json").read_text())
    shards = document["splits"]["train"]["shards"]
    shutil.copy(source / TRAIN[0], source / TRAIN[1])
    shards[1] = {**shards[0], "file": TRAIN[1]}
    (source / "dataset.json").write_text(json.dumps(document))
    assert make(tiny_run, output, f"--data_dir={source}") == 0
    assert (output / TRAIN[0]).read_bytes() == (output / TRAIN[1]).read_bytes() == (masked / TRAIN[0]).read_bytes()
    assert (output / TRAIN[2]).stat().st_mtime_ns == times[TRAIN[2]]
    dataset.load(output, verify=True)


def test_shards_that_the_source_no_longer_has_go(masked, tiny_run, tiny_records, tmp_path):
    source, output = tmp_path / "source", tmp_path / "out"
    shutil.copytree(tiny_records, source)
    assert make(tiny_run, output, f"--data_dir={source}") == 0
    document = json.loads((source / "dataset.json").read_text())
    document["name"] = "renamed"
    del document["splits"]["val"]
    (source / "dataset.json").write_text(json.dumps(document))
    os.remove(source / "val-00000-of-00001.tfrecord")
    assert make(tiny_run, output, f"--data_dir={source}") == 0
    assert "val" in dataset.load(masked).splits and "val" not in dataset.load(output).splits
    assert dataset.load(output).name == "renamed" and not list(output.glob("val*"))


def test_where_there_are_no_links_files_are_copied(masked, tiny_run, tiny_records, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    output = tmp_path / "out"
    assert make(tiny_run, output) == 0
    assert contents(output) == contents(masked)
    assert not (output / "test-00000-of-00001.tfrecord").samefile(tiny_records / "test-00000-of-00001.tfrecord")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--run_dir="], "--run_dir is missing"),
        (["--run_dir=nowhere"], "nowhere: no run folder (no flags.json)"),
        (["--output="], "--output is missing"),
        (["--output={records}"], "--output={records}: is the folder of data_dir; give another one"),
        (["--data_dir=nowhere"], "nowhere/dataset.json: not found"),
        (["--checkpoint=nowhere.keras"], "--checkpoint=nowhere.keras: no such file"),
        (["--mask_band_low=0.6"], "--mask_band_low=0.6: must be at most --mask_band_high=0.5"),
        (["--mask_min_area=0"], "--mask_min_area=0.0: must be at least 0.5"),
        (["--output={masked}", "--mask_size=32"], "--output={masked}: made with mask_size=64, now mask_size=32;"),
        (["--output={foreign}"], "--output={foreign}: holds x.tfrecord, but no dataset.json; give another"),
        (["--output={run}"], "{run}/dataset.json: not made by this command; give another output or delete"),
        (["stray"], "stray: unexpected argument"),
    ],
)
def test_one_line_errors(masked, tiny_run, tiny_records, tmp_path, capsys, flags, message):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "x.tfrecord").touch()
    places = {"records": tiny_records, "masked": masked, "run": tiny_run, "foreign": foreign}
    before = contents(masked)
    assert make(tiny_run, tmp_path / "out", *(flag.format(**places) for flag in flags)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("error: ") and message.format(**places) in lines[-1]
    assert not (tmp_path / "out").exists() and contents(masked) == before


def test_a_method_without_class_maps(tiny_run, tmp_path, capsys, monkeypatch):
    class Blind(CAM):
        class_maps = Method.class_maps

    loaded = load_model(tiny_run / "checkpoints" / "best" / "model.keras")
    blind = Blind(backbone=loaded.backbone_options, image_size=32, num_classes=3)
    monkeypatch.setattr(trained_run, "load_model", lambda path: blind)
    assert make(tiny_run, tmp_path / "out") == 2
    assert "error: Blind: a method without class maps" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_classes_than_those_of_the_run(tiny_run, tiny_records, tmp_path, capsys):
    shutil.copytree(tiny_records, tmp_path / "other")
    text = (tiny_records / "dataset.json").read_text()
    (tmp_path / "other" / "dataset.json").write_text(text.replace("red-headed", "pink-headed"))
    assert make(tiny_run, tmp_path / "out", f"--data_dir={tmp_path / 'other'}") == 2
    assert "other classes than those of the run" in capsys.readouterr().err


def test_a_broken_picture_is_named(tiny_run, tiny_records, tmp_path, capsys):
    source = tmp_path / "source"
    shutil.copytree(tiny_records, source)
    shard = bytearray((source / TRAIN[1]).read_bytes())
    shard[len(shard) // 2] ^= 255
    (source / TRAIN[1]).write_bytes(shard)
    assert make(tiny_run, tmp_path / "out", f"--data_dir={source}") == 2
    assert f"error: {source / TRAIN[1]}: record " in capsys.readouterr().err


@pytest.mark.slow
def test_killed_process_ends_like_an_undisturbed_one(tiny_run, masked, tmp_path):
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "e2wsol.pseudo_masks", f"--run_dir={tiny_run}", f"--output={killed}", *FLAGS]
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 240
        while not (killed / TRAIN[0]).exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not (killed / "dataset.json").exists(), "it was killed too late to show anything"
    assert make(tiny_run, killed) == 0
    assert contents(killed) == contents(masked)


@pytest.mark.parametrize("name", ["spol_masks", "spol_masks_ilsvrc"])
def test_flag_files_hold_the_released_numbers(name):
    flagfile = pathlib.Path(__file__).parents[1] / "flags" / f"{name}.cfg"
    read, positional, _ = config.parse(["x", f"--flagfile={flagfile}"], pseudo_masks.PseudoMaskOptions)
    defaults = pseudo_masks.PseudoMaskOptions(
        run_dir=read.run_dir, data_dir=read.data_dir, output=f"{read.data_dir}_spol", mask_input_size=256
    )
    assert not positional and read == defaults
    assert (read.mask_size, read.mask_band_low, read.mask_band_high, read.mask_min_area) == (256, 0.1, 0.5, 20)
