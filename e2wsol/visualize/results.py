"""Reading what `python -m e2wsol.evaluate` left: result.json and samples.npz of a run folder."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from e2wsol import files, reading
from e2wsol.data import dataset
from e2wsol.errors import ArgumentError, UserError
from e2wsol.localization.baselines import CENTRE_BOX
from e2wsol.visualize.result_schema import RESULT, mismatch

# What result.json and study.json hold, and the arrays of samples.npz by name.
Result = dict[str, Any]
Study = dict[str, Any]
Samples = dict[str, np.ndarray]

THRESHOLD_KINDS = ("protocol", "validation", "best")
_SAMPLE_KEYS = (
    "ids",
    "images",
    "maps",
    "predicted_boxes",
    "true_boxes",
    "ious",
    "labels",
    "predictions",
    "hits",
    "random",
)


@dataclasses.dataclass(frozen=True)
class ScoreRow:
    """One localizer's scores of one metric: `scores` maps a threshold kind to its result.json entry."""

    metric: str
    iou: float
    localizer: str
    scores: dict


def result_path(path: str | pathlib.Path, argument: str) -> pathlib.Path:
    """The result.json that a value of `argument` means: a file, or a run folder that holds one.

    Raises:
      UserError: there is none.
    """
    if not path:
        raise ArgumentError(
            argument, None, "is missing: give a run folder, or the result.json that e2wsol.evaluate wrote"
        )
    path = pathlib.Path(path)
    file = path / "result.json" if path.is_dir() else path
    if not file.is_file():
        raise ArgumentError(argument, path, f"{file} does not exist; python -m e2wsol.evaluate writes it")
    return file


def load_result(file: str | pathlib.Path) -> Result:
    """The result as a dict, checked for the parts that tables and pages read.

    Raises:
      UserError: the file is no JSON, or a part is missing or of another kind.
    """
    with reading.guarded(file, "no JSON", "; evaluate the run again"):
        result = json.loads(files.read_text(file))
    problem = _problem(result)
    if problem:
        raise UserError(f"{file}: {problem}; expected a result of python -m e2wsol.evaluate")
    return result


def _problem(result):
    problem = mismatch(result, RESULT)
    if problem:
        return problem
    if not result["scores"]:
        return "scores is empty"
    count = len(result["curves"].get("thresholds") or ())
    for name, curves in result["curves"].items():
        if name != "thresholds" and any(len(curve) != count for curve in curves.values()):
            return f"curves.{name} does not have a value for each of {count} thresholds"
    return _of_sizes(result["sizes"]) if result.get("sizes") else None


def _of_sizes(sizes):
    names = sizes["names"]
    if len(sizes["bounds"]) != len(names) - 1:
        return f"sizes has {len(sizes['bounds'])} bounds for {len(names)} names"
    strange = [score["size"] for score in sizes["scores"] if score["size"] not in names]
    return f"sizes has scores of {strange[0]!r}, which is none of {', '.join(names)}" if strange else None


def find_score(result: Result, localizer: str, metric: str, iou: float, kind: str) -> dict[str, Any] | None:
    """The entry of one score in result.json; None where it has none."""
    wanted = localizer, metric, iou, kind
    for entry in result["scores"]:
        if (entry["localizer"], entry["metric"], entry["iou"], entry["threshold_from"]) == wanted:
            return entry
    return None


def score_rows(result: Result) -> list[ScoreRow]:
    """The scores grouped as ScoreRow, in the file's order of metrics and, within one, of localizers."""
    groups: dict[tuple[str, float], dict[str, dict[str, Any]]] = {}
    for score in result["scores"]:
        key = score["metric"], float(score["iou"]), score["localizer"]
        groups.setdefault(key[:2], {}).setdefault(key[2], {})[score["threshold_from"]] = score
    return [
        ScoreRow(metric, iou, localizer, scores)
        for (metric, iou), localizers in groups.items()
        for localizer, scores in localizers.items()
    ]


