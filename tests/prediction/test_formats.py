import json
import pathlib
import urllib.parse
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2wsol.errors import UserError
from e2wsol.prediction.formats import FORMATS, AnnotatedImage, Common, Detection
from e2wsol.prediction.inputs import PictureFile

NAMES = ("gull", "tern <&>", "auk")


def prediction(box=(10.0, 20.0, 60.5, 80.0), *, stem="a/x", others=()):
    detections = (Detection(1, NAMES[1], 0.75, box), *others)
    return AnnotatedImage(f"/photos/{stem}.jpg", f"{stem}.jpg", stem, 200, 100, detections)


def written(name, predictions):
    return FORMATS[name].files(predictions, Common(NAMES, {"model": "runs/a"}, "/data/local-files/?d="))


def test_json():
    document = json.loads(written("json", [prediction()])["predictions.json"])
    assert document["format"] == "e2wsol-predictions/1" and document["model"] == "runs/a"
    assert document["classes"] == list(NAMES)
    (picture,) = document["pictures"]
    assert picture == {
        "path": "/photos/a/x.jpg",
        "name": "a/x.jpg",
        "width": 200,
        "height": 100,
        "class": 1,
        "class_name": "tern <&>",
        "score": 0.75,
        "box": [10, 20, 60.5, 80],
    }


def test_json_lists_all_classes_when_more_were_asked_for():
    other = Detection(0, NAMES[0], 0.2, (0.0, 0.0, 5.0, 5.0))
    document = json.loads(written("json", [prediction(others=[other])])["predictions.json"])
    assert [entry["class"] for entry in document["pictures"][0]["top_k"]] == [1, 0]


def test_coco_outline_is_the_box_for_pycocotools():
    mask_api = pytest.importorskip("pycocotools.mask")
    coco = pytest.importorskip("pycocotools.coco").COCO()
    boxes = [(10.0, 20.0, 60.0, 80.0), (0.0, 0.0, 200.0, 100.0), (199.0, 99.0, 200.0, 100.0)]
    coco.dataset = json.loads(written("coco", [prediction(box) for box in boxes])["annotations.json"])
    coco.createIndex()
    for annotation, (x0, y0, x1, y1) in zip(coco.dataset["annotations"], boxes, strict=True):
        mask = coco.annToMask(annotation)
        assert mask.sum() == (x1 - x0) * (y1 - y0) == annotation["area"]
        assert mask[int(y0) : int(y1), int(x0) : int(x1)].all()
        assert mask_api.area(coco.annToRLE(annotation)) == annotation["area"]


@given(st.tuples(*[st.integers(0, 50)] * 4).filter(lambda c: c[0] != c[1] and c[2] != c[3]))
def test_coco_outline_has_the_boxes_area_and_corners(corners):
    (x0, x1), (y0, y1) = sorted(corners[:2]), sorted(corners[2:])
    document = json.loads(written("coco", [prediction((x0, y0, x1, y1))])["annotations.json"])
    (annotation,) = document["annotations"]
    ((*points,),) = annotation["segmentation"]
    xs, ys = points[::2], points[1::2]
    shoelace = sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(4)) / 2
    assert abs(shoelace) == annotation["area"] == (x1 - x0) * (y1 - y0)
    assert set(zip(xs, ys)) == {(x0, y0), (x1, y0), (x1, y1), (x0, y1)}


