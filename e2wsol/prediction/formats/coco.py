"""COCO's detection format, and the folder of it that FiftyOne imports."""

from typing import Any

from e2wsol.prediction.formats.base import SCORE, Common, Detection, Polygon, Predictions, rounded, to_json


def coco_files(predictions: Predictions, common: Common) -> dict[str, str]:
    """annotations.json of the COCO detection format; ids count from 1, bbox is x, y, width, height.

    The segmentation is the object's outline where one is known, else the box's, for tools that want one; area is that
    of the segmentation.
    """
    return {"annotations.json": _document(predictions, common, [prediction.name for prediction in predictions])}


def fiftyone_files(predictions: Predictions, common: Common) -> dict[str, str]:
    """labels.json of FiftyOne's COCODetectionDataset; the pictures' copies lie in data/ beside it."""
    return {"labels.json": _document(predictions, common, [prediction.copy for prediction in predictions])}


def _document(predictions: Predictions, common: Common, names: list[str]) -> str:
    pictures: list[dict] = []
    annotations: list[dict] = []
    for image_id, (prediction, name) in enumerate(zip(predictions, names), start=1):
        size = {"width": prediction.width, "height": prediction.height}
        pictures.append({"id": image_id, "file_name": name, **size})
        for detection in prediction.boxes:
            annotations.append(_annotation(len(annotations) + 1, image_id, detection))
    document = {
        "info": {"description": "boxes predicted by e2wsol", "score": SCORE, **common.about},
        "images": pictures,
        "categories": [{"id": label, "name": name} for label, name in enumerate(common.class_names, start=1)],
        "annotations": annotations,
    }
    return to_json(document)


def _annotation(annotation_id: int, image_id: int, detection: Detection) -> dict[str, Any]:
    x0, y0, x1, y1 = detection.box
    outline = detection.outline or [((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": detection.label + 1,
        "bbox": rounded((x0, y0, x1 - x0, y1 - y0)),
        "area": round(float(sum(map(_area, outline))), 3),
        "iscrowd": 0,
        "segmentation": [rounded(value for point in polygon for value in point) for polygon in outline],
        "score": round(detection.score, 6),
    }


def _area(polygon: Polygon) -> float:
    """Of a polygon, by the shoelace formula."""
    before = [*polygon[-1:], *polygon[:-1]]
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(before, polygon))) / 2
