"""This library's own format."""

from e2wsol.prediction.formats.base import Common, Predictions, rounded, to_json

FORMAT = "e2wsol-predictions/1"


def json_files(predictions: Predictions, common: Common) -> dict[str, str]:
    """predictions.json: for each picture its class, score and box, and all classes when more were asked for."""
    pictures = []
    for prediction in predictions:
        first, *others = (_json_detection(detection) for detection in prediction.detections)
        size = {"width": prediction.width, "height": prediction.height}
        entry = {"path": prediction.path, "name": prediction.name, **size, **first}
        entry |= {"top_k": [first, *others]} if others else {}
        pictures.append(entry | ({"flat_map": True} if prediction.flat_map else {}))
    document = {"format": FORMAT, **common.about, "classes": list(common.class_names), "pictures": pictures}
    return {"predictions.json": to_json(document)}


def _json_detection(detection):
    return {
        "class": detection.label,
        "class_name": detection.class_name,
        "score": round(detection.score, 6),
        "box": rounded(detection.box),
        **({} if detection.quality is None else {"quality": round(detection.quality, 4)}),
    }
