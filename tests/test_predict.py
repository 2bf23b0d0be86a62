import dataclasses
import errno
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from made_finder import SIZE, RedFinder, red_box_picture, red_finder, save
from made_runs import run
from PIL import Image

from e2wsol import backbones, files, methods, predict, trained_run
from e2wsol.data import images
from e2wsol.errors import UserError
from e2wsol.localization import protocols, refine
from e2wsol.localization.protocols import BoxOptions
from e2wsol.prediction import inputs, predictors


def localize(picture, **options):
    predictor = red_finder(**options)
    return predictor([predictor.prepare(picture)], [picture.shape[1::-1]])[0]


def annotated(predictor, pictures, **options):
    return [found.image for found in predict.predict(predictor, pictures, **options)]


def test_box_is_in_the_original_pictures_pixels():
    found = localize(red_box_picture(128, 256, (64, 32, 160, 96)))
    # One of the network's pixels is 8 x 4 of the picture's.
    np.testing.assert_allclose(found.boxes, [[64, 32, 160, 96]], atol=8)
    assert found.labels.tolist() == [2] and found.map.shape == (SIZE, SIZE)


def test_score_is_the_softmax():
    found = localize(red_box_picture(SIZE, SIZE, (8, 8, 24, 24)))
    expected = tf.nn.softmax([1.0, 0.0, 255 / 50])[2].numpy()
    assert found.scores[0] == pytest.approx(expected, rel=1e-6)


def test_top_k_classes_in_order_with_boxes():
    found = localize(red_box_picture(64, 64, (16, 16, 48, 48)), top_k=3)
    assert found.labels.tolist() == [2, 0, 1] and found.boxes.shape == (3, 4)
    assert np.all(np.diff(found.scores) < 0) and found.scores.sum() == pytest.approx(1)
    with pytest.raises(UserError, match="top_k=4"):
        localize(red_box_picture(8, 8, (0, 0, 4, 4)), top_k=4)


class ObjectFinder(RedFinder):
    """The same map without a class."""

    classifies = False

    def localize(self, pictures, labels=None):
        return None, super().localize(pictures, labels)[1]


def test_a_method_without_classes_finds_one_object():
    predictor = predictors.MethodPredictor(ObjectFinder(), protocols.get("maxboxacc"))
    picture = red_box_picture(90, 120, (60, 45, 90, 60))
    found = predictor([predictor.prepare(picture)], [(120, 90)])[0]
    assert found.labels.tolist() == [0] and found.scores.tolist() == [1] and predictor.class_names == ("object",)
    np.testing.assert_array_equal(found.boxes, localize(picture).boxes)
    with pytest.raises(UserError, match="top_k=2: the model knows 1 classes only"):
        predictors.MethodPredictor(ObjectFinder(), protocols.get("maxboxacc"), top_k=2)


def test_threshold_and_protocol_change_the_box():
    picture = red_box_picture(SIZE, SIZE, (8, 8, 16, 16))
    picture[4:28, 4:28, 0] = np.maximum(picture[4:28, 4:28, 0], 100)
    np.testing.assert_array_equal(localize(picture, threshold=0.1).boxes, [[4, 4, 28, 28]])
    np.testing.assert_array_equal(localize(picture, threshold=0.7).boxes, [[8, 8, 16, 16]])
    np.testing.assert_array_equal(localize(picture, threshold=0.7, protocol="e2net").boxes, [[8, 8, 16, 16]])
    np.testing.assert_array_equal(localize(picture, threshold=0.7, protocol="bas").boxes, [[8, 8, 16, 16]])


def test_a_flat_map_gives_what_the_protocol_says():
    picture = np.full((40, 60, 3), 50, np.uint8)
    np.testing.assert_array_equal(localize(picture, protocol="bas").boxes, [[0, 0, 60, 40]])
    np.testing.assert_array_equal(localize(picture, protocol="maxboxacc").boxes, [[0, 0, 0, 0]])


