import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from made_runs import run, train_run
from PIL import Image

from e2wsol import methods
from e2wsol.backbones import BackboneOptions
from e2wsol.data import dataset, schema
from e2wsol.errors import UserError
from e2wsol.trained_run import load
from e2wsol.training.run_folder import RunFolder

# Runs in a process of its own that never imports e2wsol.
CLIENT = """
import sys
import numpy as np
import tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
found = {}
for name, pictures in np.load(sys.argv[2]).items():
    for key, value in serve(images=tf.constant(pictures)).items():
        found[f"{name}/{key}"] = value.numpy()
assert not any(module.split(".")[0] == "e2wsol" for module in sys.modules), "e2wsol was imported"
np.savez(sys.argv[3], **found)
"""


def split_pictures(records, split):
    """Decoded pictures of a split, all of one size."""
    files = dataset.load(str(records)).split(split).files
    return np.stack(
        [tf.io.decode_jpeg(schema.parse(item)["jpeg"], channels=3).numpy() for item in tf.data.TFRecordDataset(files)]
    )


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    output = tmp_path_factory.mktemp("exported") / "model"
    assert run("export", f"--run_dir={tiny_run}", f"--output={output}") == 0
    return output


@pytest.fixture(scope="module")
def pictures(tiny_records):
    """Batches of different sizes: of the data set, larger and smaller than the input, and no square."""
    rng = np.random.default_rng(0)
    own = split_pictures(tiny_records, "test")
    wide = tf.cast(tf.image.resize(own[:3], (90, 133)), tf.uint8).numpy()
    return {
        "all": own,
        "one": own[:1],
        "three": own[3:6],
        "wide": wide,
        "tall": np.ascontiguousarray(wide.transpose(0, 2, 1, 3)),
        "small": rng.integers(0, 256, (2, 17, 20, 3), dtype=np.uint8),
        "large": rng.integers(0, 256, (1, 300, 401, 3), dtype=np.uint8),
    }


