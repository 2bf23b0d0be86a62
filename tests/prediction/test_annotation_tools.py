"""What predict writes, read back by the tools themselves, each in an environment of its own."""

import json
import os
import pathlib
import subprocess
import urllib.parse

import environments
import numpy as np
import pytest
from made_finder import red_box_picture, red_finder
from PIL import Image

from e2wsol import predict
from e2wsol.owned_files import OwnedFolder
from e2wsol.prediction import inputs
from e2wsol.prediction.formats import FORMATS, Common
from e2wsol.prediction.outputs import Layout, OutputOptions, Writer

HERE = pathlib.Path(__file__).parent
NAMES = ("gull", "tern", 'Möwe & Söhne\'s "鳥"')
ULTRALYTICS = ("numpy", "matplotlib", "opencv-python-headless", "pillow", "pyyaml", "requests", "psutil", "polars")
ENVIRONMENTS = {
    "pycocotools": ("pycocotools",),
    "ultralytics": (*ULTRALYTICS, "typing_extensions"),
    "datumaro": ("datumaro",),
    "label-studio-sdk": ("label-studio-sdk",),
    "fiftyone": ("fiftyone",),
}
ALONE = {"ultralytics": ("ultralytics", "torchvision")}
# name: (width, height, box, EXIF orientation)
PICTURES = {
    "plain.jpg": (200, 100, (20, 10, 150, 60), 1),
    "sub folder/two words.png": (64, 90, (8, 5, 40, 61), 1),
    "sub folder/Möwe 鳥+#&100%.jpg": (120, 75, (0, 0, 111, 75), 1),
    "turned.jpg": (100, 180, (10, 90, 70, 170), 6),
    "nothing.png": (50, 40, (0, 0, 0, 0), 1),
}


def make_pictures(folder):
    for name, (width, height, box, orientation) in PICTURES.items():
        path, exif = folder / name, Image.Exif()
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = red_box_picture(height, width, box)
        if orientation == 6:  # to be turned clockwise to be seen
            exif[0x0112], pixels = 6, np.rot90(pixels)
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, exif=exif, quality=95)


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """Folder with a folder for each format, and {picture: (width, height, [[class name, x0, y0, x1, y1, score]])}."""
    folder = tmp_path_factory.mktemp("predicted")
    make_pictures(folder / "photos")
    formats = ("json", "coco", "voc", "yolo", "labelstudio", "cvat", "ultralytics", "fiftyone")
    found, _ = inputs.find_pictures([folder / "photos"])
    predictor = red_finder(top_k=2, class_names=NAMES)
    for linked in (False, True):
        options = OutputOptions(format=formats, maps="png", copy_pictures=not linked, link_pictures=linked)
        owned, layout = OwnedFolder(folder / ("linked" if linked else "copied"), "predict"), Layout(options)
        owned.check(layout.names(found))
        writer = Writer(owned, layout, Common(NAMES, {"model": "runs/x"}, options.picture_url))
        for each in predict.predict(predictor, found):
            writer.add(each)
        writer.finish()
        assert not writer.unwritten
    expected = {
        image.name: (image.width, image.height, [[d.class_name, *d.box, d.score] for d in image.boxes])
        for image in writer.images
    }
    assert {name: size[:2] for name, size in expected.items()} == {name: made[:2] for name, made in PICTURES.items()}
    assert [len(boxes) for _, _, boxes in expected.values()].count(2) == 4 and not expected["nothing.png"][2]
    return folder, expected


def read(reader, folder):
    tool = reader.rpartition(" ")[2]
    python = environments.python_of(tool, ENVIRONMENTS[tool], alone=ALONE.get(tool, ()))
    variables = environments.variables(YOLO_OFFLINE="1", YOLO_CONFIG_DIR=str(folder.parent), HOME=str(folder.parent))
    command = [python, HERE / "read_formats.py", reader, folder]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=folder.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])["pictures"]


