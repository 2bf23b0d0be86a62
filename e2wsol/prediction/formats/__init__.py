"""Predictions in the file formats that annotation tools read.

Every format maps predictions to {file name below the output folder: text} and touches no disk. A box without area,
which a map without any contrast gives, stays in the JSON format and is left out of the others. A score is the
probability of the class and says nothing of the box.
"""

from e2wsol.prediction.formats.base import AnnotatedImage, Common, Detection, Format
from e2wsol.prediction.formats.coco import coco_files, fiftyone_files
from e2wsol.prediction.formats.cvat import cvat_files
from e2wsol.prediction.formats.json_document import json_files
from e2wsol.prediction.formats.label_studio import label_studio_files
from e2wsol.prediction.formats.voc import voc_files
from e2wsol.prediction.formats.yolo import ULTRALYTICS_SUFFIXES, ultralytics_files, yolo_files

__all__ = ["FORMATS", "AnnotatedImage", "Common", "Detection", "Format"]

FORMATS = {
    "json": Format(json_files, ("predictions.json",)),
    "coco": Format(coco_files, ("annotations.json",)),
    "voc": Format(voc_files, label_suffix=".xml"),
    "yolo": Format(yolo_files, ("classes.txt",), label_suffix=".txt"),
    "labelstudio": Format(label_studio_files, ("labelstudio.json", "labelstudio.xml")),
    "cvat": Format(cvat_files, ("annotations.xml",)),
    "ultralytics": Format(
        ultralytics_files,
        ("data.yaml",),
        label_suffix=".txt",
        label_folder="labels/",
        picture_folder="images/",
        picture_suffixes=ULTRALYTICS_SUFFIXES,
    ),
    "fiftyone": Format(fiftyone_files, ("labels.json",), picture_folder="data/"),
}
