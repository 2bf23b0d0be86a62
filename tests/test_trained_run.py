"""e2wsol.load: one object says names, protocol, threshold and boxes, the same as every command and the export."""

import dataclasses
import json
import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from made_runs import run
from PIL import Image

import e2wsol
from e2wsol import methods, trained_run
from e2wsol.backbones import BackboneOptions
from e2wsol.data import dataset, pipeline, schema
from e2wsol.errors import ArgumentError, UserError
from e2wsol.evaluation.maps import NetworkMaps
from e2wsol.evaluation.of_run import EvaluateOptions, evaluate_run
from e2wsol.evaluation.scoring import Evaluation
from e2wsol.localization import protocols
from e2wsol.localization.boxes import extract_box
from e2wsol.localization.graph import extract_boxes
from e2wsol.localization.protocols import BoxOptions
from e2wsol.localizers import LOCALIZERS, LocalizerOptions
from e2wsol.training.run_folder import RunFolder

SIZE = 32


def made_run(folder, records, method, **settings):
    """A run folder of an untrained network, as e2wsol.train would have written it."""
    keras.utils.set_random_seed(1)
    model = methods.create(
        method,
        backbone=BackboneOptions(backbone_width=0.05, output_stride=8),
        image_size=SIZE,
        num_classes=3,
    )
    if method == "spol_seg":
        model.get_layer("spol_head").bias.assign([-1.3863])  # a probability of 0.2: boxes with edges
    run_folder = RunFolder(folder)
    (run_folder.checkpoints / "last").mkdir(parents=True)
    model.save(run_folder.checkpoints / "last" / "model.keras")
    flags = {"method": method, "backbone": "vgg16", "image_size": SIZE, "resize_size": SIZE, "data_dir": str(records)}
    run_folder.flags_file.write_text(json.dumps({"flags": {**flags, **settings}}))
    shutil.copy(records / dataset.FILE_NAME, run_folder.dataset_file)
    return run_folder.path


@pytest.fixture(scope="module")
def photos(tiny_records, tmp_path_factory):
    """(files, labels) of split test: the records' JPEGs as files."""
    info = dataset.load(str(tiny_records))
    folder, labels = tmp_path_factory.mktemp("photos"), []
    for index, stored in enumerate(tf.data.TFRecordDataset(list(info.split("test").files))):
        record = schema.parse(stored)
        (folder / f"{index:02d}.jpg").write_bytes(record["jpeg"].numpy())
        labels.append(int(record["label"]))
    return sorted(folder.iterdir()), labels


class BoxKeeper:
    """Notes the boxes of every image at one threshold, as evaluation sees them."""

    def __init__(self, threshold):
        self.threshold, self.boxes = threshold, []

    def skip(self, images):
        assert images == 0

    def merge(self, other):
        raise AssertionError("one process alone")

    def update(self, image, score, scorer):
        box = score.prediction.boxes[scorer.index_of(self.threshold)]
        self.boxes.append(scorer.frame.to_picture(box, image.annotations["image_size"]))


def evaluated_boxes(loaded, protocol, localizer=None):
    """Boxes (N, 4) in pixels of the images that an evaluation scores on split test."""
    info = loaded.records()
    maps = NetworkMaps(loaded.model, "own", localizer=localizer)
    name = maps.names[0]
    keeper = BoxKeeper(protocol.default_threshold)
    evaluation = Evaluation(info, loaded.view, protocol, maps, batch=4, threads=1)
    evaluation.score("test", keepers={name: [keeper]})
    return np.stack(keeper.boxes)


def graph_boxes(loaded, protocol, files, labels):
    """Boxes (N, 4) as an exported graph finds them."""
    found = []
    for file, label in zip(files, labels):
        pixels = np.asarray(Image.open(file).convert("RGB"))
        _, maps = loaded.model.localize(pipeline.whole_view(pixels[None], SIZE), np.array([label], np.int32))
        _, boxes = extract_boxes(maps, size=SIZE, threshold=protocol.default_threshold, protocol=protocol)
        sides = np.tile(pixels.shape[1::-1], 2).astype(np.float64)
        found.append(np.clip(boxes[0].numpy().astype(np.float64) * sides / SIZE, 0, sides).astype(np.float32))
    return np.stack(found)