def test_prediction_is_the_same_alone_and_in_a_batch(tmp_path):
    for number in range(5):
        save(tmp_path / f"{number}.png", red_box_picture(40 + number, 60, (5 * number, 4, 30 + number, 30)))
    pictures = inputs.find_pictures([str(tmp_path)])[0]
    predictor = red_finder()
    one, all_at_once = (annotated(predictor, pictures, batch_size=batch) for batch in (1, 8))
    assert one == all_at_once and len(one) == 5


def test_picture_is_turned_upright_as_its_exif_says(tmp_path):
    upright = red_box_picture(60, 100, (10, 5, 40, 50))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored rotated: turn by 90 degrees clockwise to view
    save(tmp_path / "turned.png", np.rot90(upright).copy(), exif=exif)
    save(tmp_path / "upright.png", upright)
    pictures = inputs.find_pictures([str(tmp_path)])[0]
    turned, plain = annotated(red_finder(), pictures)
    assert (turned.width, turned.height) == (plain.width, plain.height) == (100, 60)
    assert turned.detections == plain.detections


def test_unreadable_pictures_are_named_and_left_out(tmp_path, capsys):
    save(tmp_path / "good.png", red_box_picture(30, 30, (5, 5, 20, 20)))
    whole = io.BytesIO()
    Image.fromarray(red_box_picture(200, 200, (5, 5, 90, 90))).save(whole, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:800])
    (tmp_path / "empty.jpg").write_bytes(b"")
    pictures = inputs.find_pictures([str(tmp_path)])[0]
    found = annotated(red_finder(), pictures)
    assert [prediction.name for prediction in found] == ["good.png"]
    lines = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if "skipped" in line]
    assert len(lines) == 2 and "cut.jpg" in lines[0] and "empty.jpg" in lines[1]


def test_overlay_shows_the_box_beside_the_map(tmp_path):
    save(tmp_path / "in" / "sub" / "x.png", red_box_picture(100, 200, (50, 25, 150, 75)))
    pictures = inputs.find_pictures([str(tmp_path / "in")])[0]
    (found,) = predict.predict(red_finder(), pictures, overlays=True)
    tile = found.overlay
    assert tile.shape[1] == 2 * 480 + 4 and tile.shape[0] > 240
    # Scaled by 2.4: the box starts near x = 120 and y = 60.
    edge = np.abs(tile[120, 100:140].astype(int) - (255, 122, 0)).sum(-1)
    assert edge.min() < 60


def loaded(path, box=None, top_k=1):
    """(predictor, class names) of a model."""
    box = box or BoxOptions()
    predictor = trained_run.load(path).predictor(protocol=box.protocol, threshold=box.threshold, top_k=top_k)
    return predictor, predictor.class_names


def small_method(num_classes=3):
    keras.utils.set_random_seed(0)
    options = backbones.BackboneOptions(backbone="vgg16", backbone_width=0.03)
    return methods.create("e2net", backbone=options, image_size=SIZE, num_classes=num_classes)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "checkpoints" / "best").mkdir(parents=True)
    small_method().save(folder / "checkpoints" / "best" / "model.keras")
    document = {"format": "e2wsol-records/1", "classes": ["gull", "tern", "auk"]}
    (folder / "dataset.json").write_text(json.dumps(document))
    (folder / "flags.json").write_text(json.dumps({"flags": {"protocol": "", "threshold": -1.0}}))
    return folder


@pytest.mark.parametrize("top_k", [1, 2])
def test_run_folder_gives_the_methods_own_boxes(run_folder, top_k):
    predictor, names = loaded(run_folder, BoxOptions(), top_k=top_k)
    assert names == ("gull", "tern", "auk") and predictor.about["protocol"] == "e2net"
    assert (predictor.about["threshold"], predictor.about["threshold_from"]) == (0.09, "the protocol")
    picture = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    found = predictor([predictor.prepare(picture)], [(70, 50)])[0]
    model = small_method()
    logits, _ = model.localize(predictor.prepare(picture)[None])
    order = np.argsort(-np.asarray(logits)[0])[:top_k]
    assert found.labels.tolist() == order.tolist()
    assert found.scores == pytest.approx(tf.nn.softmax(logits)[0].numpy()[order], rel=1e-5)
    assert np.all(found.boxes >= 0) and np.all(found.boxes <= (70, 50, 70, 50))