def pictures(*names):
    return [PictureFile(pathlib.Path("/p", name), name, name.rsplit(".", 1)[0], name) for name in names]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("a.jpg", "a.png"), "a pair of pictures would share a label file: a.jpg and a.png; rename one of each"),
        (("A.jpg", "a.jpg"), "a pair of pictures would share a label file: A.jpg and a.jpg"),
        (("x/a.jpg", "x/a.png", "x/a.bmp"), "share a label file: x/a.jpg and x/a.png and x/a.bmp; "),
        (("m\u00f6.jpg", "mo\u0308.png"), "share a label file: m\u00f6.jpg and mo\u0308.png; "),
        (
            ("a.jpg", "b.jpg", "a.png", "b.png"),
            "2 pairs of pictures would share a label file: a.jpg and a.png, b.jpg and b.png",
        ),
        ([f"{n}.{s}" for s in ("jpg", "png") for n in range(7)], "7 pairs .* 4.jpg and 4.png, ...; rename"),
        (("x/a.jpg", "y/a.jpg", "a.jpg", "a.v2.jpg", "x/classes.jpg", "class.jpg"), None),
    ],
)
def test_pictures_that_would_share_a_label_file(names, words):
    for name, suffix in (("yolo", ".txt"), ("voc", ".xml")):
        if words:
            with pytest.raises(UserError, match=words):
                FORMATS[name].names(pictures(*names))
        else:
            labels = [f"{each.rsplit('.', 1)[0]}{suffix}" for each in names]
            assert FORMATS[name].names(pictures(*names)) == [*FORMATS[name].documents, *labels]
    for name in ("json", "coco"):
        assert FORMATS[name].names(pictures(*names)) == list(FORMATS[name].documents)


@pytest.mark.parametrize("name", ["classes.jpg", "Classes.png"])
def test_a_picture_called_as_yolos_list_of_classes(name):
    with pytest.raises(
        UserError, match=rf"/p/{name}: its label file would be classes.txt, the list of classes; rename"
    ):
        FORMATS["yolo"].names(pictures("a.jpg", name))
    assert FORMATS["voc"].names(pictures(name))


def test_coco_structure():
    other = Detection(0, NAMES[0], 0.2, (0.0, 0.0, 5.0, 5.0))
    predictions = [prediction(), prediction(stem="y", others=[other])]
    document = json.loads(written("coco", predictions)["annotations.json"])
    assert [image["file_name"] for image in document["images"]] == ["a/x.jpg", "y.jpg"]
    assert [category["name"] for category in document["categories"]] == list(NAMES)
    names = {category["id"]: category["name"] for category in document["categories"]}
    images = {image["id"]: image for image in document["images"]}
    assert len({entry["id"] for entry in document["annotations"]}) == 3
    assert [names[entry["category_id"]] for entry in document["annotations"]] == [NAMES[1], NAMES[1], NAMES[0]]
    first = document["annotations"][0]
    assert first["bbox"] == [10, 20, 50.5, 60] and first["area"] == 50.5 * 60 and first["iscrowd"] == 0
    assert images[first["image_id"]]["width"] == 200


def test_voc_counts_pixels_from_one_with_both_ends():
    root = ET.fromstring(written("voc", [prediction()])["a/x.xml"])
    assert root.findtext("filename") == "x.jpg" and root.findtext("folder") == "a"
    assert (root.findtext("size/width"), root.findtext("size/height"), root.findtext("size/depth")) == (
        "200",
        "100",
        "3",
    )
    assert root.findtext("object/name") == "tern <&>"
    corners = [int(root.findtext(f"object/bndbox/{tag}")) for tag in ("xmin", "ymin", "xmax", "ymax")]
    assert corners == [11, 21, 60, 80]


def test_voc_drops_characters_that_xml_has_not():
    odd = AnnotatedImage(
        "/p/\x01.jpg", "\x01.jpg", "\x01", 10, 10, (Detection(0, "a\x00b", 1.0, (0.0, 0.0, 5.0, 5.0)),)
    )
    (text,) = written("voc", [odd]).values()
    assert ET.fromstring(text).findtext("object/name") == "a\ufffdb"


def test_yolo_files():
    texts = written("yolo", [prediction()])
    assert texts["classes.txt"].splitlines() == list(NAMES)
    assert texts["a/x.txt"] == "1 0.176250 0.500000 0.252500 0.600000\n"


def test_boxes_without_area_stay_in_json_only():
    empty = prediction((0.0, 0.0, 0.0, 0.0))
    assert json.loads(written("json", [empty])["predictions.json"])["pictures"][0]["box"] == [0, 0, 0, 0]
    document = json.loads(written("coco", [empty])["annotations.json"])
    assert len(document["images"]) == 1 and not document["annotations"]
    assert ET.fromstring(written("voc", [empty])["a/x.xml"]).find("object") is None
    assert written("yolo", [empty])["a/x.txt"] == ""


