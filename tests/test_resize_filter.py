"""Whose resize filter: of the run, its model, its export; of files that are older than the setting; of flagfiles."""

import json
import shutil

import keras
import numpy as np
import pytest
from made_runs import run, train_run
from PIL import Image

import e2wsol
from e2wsol import flagfiles, methods, train
from e2wsol.config import from_mapping, parse
from e2wsol.data import dataset, views
from e2wsol.data.views import ANTIALIAS, AUTO, BILINEAR, PipelineOptions
from e2wsol.methods import Method
from e2wsol.training.run_folder import RunFolder

SIZE = 32
PHOTO = np.random.default_rng(0).integers(0, 256, (301, 407, 3), np.uint8)
ANTIALIASED = np.asarray(Image.fromarray(PHOTO).resize((SIZE, SIZE), Image.Resampling.BILINEAR)).astype(int)
PLAIN = views.resize(PHOTO, SIZE).astype(np.uint8)


def made_model(**settings):
    return e2wsol.CAM(num_classes=3, image_size=SIZE, backbone_width=0.05, **settings)


def filter_of(view):
    """The filter that the network's view of PHOTO was made with, told by its pixels."""
    if np.array_equal(view, PLAIN):
        return BILINEAR
    assert np.abs(view - ANTIALIASED).max() <= 1
    return ANTIALIAS


def used_by(loaded):
    return filter_of(loaded.predictor().prepare(PHOTO))


@pytest.fixture(scope="module")
def run_folder(tiny_records, tmp_path_factory):
    """f(flag, model's filter) -> a run folder as e2wsol.train would have written it; no flag for None."""

    def make(flag, of_model):
        folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
        (folder.checkpoints / "last").mkdir(parents=True)
        keras.utils.set_random_seed(1)
        made_model(resize_filter=of_model).save(folder.checkpoints / "last" / "model.keras")
        flags = {"method": "cam", "backbone": "vgg16", "image_size": SIZE, "resize_size": SIZE}
        flags |= {"data_dir": str(tiny_records), **({"resize_filter": flag} if flag else {})}
        folder.flags_file.write_text(json.dumps({"flags": flags}))
        shutil.copy(tiny_records / dataset.FILE_NAME, folder.dataset_file)
        return folder.path

    return make


def test_a_model_in_memory_and_its_file(tmp_path):
    for given, expected in ((AUTO, ANTIALIAS), (ANTIALIAS, ANTIALIAS), (BILINEAR, BILINEAR)):
        model = made_model(resize_filter=given)
        assert used_by(e2wsol.load(model)) == model.resized(64).resize_filter == expected
        e2wsol.load(model).save(tmp_path / f"{given}.keras")
        assert used_by(e2wsol.load(tmp_path / f"{given}.keras")) == expected
    assert used_by(e2wsol.load(made_model())) == filter_of(
        views.eval_view(PHOTO, PipelineOptions(image_size=SIZE, eval_crop="none"))
    )
    with pytest.raises(ValueError, match="resize_filter=cubic: unknown; choose one of antialias, auto, bilinear"):
        made_model(resize_filter="cubic")


@pytest.mark.parametrize("flag", [None, BILINEAR, ANTIALIAS])
def test_the_run_decides(run_folder, tmp_path, flag):
    """Predict, view, file and export follow the run's flag; bilinear without one, whatever the model's default."""
    expected = flag or BILINEAR
    path = run_folder(flag, ANTIALIAS if expected == BILINEAR else BILINEAR)
    loaded = e2wsol.load(path)
    assert used_by(loaded) == loaded.view.resize_filter == loaded.resize_filter == expected
    loaded.save(tmp_path / "alone.keras")
    assert used_by(e2wsol.load(tmp_path / "alone.keras")) == expected
    exported = e2wsol.load(loaded.export(tmp_path / "export"))
    assert exported.record["resize_filter"] == expected
    ours, served = loaded.predict(PHOTO), exported.predict(PHOTO)
    np.testing.assert_allclose(served.map, ours.map, atol=1e-5)
    np.testing.assert_allclose(served.score, ours.score, rtol=1e-5)
    logits, _ = loaded.model.localize((PLAIN if expected == ANTIALIAS else ANTIALIASED)[None].astype(np.uint8))
    assert np.abs(ours.score - np.exp(logits).max() / np.exp(logits).sum()) > 1e-4  # the filters can be told apart


def test_older_files_are_bilinear():
    config = made_model().get_config()
    del config["resize_filter"]
    assert methods.METHODS["cam"].from_config(config).resize_filter == BILINEAR
    assert isinstance(made_model(), Method) and made_model().get_config()["resize_filter"] == ANTIALIAS
    assert used_by(e2wsol.load(made_model().from_config(config))) == BILINEAR