def test_checkpoint_file_alone_has_numbers_for_names(run_folder, tmp_path):
    file = tmp_path / "model.keras"
    file.write_bytes((run_folder / "checkpoints/best/model.keras").read_bytes())
    assert loaded(file)[1] == ("0", "1", "2")
    assert loaded(run_folder / "checkpoints/best/model.keras")[1] == ("gull", "tern", "auk")


def test_class_names_must_fit_the_model(run_folder, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    small_method(5).save(folder / "checkpoints" / "best" / "model.keras")
    with pytest.raises(UserError, match="has 5 classes, its data set names 3"):
        loaded(folder)


def test_flags_of_command_and_run_choose_the_protocol(run_folder, tmp_path):
    given = loaded(run_folder, BoxOptions(threshold=0.4))[0].about
    assert given == {"protocol": "e2net", "threshold": 0.4, "threshold_from": "given"}
    assert loaded(run_folder, BoxOptions(protocol="maxboxacc"))[0].about["protocol"] == "maxboxacc"
    with pytest.raises(UserError, match="e2net, maxboxacc"):
        loaded(run_folder, BoxOptions(protocol="none"))
    shutil.copytree(run_folder, tmp_path / "run")
    (tmp_path / "run" / "flags.json").write_text(json.dumps({"flags": {"protocol": "maxboxacc", "threshold": 0.3}}))
    about = loaded(tmp_path / "run")[0].about
    assert about == {"protocol": "maxboxacc", "threshold": 0.3, "threshold_from": "the run's --threshold"}


def test_wrong_models_are_named(tmp_path):
    (tmp_path / "broken.keras").write_bytes(b"no model")
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "plain.keras")
    for name, expected in {
        f"{tmp_path}/nowhere": "no such file or folder",
        str(tmp_path): "neither a run folder",
        f"{tmp_path}/broken.keras": "damaged, or no .keras file",
        f"{tmp_path}/plain.keras": "a Sequential, not a localization method",
    }.items():
        with pytest.raises(UserError, match=expected):
            loaded(name)
    assert run("predict", "x.jpg", "--model=") == 2


