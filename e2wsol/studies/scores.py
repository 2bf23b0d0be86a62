"""The scores of a study: what is read from one evaluation, for the tables and picture by picture."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from e2wsol import files, reading
from e2wsol.errors import UserError
from e2wsol.evaluation import outcomes
from e2wsol.localization import bootstrap
from e2wsol.studies import paired
from e2wsol.visualize.results import find_score


@dataclasses.dataclass(frozen=True)
class EvaluatedCell:
    """One evaluation.

    Attributes:
      result: what result.json holds.
      outcomes: Outcomes.
    """

    result: dict
    outcomes: outcomes.Outcomes

    def entry(self, metric: str, iou: float, kind: str, localizer: str | None = None) -> dict[str, Any] | None:
        """The score in result.json, by default that of the method; None where it has none."""
        return find_score(self.result, localizer or self.result["method"], metric, iou, kind)

    def column(self, entry: Mapping[str, Any]) -> int | None:
        """The place of a score of result.json in the outcomes' IoU thresholds.

        None where it is not the mean of the outcomes: it averages over classes, leaves pictures out or has a threshold
        of its own, as some protocols want.
        """
        column = int(np.flatnonzero(self.outcomes.iou_thresholds == entry["iou"])[0])
        plain = entry["average"] == "pictures" and not entry["left_out"]
        return column if plain and entry["threshold"] == self.outcomes.thresholds[column] else None


@dataclasses.dataclass(frozen=True)
class ScoreColumn:
    """A column of the study's table.

    Attributes:
      key: its name in files.
      title: its head.
      threshold: "validation" or "best" where a box's threshold is chosen, else None.
      value: (EvaluatedCell, localizer or None for the method) -> number in [0, 1], or None where there is none.
      draws: rows, each a list of its seeds' EvaluatedCell -> (rows, draws) of the seeds' mean over drawn pictures, the
        same pictures for every row; None, as its result too, where it cannot be had.
    """

    key: str
    title: str
    threshold: str | None
    value: Callable
    draws: Callable | None


def _localization(metric, iou, kind):
    """Value and draws of a localization score."""
    within = {"GT-known Loc": np.inf, "Top-1 Loc": 1, "Top-5 Loc": 5}[metric]

    def value(scored, localizer=None):
        entry = scored.entry(metric, iou, kind, localizer)
        return entry and entry["value"]

    def draws(rows):
        hits = [[_hits(scored, scored.entry(metric, iou, kind), within) for scored in seeds] for seeds in rows]
        if any(each is None for seeds in hits for each in seeds):
            return None
        return paired.mean_draws([np.mean(seeds, axis=0) for seeds in hits])

    return value, draws if kind == "validation" else None


def _hits(scored, entry, within):
    """(pictures with a true box,) bool: hits whose class is among the first `within` predicted ones; or None."""
    found, column = scored.outcomes, scored.column(entry)
    if column is None:
        return None
    hits = found.hits[:, column]
    if np.isfinite(within):
        hits = hits & (found.ranks != outcomes.NOT_PREDICTED) & (found.ranks < within)
    return hits[~np.isnan(found.ious).any(axis=1)]


def _pxap(scored, localizer=None):
    return (scored.result["pxap"] or {}).get(localizer or scored.result["method"])


def _pxap_draws(rows):
    histograms = [np.stack([scored.outcomes.pixel_histograms for scored in seeds]) for seeds in rows]
    return np.stack([paired.pxap_draws(each) for each in histograms])


def _top1_class(scored, localizer=None):
    """The network's own accuracy: none where classes came from another's file."""
    if localizer or scored.result["predictions"]:
        return None
    return scored.result["classification"]["top1"]


def _top1_class_draws(rows):
    return paired.mean_draws([np.mean([scored.outcomes.ranks == 0 for scored in seeds], axis=0) for seeds in rows])


SCORES = (
    ScoreColumn(
        "gt_known_0.5", "GT-known Loc, IoU 0.5", "validation", *_localization("GT-known Loc", 0.5, "validation")
    ),
    ScoreColumn("gt_known_0.5_best", "the same, best threshold", "best", *_localization("GT-known Loc", 0.5, "best")),
    ScoreColumn(
        "gt_known_0.7", "GT-known Loc, IoU 0.7", "validation", *_localization("GT-known Loc", 0.7, "validation")
    ),
    ScoreColumn("gt_known_0.7_best", "the same, best threshold", "best", *_localization("GT-known Loc", 0.7, "best")),
    ScoreColumn("pxap", "PxAP", None, _pxap, _pxap_draws),
    ScoreColumn("top1_loc_0.5", "Top-1 Loc, IoU 0.5", "validation", *_localization("Top-1 Loc", 0.5, "validation")),
    ScoreColumn("top5_loc_0.5", "Top-5 Loc, IoU 0.5", "validation", *_localization("Top-5 Loc", 0.5, "validation")),
    ScoreColumn("top1_class", "Top-1 classification", None, _top1_class, _top1_class_draws),
)
BY_KEY = {score.key: score for score in SCORES}


def load(folder: pathlib.Path) -> EvaluatedCell:
    """The EvaluatedCell of a folder with result.json and outcomes.npz.

    Raises:
      UserError: one of them is missing or damaged.
    """
    file = folder / "result.json"
    if not file.exists():
        raise UserError(f"{file}: does not exist; python -m e2wsol.evaluate writes it")
    with reading.guarded(file, "no result of python -m e2wsol.evaluate", "; evaluate the run again"):
        result = json.loads(files.read_text(file))
    return EvaluatedCell(result, outcomes.load(folder / outcomes.FILE_NAME))


def describe_bootstrap() -> dict[str, Any]:
    """How intervals and p-values are made, ready for JSON."""
    return {
        "method": "percentile bootstrap over pictures, the same drawn pictures for all rows",
        "level": bootstrap.LEVEL,
        "draws": paired.DRAWS,
        "pxap_draws": paired.PIXEL_DRAWS,
        "seed": paired.SEED,
    }
