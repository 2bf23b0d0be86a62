"""Predictions in the file formats that annotation tools read.

Every format maps predictions to {file name below the output folder: text} and touches no disk. A box
without area, which a map without any contrast gives, stays in the JSON format and is left out of the
others.
"""

import dataclasses
import json
import pathlib
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from typing import Any

from e2wsol.errors import UserError
from e2wsol.prediction.inputs import PictureFile

FORMAT = "e2wsol-predictions/1"
_NAMED = 5  # groups of pictures that a message names
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclasses.dataclass(frozen=True)
class Detection:
    """One class found in a picture.

    Attributes:
      label: class index from 0.
      class_name: the class's name, or its index as text.
      score: softmax probability of the class.
      box: x0, y0, x1, y1 in pixels of the picture, right and bottom edges exclusive.
      outline: the object's outline as polygons of (x, y) in pixels of the picture; None where none is known.
      quality: in [0, 1], an estimate of the box's IoU with the object; None where there is none.
    """

    label: int
    class_name: str
    score: float
    box: tuple
    outline: Sequence | None = None
    quality: float | None = None

    @property
    def has_area(self) -> bool:
        """Whether it is more than a line or a point."""
        x0, y0, x1, y1 = self.box
        return x1 > x0 and y1 > y0


@dataclasses.dataclass(frozen=True)
class AnnotatedImage:
    """What was found in one picture, the most probable class first.

    Attributes:
      path: the picture's file.
      name, label: see `inputs.PictureFile`.
      width, height: pixels of the upright picture.
      detections: tuple of Detection, not empty.
      flat_map: whether the first class's map has no contrast, so that its box says nothing.
    """

    path: str
    name: str
    label: str
    width: int
    height: int
    detections: tuple
    flat_map: bool = False

    @property
    def boxes(self) -> tuple[Detection, ...]:
        """The detections that annotation tools get: those with a box that says something."""
        return () if self.flat_map else tuple(detection for detection in self.detections if detection.has_area)


Predictions = Sequence[AnnotatedImage]


def json_files(predictions: Predictions, class_names: Sequence[str], about: dict[str, Any]) -> dict[str, str]:
    """predictions.json: for each picture its class, score and box, and all classes when more were asked for."""
    pictures = []
    for prediction in predictions:
        first, *others = (_json_detection(detection) for detection in prediction.detections)
        size = {"width": prediction.width, "height": prediction.height}
        entry = {"path": prediction.path, "name": prediction.name, **size, **first}
        entry |= {"top_k": [first, *others]} if others else {}
        pictures.append(entry | ({"flat_map": True} if prediction.flat_map else {}))
    document = {"format": FORMAT, **about, "classes": list(class_names), "pictures": pictures}
    return {"predictions.json": _json(document)}


def _json_detection(detection):
    return {
        "class": detection.label,
        "class_name": detection.class_name,
        "score": round(detection.score, 6),
        "box": _rounded(detection.box),
        **({} if detection.quality is None else {"quality": round(detection.quality, 4)}),
    }


def coco_files(predictions: Predictions, class_names: Sequence[str], about: dict[str, Any]) -> dict[str, str]:
    """annotations.json of the COCO detection format; ids count from 1, bbox is x, y, width, height.

    The segmentation is the box's outline, for tools that want one.
    """
    pictures: list[dict] = []
    annotations: list[dict] = []
    for image_id, prediction in enumerate(predictions, start=1):
        size = {"width": prediction.width, "height": prediction.height}
        pictures.append({"id": image_id, "file_name": prediction.name, **size})
        for detection in prediction.boxes:
            annotations.append(_coco_annotation(len(annotations) + 1, image_id, detection))
    document = {
        "info": {"description": "boxes predicted by e2wsol", **about},
        "images": pictures,
        "categories": [{"id": label, "name": name} for label, name in enumerate(class_names, start=1)],
        "annotations": annotations,
    }
    return {"annotations.json": _json(document)}


def _coco_annotation(annotation_id, image_id, detection):
    x0, y0, x1, y1 = detection.box
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": detection.label + 1,
        "bbox": _rounded((x0, y0, x1 - x0, y1 - y0)),
        "area": round((x1 - x0) * (y1 - y0), 3),
        "iscrowd": 0,
        "segmentation": [_rounded((x0, y0, x1, y0, x1, y1, x0, y1))],
        "score": round(detection.score, 6),
    }