def test_coco_outline_of_an_object():
    """The area is that of the outline, not of the box; the box stays."""
    outline = [[(10.0, 20.0), (60.5, 20.0), (60.5, 80.0)], [(0.0, 0.0), (4.0, 0.0), (4.0, 3.0), (0.0, 3.0)]]
    detection = Detection(1, NAMES[1], 0.75, (10.0, 20.0, 60.5, 80.0), outline)
    (annotation,) = json.loads(
        written("coco", [AnnotatedImage("x.jpg", "x.jpg", "x", 200, 100, (detection,))])["annotations.json"]
    )["annotations"]
    assert annotation["segmentation"] == [[10, 20, 60.5, 20, 60.5, 80], [0, 0, 4, 0, 4, 3, 0, 3]]
    areas = [cv2.contourArea(np.array(polygon, np.float32)) for polygon in outline]
    assert annotation["area"] == sum(areas) == 50.5 * 60 / 2 + 12
    assert annotation["bbox"] == [10, 20, 50.5, 60]


corner = st.floats(0, 1, width=32)


def edges_of_centre(values, width, height):
    x, y, w, h = values
    return [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height]


def read_ultralytics(texts, one):
    rows = [line.split() for line in texts[f"labels/{one.label}.txt"].splitlines()]
    assert all(len(row) == 5 for row in rows)
    return [(NAMES[int(row[0])], edges_of_centre(map(float, row[1:]), one.width, one.height)) for row in rows]


def read_cvat(texts, one):
    image = ET.fromstring(texts["annotations.xml"]).find("image")
    assert (image.get("width"), image.get("height"), image.get("name")) == (str(one.width), str(one.height), one.name)
    assert all(box.get("source") == "auto" for box in image)
    return [(box.get("label"), [float(box.get(side)) for side in ("xtl", "ytl", "xbr", "ybr")]) for box in image]


def read_label_studio(texts, one):
    (task,) = json.loads(texts["labelstudio.json"])
    found = []
    for result in task["predictions"][0]["result"]:
        value = result["value"]
        assert (result["original_width"], result["original_height"]) == (one.width, one.height)
        x, y, w, h = (value[side] / 100 for side in ("x", "y", "width", "height"))
        edges = x * one.width, y * one.height, (x + w) * one.width, (y + h) * one.height
        found.append((value["rectanglelabels"][0], list(edges)))
    return found


def read_fiftyone(texts, one):
    document = json.loads(texts["labels.json"])
    assert [image["file_name"] for image in document["images"]] == [one.copy]
    names = {each["id"]: each["name"] for each in document["categories"]}
    boxes = [(names[each["category_id"]], each["bbox"]) for each in document["annotations"]]
    return [(name, [x, y, x + w, y + h]) for name, (x, y, w, h) in boxes]


READERS = {
    "ultralytics": read_ultralytics,
    "cvat": read_cvat,
    "labelstudio": read_label_studio,
    "fiftyone": read_fiftyone,
}


@pytest.mark.parametrize("name", READERS)
@given(
    st.lists(st.tuples(st.integers(0, 2), corner, corner, corner, corner), min_size=1, max_size=3),
    st.integers(1, 5000),
    st.integers(1, 5000),
)
def test_tools_get_every_box_with_its_class(name, corners, width, height):
    detections = []
    for label, *ends in corners:
        (x0, x1), (y0, y1) = sorted(ends[:2]), sorted(ends[2:])
        detections.append(Detection(label, NAMES[label], 0.5, (x0 * width, y0 * height, x1 * width, y1 * height)))
    one = AnnotatedImage("a/p.jpg", "a/p.jpg", "a/p", width, height, tuple(detections))
    wanted = [each for each in detections if each.box[2] > each.box[0] and each.box[3] > each.box[1]]
    found = READERS[name](written(name, [one]), one)
    assert [each[0] for each in found] == [each.class_name for each in wanted]
    for (_, box), each in zip(found, wanted, strict=True):
        assert box == pytest.approx(each.box, abs=2e-3 + 1e-6 * max(width, height))


