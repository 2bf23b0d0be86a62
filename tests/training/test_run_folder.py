import json
import pathlib
import shutil

import pytest
import tensorflow as tf

from e2wsol import config
from e2wsol.data import dataset
from e2wsol.errors import UserError
from e2wsol.train import TrainFlags, TrainOptions
from e2wsol.training.callbacks import MetricsFile
from e2wsol.training.loop import LoopOptions
from e2wsol.training.run_folder import FREE_FLAGS, RunFolder


@pytest.fixture
def info(tiny_records):
    return dataset.load(str(tiny_records))


def start(folder, info, **options):
    run = RunFolder(folder)
    with run.held():
        run.start(info, LoopOptions(**{"seed": 3, **options}), TrainOptions(run_dir=str(folder)))
    return run


def test_start_writes_flags_versions_and_the_data_sets_description(tmp_path, info, tiny_records):
    run = start(tmp_path / "run", info, epochs=7)
    record = json.loads(run.flags_file.read_text())
    assert (
        run.flags() == {"resize_filter": "bilinear", **record["flags"]}
        and run.flags()["epochs"] == 7
        and run.flags()["seed"] == 3
    )
    assert record["versions"]["tensorflow"] == tf.__version__ and "git_commit" in record
    assert run.dataset_file.read_bytes() == (tiny_records / "dataset.json").read_bytes()
    assert run.classes() == list(info.classes)


def test_other_flags_are_named_and_nothing_changes(tmp_path, info):
    run = start(tmp_path / "run", info, batch_size=8)
    before = run.flags_file.read_bytes()
    with pytest.raises(UserError) as caught:
        start(tmp_path / "run", info, batch_size=16, seed=4)
    assert "batch_size=16 (was 8); seed=4 (was 3)" in str(caught.value) and str(run.path) in str(caught.value)
    assert run.flags_file.read_bytes() == before


def test_free_flags_may_change(tmp_path, info):
    start(tmp_path / "run", info, epochs=5, log_every=10)
    assert start(tmp_path / "run", info, epochs=9, log_every=20).flags()["epochs"] == 9


def test_free_flags_exist():
    known = {config.flag_name(*pair) for pair in config.fields(TrainFlags)}
    assert set(FREE_FLAGS) <= known


def test_a_run_that_was_stopped_says_how_far_it_is(tmp_path, info):
    run = start(tmp_path / "run", info, epochs=3)
    assert run.unfinished() == ""  # nothing was trained: the run of a converted checkpoint
    metrics = MetricsFile(run.metrics_file)
    metrics.on_train_begin()
    for epoch, left in enumerate(["1 of 3 epochs", "2 of 3 epochs", ""]):
        metrics.on_train_batch_end(0, {"step": 8 * epoch + 4, "loss": 1.0})
        metrics.on_epoch_end(epoch, {"step": 8 * epoch + 8, "loss": 1.0})
        assert run.unfinished() == left
    assert start(tmp_path / "run", info, epochs=9).unfinished() == "3 of 9 epochs"


def test_folder_with_other_files_is_left_alone(tmp_path, info):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files and no flags"):
        start(tmp_path, info)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_training_killed_before_its_first_file_does_not_make_the_folder_another_ones(tmp_path, info):
    (tmp_path / ".e2wsol.lock").touch()
    (tmp_path / ".tmp-77-flags.json").write_text("{")
    run = start(tmp_path, info)
    assert {path.name for path in tmp_path.iterdir()} == {run.flags_file.name, run.dataset_file.name}


def test_path_that_is_a_file(tmp_path, info):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(UserError, match="is a file; give a folder"):
        start(tmp_path / "run", info)


def changed(info, folder, change):
    """The Dataset in a folder whose dataset.json is that of `info`, changed."""
    shutil.copytree(info.folder, folder)
    document = json.loads((folder / "dataset.json").read_text())
    change(document)
    (folder / "dataset.json").write_text(json.dumps(document))
    return dataset.load(str(folder))


def in_shard(**values):
    return lambda document: document["splits"]["train"]["shards"][1].update(values)


OTHER = {
    "other classes": lambda document: document.update(classes=["gull", "tern", "auk"]),
    "splits test, train instead of test, train, val": lambda document: document["splits"].pop("val"),
    r"in another order, in split train \(1 of 3 shards differ\)": in_shard(sha256="0" * 64),
    r"in split val \(1 of 1 shards differ\), test \(1 of 1 ": lambda document: document["splits"].update(
        {"test": document["splits"]["val"], "val": document["splits"]["test"]}
    ),
    r"in another order, in split train \(2 of 3 shards differ\)": lambda document: document["splits"]["train"][
        "shards"
    ].reverse(),
}


@pytest.mark.parametrize("words", OTHER)
def test_run_of_other_data_is_left_alone(tmp_path, info, words):
    run = start(tmp_path / "run", info)
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    other = changed(info, tmp_path / "other", OTHER[words])
    with pytest.raises(UserError, match=rf"^data_dir={other.folder}: not the data of the run .*{words}"):
        start(run.path, other)
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before
    with run.held():
        run.start(other, LoopOptions(seed=3), TrainOptions(run_dir=str(run.path)), allow_other_data=True)
    assert run.dataset_file.read_bytes() == pathlib.Path(other.folder, "dataset.json").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda document: None,
        lambda document: document.update(name="moved", created_by={}, passed_over={"hidden": 3}),
        in_shard(stamps_sha256="0" * 64, content_sha256="1" * 64, policies={}),
    ],
)
def test_the_same_pictures_elsewhere_are_the_runs(tmp_path, info, change):
    run = start(tmp_path / "run", info)
    other = changed(info, tmp_path / "other", change)
    assert start(run.path, other).dataset_file.read_bytes() == pathlib.Path(other.folder, "dataset.json").read_bytes()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"versions": {}}'])
def test_broken_run_record_is_an_error(tmp_path, info, text):
    run = start(tmp_path / "run", info)
    run.flags_file.write_text(text)
    with pytest.raises(UserError, match=r"flags.json: not a valid run record"):
        run.flags()


def test_best_model_or_last_or_none(tmp_path, info):
    run = start(tmp_path / "run", info)
    with pytest.raises(UserError, match="no checkpoint in it yet"):
        run.model_file()
    for name in ("last", "best"):
        (run.checkpoints / name).mkdir(parents=True)
        (run.checkpoints / name / "model.keras").write_bytes(b"")
        assert run.model_file().parent.name == name


def test_no_run_folder(tmp_path):
    with pytest.raises(UserError, match="no run folder"):
        RunFolder(tmp_path / "nowhere").flags()
