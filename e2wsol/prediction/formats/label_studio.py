"""Label Studio: tasks with predictions, and the labelling configuration that they belong to."""

import urllib.parse
import xml.etree.ElementTree as ET
from typing import Any

from e2wsol.prediction.formats.base import (
    SCORE,
    AnnotatedImage,
    Common,
    Detection,
    Predictions,
    to_json,
    to_xml,
    xml_text,
)

_BOX, _IMAGE = "label", "image"  # names of the configuration's controls
_NAMES = {"from_name": _BOX, "to_name": _IMAGE, "type": "rectanglelabels"}


def label_studio_files(predictions: Predictions, common: Common) -> dict[str, str]:
    """labelstudio.json, a task a picture, and labelstudio.xml, the labelling configuration of the project.

    Boxes are in per cent of the upright picture. A picture's address is `common.picture_url` and its name, quoted.
    """
    tasks = [_task(number, prediction, common) for number, prediction in enumerate(predictions, start=1)]
    return {"labelstudio.json": to_json(tasks), "labelstudio.xml": _configuration(common)}


def _task(number: int, prediction: AnnotatedImage, common: Common) -> dict[str, Any]:
    found = {
        "model_version": str(common.about.get("model") or "e2wsol"),
        "score": round(prediction.detections[0].score, 6),
        "result": [
            _result(f"{number}-{place}", detection, prediction)
            for place, detection in enumerate(prediction.boxes, start=1)
        ],
    }
    url = common.picture_url + urllib.parse.quote(prediction.name)
    return {"id": number, "data": {_IMAGE: url}, "predictions": [found]}


def _result(name: str, detection: Detection, prediction: AnnotatedImage) -> dict[str, Any]:
    x0, y0, x1, y1 = detection.box
    width, height = prediction.width, prediction.height
    per_cent = {"x": x0 / width, "y": y0 / height, "width": (x1 - x0) / width, "height": (y1 - y0) / height}
    return {
        "id": name,
        **_NAMES,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": round(detection.score, 6),
        "value": {
            **{side: round(100 * share, 6) for side, share in per_cent.items()},
            "rotation": 0,
            "rectanglelabels": [xml_text(detection.class_name)],
        },
    }


def _configuration(common: Common) -> str:
    view = ET.Element("View")
    view.append(ET.Comment(f" score: {SCORE} "))
    ET.SubElement(view, "Image", name=_IMAGE, value=f"${_IMAGE}")
    labels = ET.SubElement(view, "RectangleLabels", name=_BOX, toName=_IMAGE)
    for name in common.class_names:
        ET.SubElement(labels, "Label", value=xml_text(name))
    return to_xml(view)