class Exported(tf.Module):
    """A stand-in with the signature of e2wsol.export."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve(self, images):
        shape = tf.shape(images)
        box = tf.cast(tf.stack([0, 0, shape[2], shape[1]]), tf.float32)
        logits = tf.tile([[0.0, 2.0]], [shape[0], 1])
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "map": tf.zeros([shape[0], SIZE, SIZE]),
            "box": tf.tile(box[None], [shape[0], 1]),
        }


def test_saved_model(tmp_path):
    module = Exported()
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    predictor, names = loaded(tmp_path)
    assert names == ("0", "1")
    pictures = [np.zeros((20, 30, 3), np.uint8), np.zeros((9, 7, 3), np.uint8)]
    first, second = predictor([predictor.prepare(picture) for picture in pictures], [(30, 20), (7, 9)])
    assert first.boxes.tolist() == [[0, 0, 30, 20]] and second.boxes.tolist() == [[0, 0, 7, 9]]
    assert first.labels.tolist() == [1] and first.scores[0] == pytest.approx(1 / (1 + np.exp(-2)))
    for box, top_k in ((BoxOptions(threshold=0.5), 1), (BoxOptions(protocol="e2net"), 1), (BoxOptions(), 2)):
        with pytest.raises(UserError, match="fixed when a SavedModel is exported"):
            loaded(tmp_path, box, top_k=top_k)
    record = {"protocol": "e2net", "threshold": 0.09, "classes": ["gull", "tern"]}
    (tmp_path / "e2wsol.json").write_text(json.dumps(record))
    predictor, names = loaded(tmp_path)
    about = {"protocol": "e2net", "threshold": 0.09, "threshold_from": "the export"}
    assert names == ("gull", "tern") and predictor.about == about


def test_saved_model_of_another_kind(tmp_path):
    module = tf.Module()
    call = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([None], tf.float32)])
    tf.saved_model.save(module, str(tmp_path), signatures=call)
    with pytest.raises(UserError, match="gives no box, map"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("json", {"predictions.json"}),
        ("coco", {"annotations.json"}),
        ("voc", {"x.xml", "sub/x.xml"}),
        ("yolo", {"classes.txt", "x.txt", "sub/x.txt"}),
    ],
)
def test_main_writes_the_format(run_folder, tmp_path, name, expected):
    for place in ("x.png", "sub/x.png"):
        save(tmp_path / "in" / place, red_box_picture(40, 50, (5, 5, 30, 30)))
    output = tmp_path / "out"
    assert run("predict", f"--model={run_folder}", f"--output={output}", f"--format={name}", tmp_path / "in") == 0
    written = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert written == expected | {"overlays/x.jpg", "overlays/sub/x.jpg", ".e2wsol.jsonl"}


@pytest.mark.parametrize("mode", [refine.AUTO])
def test_refinement_is_written(run_folder, tmp_path, capsys, mode):
    """The command writes the boxes and qualities of the API, whatever else is in the batch."""
    files = [tmp_path / f"{index}.png" for index in range(3)]
    for index, file in enumerate(files):
        save(file, np.random.default_rng(index).integers(0, 255, (40, 60 + index, 3), dtype=np.uint8))
    flags = f"--model={run_folder}", f"--output={tmp_path / 'out'}", "--nooverlays", f"--refine={mode}"
    assert run("predict", *flags, *files) == 0
    document = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert document.get("refine", "none") == mode
    model = trained_run.load(run_folder)
    for entry, file in zip(document["pictures"], files, strict=True):
        found = model.predict(file, refine=mode)
        assert entry["box"] == [round(value, 3) for value in found.box]
        assert entry["quality"] == round(found.quality, 4) and 0 <= found.quality <= 1
        assert (found.masks[0] is None) == (found.outlines[0] is None)
        width, height = found.image_size
        assert 0 <= found.box[0] <= found.box[2] <= width and 0 <= found.box[1] <= found.box[3] <= height
    with pytest.raises(UserError, match=r"refine=watershed: unknown; choose one of auto, grabcut, none"):
        model.predict(files[0], refine="watershed")


def test_a_refined_box_is_in_the_pictures_pixels():
    """The red object of a wide picture, whose box and outline come back where it is."""
    picture = np.random.default_rng(0).integers(90, 110, (64, 128, 3)).astype(np.uint8)
    picture[16:48, 24:96] = picture[16:48, 24:96] // 10 + np.array((230, 0, 0), np.uint8)
    rules = dataclasses.replace(protocols.get("maxboxacc"), default_threshold=0.6)
    plain, cut = (predictors.MethodPredictor(RedFinder(), rules, "abc", refined=mode) for mode in ("none", "grabcut"))
    before, after = (each([each.prepare(picture)], [(128, 64)])[0] for each in (plain, cut))
    assert np.abs(np.subtract(after.box, (24, 16, 96, 48))).max() <= 4
    assert before.map.tolist() == after.map.tolist() and before.masks == (None,)
    [polygon] = after.outlines[0]
    assert (*np.min(polygon, axis=0), *np.max(polygon, axis=0)) == pytest.approx(after.box, abs=1e-3)


def test_known_labels(run_folder, tmp_path, capsys):
    """Class, probability and box are those that the API gives for the label, also behind a picture that is left out."""
    for index, name in enumerate(("auk", "gull", "tern")):
        save(tmp_path / name / "a.png", np.random.default_rng(index).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    (tmp_path / "auk" / "a.png").write_bytes(b"no picture")
    flags = f"--model={run_folder}", f"--output={tmp_path / 'out'}", "--replace", "--nooverlays", "--labels=folder"
    assert run("predict", *flags, tmp_path / "auk", tmp_path / "gull", tmp_path / "tern") == predict.EXIT_UNREADABLE
    document = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert document["labels"] == "folder" and [each["class_name"] for each in document["pictures"]] == ["gull", "tern"]
    files = [tmp_path / name / "a.png" for name in ("gull", "tern")]
    expected = trained_run.load(run_folder).predict(files, ["gull", "tern"])
    for entry, found in zip(document["pictures"], expected, strict=True):
        assert (entry["class"], entry["score"]) == (found.label, round(found.score, 6))
        assert entry["box"] == [round(value, 3) for value in found.box]
    assert run("predict", *flags, "--top_k=2", *files) == 2
    assert "--top_k=2: with labels there is one class a picture" in capsys.readouterr().err
    (tmp_path / "labels.csv").write_text("file,class\ngull/a.png,crow\ntern/a.png,tern\n")
    assert run("predict", *flags, f"--labels={tmp_path / 'labels.csv'}", *files) == 2
    assert "labels.csv: no class of the model: crow (" in capsys.readouterr().err


def test_main_with_another_protocol(run_folder, tmp_path):
    save(tmp_path / "in" / "x.png", red_box_picture(40, 50, (5, 5, 30, 30)))
    flags = f"--model={run_folder}", f"--output={tmp_path / 'out'}", "--protocol=bas", "--threshold=0.4"
    assert run("predict", *flags, tmp_path / "in") == 0
    document = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert (document["protocol"], document["threshold"]) == ("bas", 0.4)
    predictor, _ = loaded(run_folder, BoxOptions(protocol="bas", threshold=0.4))
    picture = red_box_picture(40, 50, (5, 5, 30, 30))
    expected = predictor([predictor.prepare(picture)], [(50, 40)])[0].boxes[0]
    np.testing.assert_allclose(document["pictures"][0]["box"], expected, atol=1e-3)


@pytest.fixture
def two_pictures(run_folder, tmp_path):
    """(flags of predict, output folder) for in/x.png and in/y.png, as yolo."""
    for name in "xy":
        save(tmp_path / "in" / f"{name}.png", red_box_picture(40, 50, (5, 5, 30, 30)))
    output = tmp_path / "out"
    flags = (f"--model={run_folder}", f"--output={output}", "--format=yolo", "--nooverlays", tmp_path / "in")
    return flags, output


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_corrected_labels_and_files_of_others_stay(two_pictures, capsys):
    flags, output = two_pictures
    output.mkdir()
    (output / "notes.md").write_text("mine")
    assert run("predict", *flags) == 0
    (output / "x.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    before = contents(output)
    for more, words in (
        ((), f"--output={output}: holds an earlier result of predict (3 files, such as classes.txt); give another"),
        (("--replace",), f"--output={output}: x.txt was changed after predict wrote it; move it away"),
    ):
        assert run("predict", *flags, *more) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {words}")
        assert contents(output) == before
    (output / "x.txt").rename(output.parent / "x.txt")
    assert run("predict", *flags, "--replace", "--format=voc") == 0
    assert set(contents(output)) == {"x.xml", "y.xml", "notes.md", ".e2wsol.jsonl"}
    (output / "y.txt").write_text("a label of another program\n")
    assert run("predict", *flags, "--replace") == 2
    assert "y.txt is there, and predict has no record of writing it; move it away" in capsys.readouterr().err
    assert set(contents(output)) == {"x.xml", "y.xml", "y.txt", "notes.md", ".e2wsol.jsonl"}


def test_what_cannot_be_written_is_named_and_the_rest_is(two_pictures, capsys, monkeypatch):
    flags, output = two_pictures
    write = files.write_bytes

    def failing(path, data):
        if path.name == "x.txt":
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(path))
        write(path, data)

    monkeypatch.setattr(files, "write_bytes", failing)
    assert run("predict", *flags) == 3
    said = capsys.readouterr()
    assert f"not written: {output / 'x.txt'}: File name too long" in said.err
    assert "boxes of 2 pictures, 0 unreadable, 1 files not written" in said.out
    assert set(contents(output)) == {"classes.txt", "y.txt", ".e2wsol.jsonl"}


@pytest.mark.parametrize("form", ["yolo", "json"])
def test_a_run_that_ends_early_keeps_what_it_found(two_pictures, monkeypatch, form, capsys):
    flags, output = two_pictures
    decode = images.decode

    def stopping(data, name):
        if name.name == "y.png":
            raise KeyboardInterrupt
        return decode(data, name)

    monkeypatch.setattr(images, "decode", stopping)
    assert run("predict", *flags, "--batch_size=1", f"--format={form}") == 130
    kept = {"yolo": {"classes.txt", "x.txt"}, "json": {"predictions.json"}}[form]
    assert set(contents(output)) == {*kept, ".e2wsol.jsonl"}
    if form == "json":
        assert [each["name"] for each in json.loads(contents(output)["predictions.json"])["pictures"]] == ["x.png"]
    monkeypatch.setattr(images, "decode", decode)
    assert run("predict", *flags, f"--format={form}", "--replace") == 0


def test_a_full_disk_keeps_what_was_written(two_pictures, capsys, monkeypatch):
    flags, output = two_pictures
    write = files.write_bytes

    def full(path, data):
        if path.name == "y.txt":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, data)

    monkeypatch.setattr(files, "write_bytes", full)
    assert run("predict", *flags) == 2
    assert f"error: {output / 'y.txt'}: No space left" in capsys.readouterr().err.splitlines()[-1]
    assert set(contents(output)) == {"classes.txt", "x.txt", ".e2wsol.jsonl"}


def test_names_that_tools_would_pair_wrongly_end_before_the_network_runs(tmp_path, capsys):
    for name in ("a.jpg", "a.png"):
        save(tmp_path / "in" / name, red_box_picture(40, 50, (5, 5, 30, 30)))
    flags = ("--model=nowhere", f"--output={tmp_path / 'out'}", tmp_path / "in")
    assert run("predict", "--format=yolo", *flags) == 2
    assert "error: a pair of pictures would share a label file: a.jpg and a.png" in capsys.readouterr().err
    assert run("predict", "--format=coco", *flags) == 2
    assert "error: --model=nowhere: no such file or folder" in capsys.readouterr().err


@pytest.mark.slow
def test_command_exit_statuses(run_folder, tmp_path, capsys):
    arguments = (f"--model={run_folder}", f"--output={tmp_path}/out", f"{tmp_path}/in")
    save(tmp_path / "in" / "x.png", red_box_picture(40, 50, (5, 5, 30, 30)))
    assert run("predict", *arguments, "--nooverlays") == 0
    assert run("predict", *arguments, "--threshold=2") == 2
    assert "--threshold=2" in capsys.readouterr().err.splitlines()[-1]
    arguments = (*arguments, "--replace")
    assert run("predict", *arguments, "--threshold=2") == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: --threshold=2")
    (tmp_path / "in" / "y.jpg").write_bytes(b"no picture")
    command = [sys.executable, "-m", "e2wsol.predict", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=pathlib.Path(__file__).parents[1])
    assert done.returncode == 3 and "y.jpg: not a readable picture" in done.stderr and "Traceback" not in done.stderr


def test_main_with_several_formats_maps_and_links(run_folder, tmp_path, capsys):
    save(tmp_path / "in" / "x y.png", red_box_picture(40, 50, (5, 5, 30, 30)))
    output = tmp_path / "out"
    flags = (f"--model={run_folder}", f"--output={output}", "--nooverlays", "--maps=png", tmp_path / "in")
    assert (
        run("predict", "--format=ultralytics,labelstudio", "--picture_url=http://host/", "--link_pictures", *flags) == 0
    )
    written = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    of_ultralytics = {"ultralytics/data.yaml", "ultralytics/labels/x y.txt", "ultralytics/images/x y.png"}
    others = {"labelstudio/labelstudio.json", "labelstudio/labelstudio.xml", "maps/x y.png.png", ".e2wsol.jsonl"}
    assert written == of_ultralytics | others
    (task,) = json.loads((output / "labelstudio" / "labelstudio.json").read_text())
    assert task["data"]["image"] == "http://host/x%20y.png"
    for more, words in (
        (
            ("--format=fiftyone",),
            "error: --format=fiftyone: fiftyone has the pictures beside the labels; add copy_pict",
        ),
        (("--format=json,xml",), "error: --format=xml: unknown; choose one of json, coco"),
        (("--format=",), "error: --format=: unknown; choose one of json, coco"),
        (("--copy_pictures",), "error: --copy_pictures is set, but no format of json has pictures"),
        (
            ("--format=fiftyone", "--copy_pictures", "--link_pictures"),
            "error: --link_pictures is set beside copy_pictures; choose one of them",
        ),
    ):
        assert run("predict", *flags, *more) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith(words)