def records_of(source):
    return dataset.Dataset("", "made", source, {}, ("a",), {}, False, False)


def test_what_a_training_takes(tmp_path):
    new, old, other = (RunFolder(tmp_path / name) for name in ("new", "old", "other"))
    for folder, flags in ((old, {}), (other, {"resize_filter": ANTIALIAS})):
        folder.path.mkdir()
        folder.flags_file.write_text(json.dumps({"flags": flags}))
    for source, folder, expected in (
        *(("folder", new, ANTIALIAS), ("folder", old, BILINEAR), ("folder", other, ANTIALIAS)),
        *(("cub", new, BILINEAR), ("cub", old, BILINEAR), ("cub", other, ANTIALIAS)),
        *((name, new, BILINEAR) for name in ("ilsvrc", "tfds", "synthetic")),
    ):
        chosen = train.with_resize_filter(PipelineOptions(), records_of(source), folder)
        assert chosen.resize_filter == expected, (source, folder.path.name)
        for given in (BILINEAR, ANTIALIAS):
            options = PipelineOptions(resize_filter=given)
            assert train.with_resize_filter(options, records_of(source), folder) == options


@pytest.mark.slow
def test_a_training_says_and_keeps_its_filter(tiny_records, tmp_path, capsys):
    records = tmp_path / "records"
    shutil.copytree(tiny_records, records)
    document = json.loads((records / dataset.FILE_NAME).read_text())
    (records / dataset.FILE_NAME).write_text(json.dumps(document | {"source": "folder"}))
    flags = ("--method=cam", "--epochs=1", "--steps_per_epoch=1", "--tensorboard_pictures=0")
    assert train_run(records, tmp_path / "run", *flags) == 0
    assert "pictures are resized with --resize_filter=antialias" in capsys.readouterr().out
    assert used_by(e2wsol.load(tmp_path / "run")) == ANTIALIAS
    assert e2wsol.load(tmp_path / "run" / "checkpoints" / "last" / "model.keras").model.resize_filter == ANTIALIAS
    flags_file = RunFolder(tmp_path / "run").flags_file
    record = json.loads(flags_file.read_text())
    assert record["flags"].pop("resize_filter") == ANTIALIAS
    flags_file.write_text(json.dumps(record))  # as an older version wrote it
    assert train_run(records, tmp_path / "run", *flags, "--resize_filter=antialias") == 2
    assert "resize_filter=antialias (was bilinear)" in capsys.readouterr().err
    assert train_run(records, tmp_path / "run", *flags) == 0
    assert "--resize_filter=bilinear" in capsys.readouterr().out


@pytest.mark.slow
def test_classes_and_pseudo_masks_follow_the_run(run_folder, tmp_path, tiny_records):
    """They are those of a run that resizes so, and say it."""
    scores, masks = {}, {}
    for flag in (None, BILINEAR, ANTIALIAS):
        path = run_folder(flag, BILINEAR)
        assert run("classify", f"--run_dir={path}", "--input_size=16") == 0
        scores[flag] = (path / "test.jsonl").read_bytes()
        assert json.loads((path / "test.jsonl.about.json").read_text()).get("resize_filter") == (
            ANTIALIAS if flag == ANTIALIAS else None
        )
        output = tmp_path / f"masked_{flag}"
        assert run("pseudo_masks", f"--run_dir={path}", f"--output={output}", "--mask_input_size=16") == 0
        masks[flag] = next(output.glob("train-00000*")).read_bytes()
    assert scores[None] == scores[BILINEAR] != scores[ANTIALIAS]
    assert masks[None] == masks[BILINEAR] != masks[ANTIALIAS]


def data_flags(name):
    flags, _, _ = parse(["train", f"--flagfile={name}"], train.TrainFlags)
    return from_mapping(PipelineOptions, {"resize_filter": flags.data.resize_filter}).resize_filter


MEASURED = ("_cub10", "_animals", "quickstart", "study/")
TRAININGS = [name for name in flagfiles.names() if not name.startswith(("spol_masks", "study/methods"))]


@pytest.mark.parametrize("name", TRAININGS)
def test_flagfiles_have_the_filter_of_their_release(name):
    """BAS and MNPO resize with Pillow, the others with OpenCV or TensorFlow 1; what we measured was bilinear."""
    by_pillow = name.startswith(("bas_", "mnpo_", "mnpos_")) and not any(part in name for part in MEASURED)
    assert data_flags(name) == (ANTIALIAS if by_pillow else BILINEAR)
