"""Scores of boxes that the images' colours moved, beside those of the protocol."""

import dataclasses
from typing import Any

import numpy as np

from e2wsol.localization import refine
from e2wsol.localization.metrics import LocalizationScorer, PredictedBoxes
from e2wsol.localization.score_map import to_score_map


class RefinedKeeper:
    """Scores the refined box of every image, as a keeper of `Evaluation.score`.

    It has no threshold of its own: the map's box is taken at one, and counts at all.

    Args:
      maps: which of an image's maps.
      mode: one of refine.MODES.
      threshold: of the map's box.

    Attributes:
      name: how results call the boxes.
      scorer: LocalizationScorer of them; None before the first image.
    """

    def __init__(self, maps: str, mode: str, threshold: float):
        self.name = f"{maps}, refined ({mode})"
        self.scorer: LocalizationScorer | None = None
        self._maps, self._mode, self._threshold = maps, mode, threshold

    def skip(self, pictures: int) -> None:
        """Leaves out images that another keeper is shown."""

    def merge(self, other: "RefinedKeeper") -> None:
        """Adds what another keeper was shown."""
        if self.scorer is None:
            self.scorer = other.scorer
        elif other.scorer is not None:
            self.scorer.merge(other.scorer)

    def update(self, image: Any, score: Any, scorer: Any) -> None:
        """Shows it one ScoredImage."""
        if self.scorer is None:
            self.scorer = LocalizationScorer(scorer.protocol, scorer.frame, thresholds=scorer.thresholds)
        rules = dataclasses.replace(scorer.protocol, default_threshold=self._threshold)
        size, count = scorer.frame.size, len(scorer.thresholds)
        score_map = to_score_map(image.maps.maps[self._maps].values, size, rules)
        found = refine.refine(image.image, score_map, rules, self._mode)
        box = np.round(found.box * size).astype(np.int32)
        tiled = PredictedBoxes(np.tile(box, (count, 1)), None, np.zeros(count, bool))
        # Contours beside the box, which some protocols look at too, are the map's alone.
        self.scorer.update_scores(self.scorer.score_boxes(tiled, **image.annotations))
