"""PASCAL VOC's XML files."""

import pathlib
import xml.etree.ElementTree as ET

from e2wsol.prediction.formats.base import Common, Predictions, add_elements, to_xml


def voc_files(predictions: Predictions, common: Common) -> dict[str, str]:
    """One PASCAL VOC XML a picture; its pixels are whole, count from 1 and include both ends."""
    return {f"{prediction.label}.xml": _voc_xml(prediction) for prediction in predictions}


def _voc_xml(prediction):
    name = pathlib.PurePosixPath(prediction.name)
    root = ET.Element("annotation")
    add_elements(root, folder=name.parent.name, filename=name.name, path=prediction.path)
    size = ET.SubElement(root, "size")
    add_elements(size, width=prediction.width, height=prediction.height, depth=3)
    add_elements(root, segmented=0)
    for detection in prediction.boxes:
        x0, y0, x1, y1 = (round(value) for value in detection.box)
        x0, y0 = min(x0, prediction.width - 1), min(y0, prediction.height - 1)
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        item = ET.SubElement(root, "object")
        add_elements(item, name=detection.class_name, pose="Unspecified", truncated=0, difficult=0)
        add_elements(ET.SubElement(item, "bndbox"), xmin=x0 + 1, ymin=y0 + 1, xmax=x1, ymax=y1)
    return to_xml(root)