def voc_files(predictions: Predictions, class_names: Sequence[str], about: dict[str, Any]) -> dict[str, str]:
    """One PASCAL VOC XML a picture; its pixels are whole, count from 1 and include both ends."""
    return {f"{prediction.label}.xml": _voc_xml(prediction) for prediction in predictions}


def _voc_xml(prediction):
    name = pathlib.PurePosixPath(prediction.name)
    root = ET.Element("annotation")
    _elements(root, folder=name.parent.name, filename=name.name, path=prediction.path)
    size = ET.SubElement(root, "size")
    _elements(size, width=prediction.width, height=prediction.height, depth=3)
    _elements(root, segmented=0)
    for detection in prediction.boxes:
        x0, y0, x1, y1 = (round(value) for value in detection.box)
        x0, y0 = min(x0, prediction.width - 1), min(y0, prediction.height - 1)
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        item = ET.SubElement(root, "object")
        _elements(item, name=detection.class_name, pose="Unspecified", truncated=0, difficult=0)
        _elements(ET.SubElement(item, "bndbox"), xmin=x0 + 1, ymin=y0 + 1, xmax=x1, ymax=y1)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _elements(parent, **texts):
    for tag, text in texts.items():
        ET.SubElement(parent, tag).text = _NOT_XML.sub("\ufffd", str(text))


def yolo_files(predictions: Predictions, class_names: Sequence[str], about: dict[str, Any]) -> dict[str, str]:
    """classes.txt and one text a picture: label, then centre x, centre y, width, height as fractions."""
    texts = {"classes.txt": "".join(" ".join(name.split()) + "\n" for name in class_names)}
    for prediction in predictions:
        lines = [_yolo_line(d, prediction) for d in prediction.boxes]
        texts[f"{prediction.label}.txt"] = "".join(lines)
    return texts


def _yolo_line(detection, prediction):
    x0, y0, x1, y1 = detection.box
    width, height = prediction.width, prediction.height
    values = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height
    return " ".join([str(detection.label), *(f"{value:.6f}" for value in values)]) + "\n"


def _rounded(values):
    return [round(float(value), 3) for value in values]


def _json(document):
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


@dataclasses.dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
      files: makes the texts of predictions, of all at once or, where each picture has a file, of some.
      document: name of the file that is written once; empty where there is none.
      label_suffix: suffix of the file that each picture has; empty where they have none.
    """

    files: Callable[[Predictions, Sequence[str], dict[str, Any]], dict[str, str]]
    document: str = ""
    label_suffix: str = ""

    def names(self, pictures: Sequence[PictureFile]) -> list[str]:
        """The names of all files, below the output folder.

        Raises:
          UserError: several pictures would share a label file, which tools find by a picture's name without suffix.
        """
        documents = [self.document] if self.document else []
        if not self.label_suffix:
            return documents
        by_label: dict[str, list[PictureFile]] = {}
        for picture in pictures:
            by_label.setdefault(_folded(picture.label), []).append(picture)
        groups = [" and ".join(picture.name for picture in group) for group in by_label.values() if len(group) > 1]
        if groups:
            count = f"{len(groups)} pairs" if len(groups) > 1 else "a pair"
            shown = ", ".join(groups[:_NAMED]) + (", ..." if len(groups) > _NAMED else "")
            raise UserError(
                f"{count} of pictures would share a label file: {shown}; rename one of each, or predict them apart"
            )
        for picture in pictures:
            if _folded(f"{picture.label}{self.label_suffix}") == self.document:
                raise UserError(
                    f"{picture.path}: its label file would be {self.document}, the list of classes; rename it"
                )
        return documents + [f"{picture.label}{self.label_suffix}" for picture in pictures]


def _folded(name: str) -> str:
    """The name as file systems see it that know no capitals, or write accents another way."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


FORMATS = {
    "json": Format(json_files, document="predictions.json"),
    "coco": Format(coco_files, document="annotations.json"),
    "voc": Format(voc_files, label_suffix=".xml"),
    "yolo": Format(yolo_files, document="classes.txt", label_suffix=".txt"),
}