@pytest.mark.parametrize(
    "method",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in ("cam", "spol_seg"))) for name in methods.METHODS],
)
def test_every_protocol_gives_one_box(method, tiny_records, tmp_path, photos):
    """load, evaluate and the export's graph agree to the bit for each method under each protocol."""
    files, labels = photos
    loaded = e2wsol.load(made_run(tmp_path / "run", tiny_records, method))
    wanted = labels if loaded.model.classifies else [0] * len(labels)
    for name in protocols.names():
        rules = loaded.box_protocol(BoxOptions(protocol=name))
        found = np.stack([each.boxes[0] for each in loaded.predict(files, wanted, protocol=name)])
        np.testing.assert_array_equal(found, evaluated_boxes(loaded, rules), err_msg=name)
        np.testing.assert_array_equal(found, graph_boxes(loaded, rules, files, labels), err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("localizer", LOCALIZERS)
def test_every_localizer_gives_one_box(localizer, tiny_records, tmp_path, photos):
    files, labels = photos
    loaded = e2wsol.load(made_run(tmp_path / "run", tiny_records, "cam"))
    other_maps = loaded.localizer(LocalizerOptions(localizer=(localizer,)))
    found = np.stack([each.boxes[0] for each in loaded.predict(files, labels, localizer=localizer)])
    np.testing.assert_array_equal(found, evaluated_boxes(loaded, loaded.box_protocol(), other_maps))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["bas", "spol_seg"])
def test_command_and_export_give_the_boxes_of_load(method, tiny_records, tmp_path, photos):
    files, _ = photos
    path = made_run(tmp_path / "run", tiny_records, method)
    expected = e2wsol.load(path).predict(files)
    assert run("predict", f"--model={path}", f"--output={tmp_path / 'out'}", "--nooverlays", files[0].parent) == 0
    written = json.loads((tmp_path / "out" / "predictions.json").read_text())
    exported = e2wsol.load(e2wsol.load(path).export(tmp_path / "export"))
    assert written["classes"] == list(exported.class_names) == list(e2wsol.load(path).class_names)
    for ours, entry, served in zip(expected, written["pictures"], exported.predict(files), strict=True):
        assert entry["box"] == [round(float(value), 3) for value in ours.box]
        assert served.box == ours.box and served.label == ours.label and entry["class"] == ours.label


def test_maps_of_logits_keep_their_protocol():
    """A cone of logits under a protocol that stretches scores: what is stretched is its sigmoid."""
    y, x = np.mgrid[:16, :16] - 7.5
    cone = (6 - 1.5 * np.hypot(y, x)).astype(np.float32)
    rules = protocols.of_logits(protocols.get("maxboxacc"))
    box = extract_box(cone, image_size=(128, 128), protocol=rules, size=128)
    graph = extract_boxes(cone[None], size=128, threshold=0.2, protocol=rules)[1][0].numpy()
    np.testing.assert_array_equal(box, graph)
    by_name = extract_box(cone, image_size=(128, 128), protocol="maxboxacc", size=128)
    assert (by_name[2] - by_name[0]) - (box[2] - box[0]) > 20


@pytest.fixture(scope="module")
def cam_run(tiny_records, tmp_path_factory):
    return made_run(tmp_path_factory.mktemp("runs") / "cam", tiny_records, "cam")


def test_what_predict_takes(cam_run, photos):
    files, _ = photos
    loaded = e2wsol.load(str(cam_run))
    one, several = loaded.predict(str(files[0])), loaded.predict(files[0].parent)
    pixels = np.asarray(Image.open(files[0]).convert("RGB"))
    assert len(several) == len(files) and one.box == several[0].box == loaded.predict(pixels).box
    assert one.box == loaded.predict([files[1], pixels])[1].box
    assert loaded.predict(pixels[None])[0].box == one.box
    assert one.image_size == (48, 48) and one.map.shape == (SIZE, SIZE) and one.class_name in loaded.class_names
    named = loaded.predict(pixels, loaded.class_names[2])
    assert named.label == 2 and named.class_name == loaded.class_names[2]
    assert loaded.predict([pixels, pixels], [0, 1])[1].label == 1
    assert loaded.predict(pixels, top_k=3).boxes.shape == (3, 4)


