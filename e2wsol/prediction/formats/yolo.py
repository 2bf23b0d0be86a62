"""YOLO's label files, alone and in the folder that Ultralytics trains on."""

import json
import re

from e2wsol.prediction.formats.base import AnnotatedImage, Common, Detection, Predictions

# What Ultralytics takes for pictures; it passes over others without a word.
ULTRALYTICS_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".jp2")
_NOT_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # that json.dumps leaves as they are


def yolo_files(predictions: Predictions, common: Common) -> dict[str, str]:
    """classes.txt and one text a picture: label, then centre x, centre y, width, height as fractions."""
    texts = {"classes.txt": "".join(" ".join(name.split()) + "\n" for name in common.class_names)}
    return texts | {f"{prediction.label}.txt": _lines(prediction) for prediction in predictions}


def ultralytics_files(predictions: Predictions, common: Common) -> dict[str, str]:
    """data.yaml and the same texts in labels/; the pictures' copies lie in images/.

    Training and validation name the same folder: which pictures to hold back is for the user to say.
    """
    names = (f"  {label}: {_yaml_text(name)}\n" for label, name in enumerate(common.class_names))
    texts = {"data.yaml": f"train: images\nval: images\nnames:\n{''.join(names)}"}
    return texts | {f"labels/{prediction.label}.txt": _lines(prediction) for prediction in predictions}


def _lines(prediction: AnnotatedImage) -> str:
    return "".join(_line(detection, prediction) for detection in prediction.boxes)


def _line(detection: Detection, prediction: AnnotatedImage) -> str:
    x0, y0, x1, y1 = detection.box
    width, height = prediction.width, prediction.height
    values = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height
    return " ".join([str(detection.label), *(f"{value:.6f}" for value in values)]) + "\n"


def _yaml_text(text: str) -> str:
    """A quoted text of YAML, which reads those of JSON."""
    return _NOT_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))
