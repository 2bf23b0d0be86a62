"""Localizers that never look at the image; every score belongs beside theirs.

Both are scored by LocalizationScorer with the rules, thresholds and images of the method.
"""

import dataclasses
from typing import Any

import numpy as np

from e2wsol.localization.frame import Frame, boxes_in_frame
from e2wsol.localization.metrics import ImageScore, LocalizationScorer, PredictedBoxes
from e2wsol.localization.protocols import BoxProtocol
from e2wsol.localization.score_map import to_score_map

CENTRE_BOX = "centre box"
CENTRE_GAUSSIAN = "centre Gaussian"


def centre_box(image_size: tuple[float, float], sides: float = 0.7) -> np.ndarray:
    """(1, 4) float64 box in the centre of a (width, height) picture, with `sides` of its sides."""
    size = np.asarray(image_size, np.float64)
    return np.concatenate([size * (1 - sides) / 2, size * (1 + sides) / 2])[None]


def centre_gaussian(size: int, deviation: float = 0.25) -> np.ndarray:
    """(size, size) float64 isotropic Gaussian about the centre, `deviation` as a share of the side."""
    distance = (np.arange(size) + 0.5) / size - 0.5
    profile = np.exp(-((distance / deviation) ** 2) / 2)
    return np.outer(profile, profile)


class Baselines:
    """Scores the centre box and the centre Gaussian on the pictures that it is given.

    Attributes:
      scorers: {CENTRE_BOX: LocalizationScorer, CENTRE_GAUSSIAN: LocalizationScorer}.
    """

    def __init__(self, protocol: BoxProtocol, frame: Frame, **options: Any) -> None:
        """Takes the arguments of LocalizationScorer."""
        self.scorers = {name: LocalizationScorer(protocol, frame, **options) for name in (CENTRE_BOX, CENTRE_GAUSSIAN)}
        self._gaussian = self._locate_gaussian()

    def update(self, **facts: Any) -> None:
        """Scores one picture; arguments as in LocalizationScorer.update, without the map."""
        self.update_scores(self.score(**facts))

    def score(self, **facts: Any) -> dict[str, ImageScore]:
        """{name: ImageScore} of one picture, not yet counted."""
        predictions = {CENTRE_BOX: self._box(facts["image_size"]), CENTRE_GAUSSIAN: self._gaussian}
        return {name: self.scorers[name].score_boxes(prediction, **facts) for name, prediction in predictions.items()}

    def update_scores(self, outcomes: dict[str, ImageScore]) -> None:
        """Counts what `score` returned."""
        for name, outcome in outcomes.items():
            self.scorers[name].update_scores(outcome)

    def merge(self, other: "Baselines") -> None:
        """Adds the counts of other baselines, made with the same arguments."""
        for name, scorer in self.scorers.items():
            scorer.merge(other.scorers[name])

    def _locate_gaussian(self) -> PredictedBoxes:
        scorer = self.scorers[CENTRE_GAUSSIAN]
        # The Gaussian is a map of scores, whatever a method's own maps hold under this protocol.
        stretched = dataclasses.replace(scorer.protocol, normalization="min_max")
        found = scorer.boxes_of_score_map(
            to_score_map(centre_gaussian(scorer.frame.size), scorer.frame.size, stretched)
        )
        # Every level leaves one disc, so its box is the only contour's: no need to look again a picture.
        return dataclasses.replace(found, levels=None)

    def _box(self, image_size: tuple[float, float]) -> PredictedBoxes:
        scorer = self.scorers[CENTRE_BOX]
        box = boxes_in_frame(centre_box(image_size), image_size, scorer.frame, scorer.protocol)
        count = len(scorer.thresholds)
        return PredictedBoxes(boxes=np.repeat(box, count, axis=0), score_map=None, empty=np.zeros(count, bool))