@pytest.mark.parametrize("side", [24, 480])
def test_plot(cam_run, photos, side):
    shown = e2wsol.load(cam_run).predict(photos[0][0]).plot(side)
    assert isinstance(shown, Image.Image) and shown.mode == "RGB"
    assert np.asarray(shown).std() > 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"images": "no/such.jpg"}, "images=no/such.jpg: no such image"),
        ({"images": np.zeros((4, 4, 3), np.float32)}, r"images: an array of float32 \(4, 4, 3\); expected uint8 RGB"),
        ({"images": np.zeros((4, 4), np.uint8)}, r"images: an array of uint8 \(4, 4\)"),
        ({"labels": "zebra"}, "labels=zebra: no such class; the model knows"),
        ({"labels": 3}, "labels=3: no such class; numbers go from 0 to 2"),
        ({"labels": [0, 1]}, "labels: 2 classes for 1 images"),
        ({"protocol": "none"}, "protocol=none: unknown; choose one of bas"),
        ({"localizer": "gradcam", "layer": "conv9"}, "layer=conv9: no such layer"),
        ({"top_k": 4}, "top_k=4: the model knows 3 classes only"),
    ],
)
def test_wrong_arguments_are_named(cam_run, given, message):
    arguments = {"images": np.zeros((8, 8, 3), np.uint8), **given}
    with pytest.raises(ArgumentError, match=message):
        e2wsol.load(cam_run).predict(**arguments)


def test_unknown_settings_are_named(cam_run):
    with pytest.raises(TypeError, match="unexpected argument 'lair'; LocalizerOptions has localizer, layer"):
        e2wsol.load(cam_run).predict(np.zeros((8, 8, 3), np.uint8), lair="conv1_1")


def result_file(folder, threshold, protocol="maxboxacc", split="val"):
    folder.mkdir(parents=True, exist_ok=True)
    document = {"thresholds": {"validation": {"0.5": threshold}}, "protocol": protocol, "threshold_split": split}
    (folder / "result.json").write_text(json.dumps(document))


def test_whose_threshold_counts(tiny_records, tmp_path):
    """Given, then chosen by evaluate under the same protocol, then the run's flag, then the protocol's."""
    path = made_run(tmp_path / "run", tiny_records, "cam", threshold=0.3)
    loaded = e2wsol.load(path)
    assert (loaded.threshold, loaded.threshold_from) == (0.3, "the run's --threshold")
    result_file(path, 0.45)
    assert (loaded.threshold, loaded.threshold_from) == (0.45, "chosen on split val")
    assert loaded.chosen_protocol(BoxOptions(threshold=0.6))[1] == trained_run.ThresholdChoice(0.6, "given")
    assert loaded.chosen_protocol(BoxOptions(protocol="dgl"))[1] == trained_run.ThresholdChoice(0.15, "the protocol")
    result_file(path / "localizers" / "gradcam" / "conv5_3", 0.7)
    assert loaded.predictor(localizer="gradcam", layer="conv5_3").about["threshold"] == 0.7
    assert loaded.predictor(localizer="gradcam", layer="conv4_3").about["threshold"] == 0.3
    (path / "result.json").write_text("{")
    with pytest.raises(UserError, match=r"result\.json: not a result of python -m e2wsol\.evaluate"):
        _ = loaded.threshold


@pytest.mark.slow
def test_every_choice_of_evaluate_counts_whatever_was_evaluated_last(tiny_records, tmp_path):
    """Another localizer's evaluation gives the own maps' threshold too, another protocol's takes nothing away."""
    path = made_run(tmp_path / "run", tiny_records, "cam")
    box, layers = BoxOptions(), LocalizerOptions(localizer=("gradcam",), layer=("conv5_3",))
    gradcam, own = evaluate_run(e2wsol.load(path), EvaluateOptions(samples=0), box, layers)
    e2wsol.load(path).evaluate(protocol="dgl", samples=0)
    loaded = e2wsol.load(path)
    assert loaded.threshold == own["thresholds"]["validation"]["0.5"] != protocols.get("maxboxacc").default_threshold
    assert loaded.threshold_from == f"chosen on split {own['threshold_split']}"
    about = loaded.predictor(localizer="gradcam", layer="conv5_3").about
    assert about["threshold"] == gradcam["thresholds"]["validation"]["0.5"]
    assert loaded.export(tmp_path / "export") == tmp_path / "export"
    served = e2wsol.load(tmp_path / "export")
    assert (served.threshold, served.threshold_from) == (loaded.threshold, loaded.threshold_from)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"maxboxacc": {"": {"threshold": 2, "source": "x"}}}', '{"maxboxacc": 1}']
)
def test_damaged_thresholds_are_named(tmp_path, text):
    thresholds = RunFolder(tmp_path).thresholds
    thresholds.file.write_text(text)
    with pytest.raises(UserError, match=r"thresholds\.json: not the thresholds of a run"):
        thresholds.chosen("maxboxacc")