def averaging(result: Result) -> str:
    """How the scores are averaged where it is not over all pictures alike, else an empty text."""
    return "mean over classes" if result.get("average") == "classes" else ""


def cropping(result: Result) -> str:
    """Where predicted classes came from: a file, or how many views; empty where it is one, as the protocol has it."""
    if result.get("predictions"):
        return result["predictions"]
    crops, usual = result.get("crops", 1), result.get("protocol_crops", 1)
    if crops == usual == 1:
        return ""
    text = "mean of ten crops" if crops == 10 else "one view"
    if crops == usual:
        return text
    return f"{text}, where protocol {result['protocol']} takes {'ten crops' if usual == 10 else 'one'}"


def value_of(score: Mapping[str, Any] | None) -> float | None:
    """The score's value in [0, 1]; None where there is no score or it counted no picture (None, NaN)."""
    value = score["value"] if score else None
    return None if value is None or math.isnan(value) else value


def interval_of(score: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """The ends (low, high) of the score's confidence interval in [0, 1]; None where it has none."""
    interval = score.get("interval") if score else None
    return tuple(interval) if interval else None


def size_rows(result: Result, iou: float = 0.5) -> list[tuple[str, dict[str, Any]]]:
    """The method's GT-known Loc by object size at one IoU: (name of the size with its bounds, {kind: entry})."""
    sizes = result.get("sizes")
    if not sizes:
        return []
    rows: dict[str, dict[str, Any]] = {name: {} for name in sizes["names"]}
    for score in sizes["scores"]:
        if score["localizer"] == result["method"] and score["iou"] == iou:
            rows[score["size"]][score["threshold_from"]] = score
    return [(text, rows[name]) for name, text in zip(rows, _size_names(sizes)) if rows[name]]


def _size_names(sizes):
    """Each group's name with the share of the frame that its objects have."""
    ends = [f"{bound:.0%}" for bound in sizes["bounds"]]
    spans = [f"below {ends[0]}", *map("{} to {}".format, ends, ends[1:]), f"{ends[-1]} and more"]
    return [f"{name} ({span} of the frame)" for name, span in zip(sizes["names"], spans)]


def leaving_out(result: Result) -> str:
    """Says that pictures without a box leave the denominator; empty where they count as misses."""
    if not result.get("skip_empty"):
        return ""
    return "pictures without a pixel above the threshold are left out (--skip_empty)"


def skipping(result: Result) -> str:
    """Says how many records could not be read and are not scored, by split; empty where all could."""
    found = result.get("skipped_records") or {}
    return ", ".join(f"{count} of split {split} left out as unreadable" for split, count in found.items())


def threshold_of(score: Mapping[str, Any]) -> float | None:
    """The threshold that the score was taken at; None for the centre box, which has none."""
    return None if score["localizer"] == CENTRE_BOX else score.get("threshold")


def load_samples(file: str | pathlib.Path) -> Samples | None:
    """The arrays of samples.npz as a dict, or None when the file does not exist.

    Raises:
      UserError: the file is no npz, an array is missing, or the arrays' lengths differ.
    """
    file = pathlib.Path(file)
    if not file.is_file():
        return None
    with reading.guarded(file, problem := "not the samples of python -m e2wsol.evaluate"):
        arrays = reading.arrays(file, problem)
        samples = {key: arrays[key] for key in _SAMPLE_KEYS}
        lengths = {len(array) for array in samples.values()}
    if len(lengths) != 1:
        raise UserError(f"{file}: arrays of different lengths {sorted(lengths)}; evaluate the run again")
    return samples


def class_names(folder: str | pathlib.Path) -> list[str]:
    """Class names in label order from the dataset.json in `folder`; empty when there is none.

    Raises:
      UserError: the file is no dataset.json or has no list of classes.
    """
    file = pathlib.Path(folder) / dataset.FILE_NAME
    if not file.is_file():
        return []
    return dataset.read_document(file)["classes"]