def check(found, expected, *, tolerance=0.01, name_of=lambda name: name, scores=False, sizes=True, empty=True):
    """Pictures and boxes are those that were predicted."""
    wanted = {name_of(name): each for name, each in expected.items() if empty or each[2]}
    assert set(found) == set(wanted)
    for name, (width, height, boxes) in wanted.items():
        if sizes and boxes:
            assert found[name][:2] == [width, height], name
        assert [each[0] for each in found[name][2]] == [each[0] for each in boxes], name
        for one, other in zip(found[name][2], boxes, strict=True):
            np.testing.assert_allclose(one[1:5], other[1:5], rtol=0, atol=tolerance, err_msg=name)
            assert not scores or one[5] == pytest.approx(other[5], abs=1e-6)


def without_suffix(name):
    return os.path.splitext(name)[0]


def as_url(name):
    return "/data/local-files/?d=" + urllib.parse.quote(name)


VARIANTS = [
    ("pycocotools", "coco", {"scores": True}),
    ("ultralytics", "ultralytics", {}),
    ("yolo by datumaro", "ultralytics", {"name_of": lambda name: pathlib.PurePath(name).stem}),
    ("label-studio-sdk", "labelstudio", {"name_of": as_url, "scores": True}),
    ("fiftyone", "fiftyone", {"scores": True}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("reader", "form", "rules"), VARIANTS)
def test_a_tool_reads_the_boxes_that_were_predicted(predicted, reader, form, rules):
    folder, expected = predicted
    check(read(reader, folder / "copied" / form), expected, **rules)


@pytest.mark.slow
@pytest.mark.parametrize(("reader", "form", "rules"), [each for each in VARIANTS if FORMATS[each[1]].picture_folder])
def test_a_tool_follows_links_to_the_pictures(predicted, reader, form, rules):
    folder, expected = predicted
    assert next((folder / "linked" / form).rglob("turned.jpg")).is_symlink()
    check(read(reader, folder / "linked" / form), expected, **rules)


@pytest.mark.slow
def test_datumaro_reads_voc(predicted, tmp_path):
    """In the layout of PASCAL VOC, of which predict writes the annotations."""
    folder, expected = predicted
    (tmp_path / "Annotations").symlink_to(folder / "copied" / "voc")
    (tmp_path / "JPEGImages").symlink_to(folder / "photos")
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    names = "".join(f"{without_suffix(name)}\n" for name in expected)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text(names, encoding="utf-8")
    (tmp_path / "labelmap.txt").write_text("".join(f"{name}:::\n" for name in NAMES), encoding="utf-8")
    found = read("voc by datumaro", tmp_path)
    for _, _, boxes in found.values():
        for each in boxes:  # Datumaro leaves the first pixels counted from 1
            each[1:3] = each[1] - 1, each[2] - 1
    check(found, expected, tolerance=0.5, name_of=without_suffix)  # pixels are whole


@pytest.mark.slow
def test_datumaro_reads_cvat(predicted, tmp_path):
    """With the pictures in images/, where it looks for them."""
    folder, expected = predicted
    (tmp_path / "annotations.xml").symlink_to(folder / "copied" / "cvat" / "annotations.xml")
    (tmp_path / "images").symlink_to(folder / "photos")
    check(read("cvat by datumaro", tmp_path), expected, name_of=without_suffix)


ODD_NAMES = ("a: b", "- c", "'d' \"e\"", "#f", "null", "1", "\\n", "\n\t", "\x7f\x85\u2028\ufeff", "鳥\U0001f426")
LOAD = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load(sys.stdin.buffer)['names'].items())))"


@pytest.mark.slow
def test_names_of_classes_are_a_dict_of_yaml():
    text = FORMATS["ultralytics"].files([], Common(ODD_NAMES, {}))["data.yaml"]
    python = environments.python_of("ultralytics", ENVIRONMENTS["ultralytics"], alone=ALONE["ultralytics"])
    done = subprocess.run([python, "-c", LOAD], input=text.encode(), capture_output=True, check=True)
    assert [tuple(each) for each in json.loads(done.stdout)] == list(enumerate(ODD_NAMES))