def test_label_studio():
    odd = AnnotatedImage(
        "/p/a b/\u00f6+#&%.jpg",
        "a b/\u00f6+#&%.jpg",
        "a b/\u00f6+#&%",
        50,
        40,
        (Detection(1, NAMES[1], 0.75, (0, 0, 5, 5)),),
    )
    texts = written("labelstudio", [odd])
    (task,) = json.loads(texts["labelstudio.json"])
    address = urllib.parse.urlparse(task["data"]["image"])
    assert address.path == "/data/local-files/" and urllib.parse.parse_qs(address.query) == {"d": [odd.name]}
    (found,) = task["predictions"]
    assert (found["model_version"], found["score"], found["result"][0]["score"]) == ("runs/a", 0.75, 0.75)
    view = ET.fromstring(texts["labelstudio.xml"])
    image, labels = view.find("Image"), view.find("RectangleLabels")
    assert image.get("value") == "$image" and labels.get("toName") == image.get("name") == found["result"][0]["to_name"]
    assert labels.get("name") == found["result"][0]["from_name"]
    assert [each.get("value") for each in labels] == list(NAMES)


def test_the_labels_of_yolo_and_ultralytics_are_the_same():
    one = prediction(others=[Detection(0, NAMES[0], 0.2, (0.0, 0.0, 5.0, 5.0))])
    assert written("ultralytics", [one])["labels/a/x.txt"] == written("yolo", [one])["a/x.txt"]


@pytest.mark.parametrize(
    ("form", "names", "words"),
    [
        ("fiftyone", ("A.jpg", "a.jpg"), "a pair of pictures would share a copy: A.jpg and a.jpg; rename one of each"),
        ("ultralytics", ("a.jpg", "a.png"), "share a label file: a.jpg and a.png"),
        ("ultralytics", ("a.gif", "b.jpg", "c.PPM", "d"), r"passes over .* \.jp2: a\.gif, c\.PPM, d; convert them"),
    ],
)
def test_pictures_that_a_format_cannot_take(form, names, words):
    with pytest.raises(UserError, match=words):
        FORMATS[form].names(pictures(*names))


def test_names_of_files_with_pictures():
    given_names = pictures("x/a.jpg", "b.JPEG")
    assert FORMATS["ultralytics"].names(given_names) == [
        *("data.yaml", "labels/x/a.txt", "labels/b.txt", "images/x/a.jpg", "images/b.JPEG")
    ]
    assert FORMATS["fiftyone"].names(pictures("a.jpg", "a.gif")) == ["labels.json", "data/a.jpg", "data/a.gif"]


@given(st.tuples(corner, corner, corner, corner), st.integers(1, 5000), st.integers(1, 5000))
def test_round_trips(corners, width, height):
    x0, x1 = (value * width for value in sorted(corners[:2]))
    y0, y1 = (value * height for value in sorted(corners[2:]))
    box = x0, y0, x1, y1
    one = AnnotatedImage("p.jpg", "p.jpg", "p", width, height, (Detection(2, "auk", 0.5, box),))
    line = written("yolo", [one])["p.txt"]
    coco = json.loads(written("coco", [one])["annotations.json"])["annotations"]
    root = ET.fromstring(written("voc", [one])["p.xml"])
    if not (x1 > x0 and y1 > y0):
        assert line == "" and not coco and root.find("object") is None
        return
    label, *values = line.split()
    cx, cy, w, h = map(float, values)
    back = [(cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height]
    assert label == "2" and back == pytest.approx(box, abs=1e-6 * max(width, height))
    x, y, w, h = coco[0]["bbox"]
    assert (x, y, x + w, y + h) == pytest.approx(box, abs=2e-3)
    xmin, ymin, xmax, ymax = (int(root.findtext(f"object/bndbox/{tag}")) for tag in ("xmin", "ymin", "xmax", "ymax"))
    assert 1 <= xmin <= xmax <= width and 1 <= ymin <= ymax <= height
    # A box thinner than a pixel is given a whole one, which moves an end by up to a pixel and a half.
    assert (xmin - 1, xmax) == pytest.approx((x0, x1), abs=1 if x1 - x0 >= 1 else 1.5)
    assert (ymin - 1, ymax) == pytest.approx((y0, y1), abs=1 if y1 - y0 >= 1 else 1.5)