def test_a_saved_file_knows_names_protocol_and_threshold(tiny_records, tmp_path, photos):
    path = made_run(tmp_path / "run", tiny_records, "cam", protocol="dgl")
    result_file(path, 0.45, protocol="dgl")
    loaded = e2wsol.load(path)
    loaded.save(tmp_path / "elsewhere.keras")
    again = e2wsol.load(tmp_path / "elsewhere.keras")
    assert again.class_names == loaded.class_names and loaded.model.class_names is None
    assert (again.protocol, again.threshold, again.threshold_from) == ("dgl", 0.45, "chosen on split val")
    again.save(tmp_path / "further.keras")
    assert e2wsol.load(tmp_path / "further.keras").threshold_from == "chosen on split val"
    assert again.predict(photos[0][0]).box == loaded.predict(photos[0][0]).box


def test_a_model_in_memory(photos):
    names = ("a", "b", "c")
    model = e2wsol.CAM(num_classes=3, class_names=names, image_size=SIZE, backbone_width=0.05, dropout=0.1)
    loaded = e2wsol.load(model)
    assert loaded.class_names == names and loaded.predict(photos[0][0]).class_name in names
    with pytest.raises(ArgumentError, match="run_dir: a lone model"):
        loaded.evaluate()
    with pytest.raises(ArgumentError, match="class_names: 2 names for num_classes=3"):
        e2wsol.CAM(num_classes=3, class_names=("a", "b"), image_size=SIZE, backbone_width=0.05)


def test_evaluate_returns_what_it_writes(tiny_records, tmp_path):
    path = made_run(tmp_path / "run", tiny_records, "cam")
    result = e2wsol.load(path).evaluate(split="test", samples=2)
    assert json.loads((path / "result.json").read_text()) == json.loads(json.dumps(result))
    assert e2wsol.load(path).threshold == result["thresholds"]["validation"]["0.5"]
    other = e2wsol.load(path).evaluate(protocol="maxboxaccv2", threshold=0.3, samples=0)
    assert (other["protocol"], other["thresholds"]["protocol"]) == ("maxboxaccv2", 0.3)
    with pytest.raises(ArgumentError, match=r"threshold=2\.0: must be at most 1\.0"):
        e2wsol.load(path).evaluate(threshold=2)


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("run_dir", ["runs/x", "./runs/x", "elsewhere/x"])
def test_relative_records_are_found_from_any_folder(tiny_records, tmp_path, monkeypatch, moved, run_dir):
    """From the working folder first, then from the folder that the run was made in, wherever that is now."""
    (tmp_path / "made").mkdir()
    monkeypatch.chdir(tmp_path / "made")
    shutil.copytree(tiny_records, "records/x")
    path = made_run(pathlib.Path("runs/x"), pathlib.Path("records/x"), "cam", run_dir=run_dir)
    assert trained_run.TrainedRun.in_folder(path).records().folder == "records/x"
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    if moved:
        (tmp_path / "made").rename(tmp_path / "moved")
    made = tmp_path / ("moved" if moved else "made")
    run = trained_run.TrainedRun.in_folder(made / "runs/x")
    here = tmp_path / "other/records/x/dataset.json"
    if run_dir == "elsewhere/x":
        with pytest.raises(ArgumentError) as caught:
            run.records()
        said = f"data_dir: the run was trained on records/x, but there is no {here}; give the folder of the records"
        assert str(caught.value) == said
    else:
        assert run.records().folder == str(made / "records/x")
        shutil.rmtree(made / "records")
        with pytest.raises(ArgumentError, match=rf"there is no {here} and {made}/records/x/dataset.json; give"):
            run.records()
    assert run.records(str(tiny_records)).folder == str(tiny_records)


def test_methods_as_keras_models():
    """Keyword arguments without prefix reach the options, and wrong ones are named."""
    model = e2wsol.BAS(num_classes=2, image_size=SIZE, backbone="vgg16", backbone_width=0.05, area_weight=1.2, top_k=1)
    assert isinstance(model, keras.Model) and (model.options.area_weight, model.options.top_k) == (1.2, 1)
    assert model.backbone_options == dataclasses.replace(BackboneOptions(), backbone_width=0.05)
    with pytest.raises(TypeError, match="BAS: unexpected argument 'area_wight'; BASOptions has area_weight"):
        e2wsol.BAS(num_classes=2, area_wight=1)
    with pytest.raises(ArgumentError, match=r"area_weight=-1\.0: must be at least 0"):
        e2wsol.BAS(num_classes=2, area_weight=-1)
    with pytest.raises(ValueError, match="backbone=vgg: unknown; choose one of"):
        e2wsol.BAS(num_classes=2, backbone="vgg")
    with pytest.raises(TypeError, match="HaS is a network to train"):
        e2wsol.HaS(model)