@pytest.fixture(scope="module")
def served(exported, pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    np.savez(folder / "pictures.npz", **pictures)
    arguments = [str(exported), str(folder / "pictures.npz"), str(folder / "found.npz")]
    command = [sys.executable, "-c", CLIENT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(folder / "found.npz") as found:
        return dict(found)


def predicted(run_dir, pictures, **box):
    predictor = load(run_dir).predictor(**box)
    views = [predictor.prepare(picture) for picture in pictures]
    return predictor(views, [picture.shape[1::-1] for picture in pictures])


@pytest.mark.slow
def test_boxes_of_a_process_without_e2wsol_equal_those_of_predict(served, pictures, tiny_run):
    for name, batch in pictures.items():
        expected = predicted(tiny_run, batch)
        boxes = np.stack([localization.boxes[0] for localization in expected])
        np.testing.assert_array_equal(served[f"{name}/box"], boxes, err_msg=name)
        labels = [localization.labels[0] for localization in expected]
        np.testing.assert_array_equal(served[f"{name}/probabilities"].argmax(1), labels)
        scores = [localization.scores[0] for localization in expected]
        np.testing.assert_allclose(served[f"{name}/probabilities"].max(1), scores, rtol=1e-5)
        maps = np.stack([localization.map for localization in expected])
        np.testing.assert_allclose(served[f"{name}/map"], maps, atol=1e-5)


def photos(folder):
    """Picture files of several kinds and sizes; one is stored turned."""
    rng = np.random.default_rng(0)

    def image(width, height):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 7, 3), np.uint8))
        return coarse.resize((width, height), Image.Resampling.BICUBIC)

    turned, exif = image(90, 61), Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "turned.jpg", exif=exif, quality=90)
    image(300, 203).save(folder / "plain.jpg", quality=75)
    image(40, 55).convert("L").save(folder / "gray.jpg")
    image(33, 32).save(folder / "small.png")
    transparent = image(120, 80).convert("RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize((120, 80)))
    transparent.save(folder / "transparent.png")
    return sorted(folder.iterdir())


def test_boxes_from_the_bytes_of_files_equal_those_of_predict(exported, tiny_run, tmp_path):
    files = photos(tmp_path)
    serve = tf.saved_model.load(str(exported)).signatures["image_bytes"]
    found = {
        key: value.numpy() for key, value in serve(image_bytes=tf.constant([f.read_bytes() for f in files])).items()
    }
    expected = load(tiny_run).predict(files)
    np.testing.assert_array_equal(found["box"], [each.box for each in expected])
    assert found["image_size"].tolist() == [list(each.image_size) for each in expected]
    assert found["image_size"][files.index(tmp_path / "turned.jpg")].tolist() == [61, 90]
    np.testing.assert_array_equal(found["probabilities"].argmax(1), [each.label for each in expected])
    np.testing.assert_allclose(found["map"], np.stack([each.map for each in expected]), atol=1e-5)
    one = serve(image_bytes=tf.constant([files[0].read_bytes()]))["box"].numpy()
    np.testing.assert_array_equal(one, found["box"][:1])


def test_outputs(served, pictures):
    for name, batch in pictures.items():
        count, height, width = batch.shape[:3]
        assert served[f"{name}/logits"].shape == served[f"{name}/probabilities"].shape == (count, 3)
        assert served[f"{name}/map"].shape == (count, 32, 32)
        assert served[f"{name}/box"].shape == (count, 4) and served[f"{name}/box"].dtype == np.float32
        np.testing.assert_allclose(served[f"{name}/probabilities"].sum(1), 1, rtol=1e-5)
        assert served[f"{name}/map"].min() >= 0 and served[f"{name}/map"].max() <= 1
        boxes = served[f"{name}/box"]
        assert (boxes >= 0).all() and (boxes <= (width, height, width, height)).all()


def test_a_picture_has_the_same_box_in_any_batch(served):
    np.testing.assert_array_equal(served["all/box"][:1], served["one/box"])
    np.testing.assert_array_equal(served["all/box"][3:6], served["three/box"])


def test_predict_takes_the_export(exported, tiny_run, pictures):
    for one, other in zip(predicted(exported, pictures["wide"]), predicted(tiny_run, pictures["wide"])):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        assert one.labels[0] == other.labels[0]


@pytest.mark.parametrize("mode", ["none", "grabcut", "auto"])
def test_exports_are_refined_as_runs_are(exported, tiny_run, pictures, mode):
    """On pictures of the network's size, which nothing resizes, boxes and qualities are those of the run."""
    small = np.ascontiguousarray(pictures["all"][:, 8:40, 8:40])
    for one, other in zip(predicted(exported, small, refine=mode), predicted(tiny_run, small, refine=mode)):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
        assert one.quality == pytest.approx(other.quality, abs=1e-3) and len(one.masks) == 1
    assert load(exported).predictor(refine=mode).about.get("refine", "none") == mode


def test_an_export_that_does_not_say_its_protocol_is_not_refined(exported, tmp_path, pictures):
    shutil.copytree(exported, tmp_path / "export")
    (tmp_path / "export" / "e2wsol.json").unlink()
    found = load(tmp_path / "export").predict(pictures["one"][0])
    assert found.quality is None and found.outlines == (None,)
    with pytest.raises(UserError, match="refine=auto: the export does not say its protocol; export the model again"):
        load(tmp_path / "export").predictor(refine="auto")


def test_record_beside_the_model(exported, tiny_run):
    record = json.loads((exported / "e2wsol.json").read_text())
    assert (record["method"], record["protocol"], record["threshold"]) == ("e2net", "e2net", 0.09)
    assert record["image_size"] == 32 and len(record["classes"]) == 3
    assert record["checkpoint"].startswith(str(tiny_run))


@pytest.mark.parametrize(
    ("protocol", "threshold"), [pytest.param("maxboxacc", 0.6, marks=pytest.mark.slow), ("bas", 0.3)]
)
def test_protocol_and_threshold_are_built_in(tiny_run, tmp_path, pictures, protocol, threshold):
    flags = (f"--protocol={protocol}", f"--threshold={threshold}")
    assert run("export", f"--run_dir={tiny_run}", f"--output={tmp_path / 'model'}", *flags) == 0
    serve = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    expected = predicted(tiny_run, pictures["all"], protocol=protocol, threshold=threshold)
    found = serve(images=tf.constant(pictures["all"]))["box"].numpy()
    np.testing.assert_array_equal(found, np.stack([localization.boxes[0] for localization in expected]))
    assert json.loads((tmp_path / "model" / "e2wsol.json").read_text())["protocol"] == protocol


def test_export_replaces_its_own_files_alone(tiny_run, tmp_path, capsys):
    output = tmp_path / "deep" / "model"
    output.mkdir(parents=True)
    flags = (f"--run_dir={tiny_run}", f"--output={output}")
    (output / "saved_model.pb").write_bytes(b"of another program")
    assert run("export", *flags, "--replace") == 2
    said = f"error: --output={output}: saved_model.pb is there, and export has no record of writing it; move it away"
    assert capsys.readouterr().err.splitlines()[-1].startswith(said)
    assert [path.name for path in output.iterdir()] == ["saved_model.pb"]
    (output / "saved_model.pb").rename(output / "notes.txt")
    assert run("export", *flags) == 0
    before = (output / "saved_model.pb").read_bytes()
    assert run("export", *flags, "--threshold=0.7") == 2
    assert "holds an earlier result of export (5 files" in capsys.readouterr().err
    assert (output / "saved_model.pb").read_bytes() == before
    assert run("export", *flags, "--threshold=0.7", "--replace") == 0
    assert json.loads((output / "e2wsol.json").read_text())["threshold"] == 0.7 and load(output).threshold == 0.7
    names = {"saved_model.pb", "e2wsol.json", "fingerprint.pb", "variables", "notes.txt", ".e2wsol.jsonl"}
    assert {path.name for path in output.iterdir()} == names
    assert [path.name for path in output.parent.iterdir()] == ["model"]


def test_export_into_the_working_folder(tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("export", f"--run_dir={tiny_run}", "--output=.") == 0
    assert (tmp_path / "saved_model.pb").is_file()


@pytest.mark.slow
def test_a_method_without_classes(tiny_records, tmp_path, pictures):
    """Map and box alone; its run and its export name one class."""
    model = methods.create("spol_seg", backbone=BackboneOptions(backbone_width=0.03), image_size=32, num_classes=3)
    model.get_layer("spol_head").bias.assign([-1.3863])  # a probability of 0.2: boxes with edges
    folder = RunFolder(tmp_path / "run")
    (folder.checkpoints / "last").mkdir(parents=True)
    model.save(folder.checkpoints / "last" / "model.keras")
    folder.flags_file.write_text(json.dumps({"flags": {"method": "spol_seg"}}))
    shutil.copy(tiny_records / dataset.FILE_NAME, folder.dataset_file)
    assert run("export", f"--run_dir={tmp_path / 'run'}") == 0
    serve = tf.saved_model.load(str(tmp_path / "run" / "export")).signatures["serving_default"]
    assert set(serve.structured_outputs) == {"map", "box"}
    own, exported = (load(tmp_path / path).predictor() for path in ("run", "run/export"))
    assert own.class_names == exported.class_names == ("object",)
    sizes = [picture.shape[1::-1] for picture in pictures["wide"]]
    found = [p([p.prepare(picture) for picture in pictures["wide"]], sizes) for p in (own, exported)]
    for one, other in zip(*found):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        assert one.labels.tolist() == other.labels.tolist() == [0] and one.scores == other.scores == [1.0]
        assert one.boxes.shape == (1, 4)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "backbone"), [("cam", "mobilenet_v1"), ("adl", "vgg16")])
def test_other_runs(tiny_records, tmp_path, pictures, method, backbone):
    flags = (f"--method={method}", f"--backbone={backbone}", "--epochs=1", "--steps_per_epoch=2")
    assert train_run(tiny_records, tmp_path / "run", *flags, "--tensorboard_pictures=0") == 0
    assert run("export", f"--run_dir={tmp_path / 'run'}") == 0
    serve = tf.saved_model.load(str(tmp_path / "run" / "export")).signatures["serving_default"]
    found = serve(images=tf.constant(pictures["wide"]))["box"].numpy()
    expected = predicted(tmp_path / "run", pictures["wide"])
    np.testing.assert_array_equal(found, np.stack([localization.boxes[0] for localization in expected]))
