"""Reads what predict wrote with a tool's own reader; run by test_annotation_tools.py in the tool's environment.

python read_formats.py READER FOLDER prints {"version": of the tool, "pictures": {name: [width, height, boxes]}}, a box
being [class name, x0, y0, x1, y1 in pixels, score or null]. Nothing here imports e2wsol.
"""

import importlib.abc
import importlib.machinery
import importlib.metadata
import json
import pathlib
import sys
import types
from unittest import mock


def pycocotools(folder):
    """annotations.json by COCO, the box and the area of the mask that it draws included."""
    from pycocotools import mask
    from pycocotools.coco import COCO

    coco = COCO(str(folder / "annotations.json"))
    pictures = {}
    for image in coco.loadImgs(coco.getImgIds()):
        boxes = []
        for each in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
            x, y, width, height = each["bbox"]
            around = mask.toBbox(coco.annToRLE(each))
            assert max(abs(around - each["bbox"])) <= 1, (around, each)
            boxes.append([coco.loadCats(each["category_id"])[0]["name"], x, y, x + width, y + height, each["score"]])
        pictures[image["file_name"]] = [image["width"], image["height"], boxes]
    results = coco.loadRes([{**each, "id": 0} for each in coco.dataset["annotations"]])
    assert len(results.anns) == len(coco.anns)
    return pictures


class _Torch(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands for PyTorch, gigabytes that ultralytics imports and does not use to read a data set."""

    def find_spec(self, name, path=None, target=None):
        known = name.partition(".")[0] in ("torch", "torchvision")
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if known else None

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__version__, module.__path__ = "2.9.0", []
        module.__getattr__ = _attribute
        return module

    def exec_module(self, module):
        pass


class _Anything(type):
    """Classes that have every attribute: more of them."""

    def __getattr__(cls, name):
        return _attribute(name)


def _attribute(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (Warning,), {}) if name.endswith("Warning") else _Anything(name, (mock.MagicMock,), {})


def ultralytics(folder):
    """data.yaml by check_det_dataset, pictures and labels by the check that a training starts with."""
    sys.meta_path.insert(0, _Torch())
    from ultralytics.data import utils

    data = utils.check_det_dataset(str(folder / "data.yaml"), autodownload=False)
    assert data["train"] == data["val"] and data["nc"] == len(data["names"])
    root = pathlib.Path(data["train"])
    files = [str(path) for path in sorted(root.rglob("*")) if path.suffix[1:].lower() in utils.IMG_FORMATS]
    labels = utils.img2label_paths(files)
    pictures = {}
    for file, label in zip(files, labels, strict=True):
        checked = utils.verify_image_label((file, label, "", False, len(data["names"]), 0, 0, False))
        _, rows, (height, width), _, _, missing, _, _, corrupt, message = checked
        assert not missing and not corrupt, message
        boxes = []
        for number, x, y, w, h in rows.tolist():
            edges = (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
            boxes.append([data["names"][int(number)], *edges, None])
        pictures[pathlib.Path(file).relative_to(root).as_posix()] = [width, height, boxes]
    return pictures


def datumaro(format_name):
    """A reader by one of Datumaro's importers."""

    def read(folder):
        from datumaro import AnnotationType, Dataset

        data = Dataset.import_from(str(folder), format_name)
        names = [each.name for each in data.categories()[AnnotationType.label].items]
        pictures = {}
        for item in data:
            boxes = []
            for each in item.annotations:
                if each.type == AnnotationType.bbox:
                    x, y, width, height = each.get_bbox()
                    boxes.append([names[each.label], x, y, x + width, y + height, None])
            pictures[item.id] = [*(item.media.size or (0, 0))[::-1], boxes] if item.media else [0, 0, boxes]
        return pictures

    return read


def label_studio_sdk(folder):
    """Tasks by the check of the labelling configuration beside them."""
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface((folder / "labelstudio.xml").read_text(encoding="utf-8"))
    interface.validate()
    pictures = {}
    for task in json.loads((folder / "labelstudio.json").read_text(encoding="utf-8")):
        assert interface.validate_task({"data": task["data"]})
        boxes, size = [], [0, 0]
        (found,) = task["predictions"]
        assert not interface.validate_prediction(found, return_errors=True)
        for each in found["result"]:
            size = [each["original_width"], each["original_height"]]
            value, (width, height) = each["value"], size
            x0, y0 = value["x"] / 100 * width, value["y"] / 100 * height
            x1, y1 = x0 + value["width"] / 100 * width, y0 + value["height"] / 100 * height
            boxes.append([value["rectanglelabels"][0], x0, y0, x1, y1, each["score"]])
        pictures[task["data"]["image"]] = [*size, boxes]
    return pictures


def fiftyone(folder):
    """The importer of COCODetectionDataset; a data set of its own would need MongoDB."""
    from fiftyone.utils.coco import COCODetectionDatasetImporter

    pictures = {}
    with COCODetectionDatasetImporter(dataset_dir=str(folder), label_types=["detections"]) as importer:
        for path, metadata, found in importer:
            width, height = metadata.width, metadata.height
            boxes = []
            for each in found.detections if found else ():
                x, y, w, h = each.bounding_box
                boxes.append([each.label, x * width, y * height, (x + w) * width, (y + h) * height, each.confidence])
            assert pathlib.Path(path).is_file()
            pictures[pathlib.Path(path).relative_to(folder / "data").as_posix()] = [width, height, boxes]
    return pictures


READERS = {
    "pycocotools": pycocotools,
    "ultralytics": ultralytics,
    "cvat by datumaro": datumaro("cvat"),
    "voc by datumaro": datumaro("voc_detection"),
    "yolo by datumaro": datumaro("yolo"),
    "label-studio-sdk": label_studio_sdk,
    "fiftyone": fiftyone,
}

if __name__ == "__main__":
    reader, where = sys.argv[1:]
    read = READERS[reader](pathlib.Path(where))
    print(json.dumps({"version": importlib.metadata.version(reader.rpartition(" ")[2]), "pictures": read}))
