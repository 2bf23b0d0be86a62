"""Localizers that never look at the picture; every score belongs beside theirs.

Both are scored by LocalizationScorer with the rules, thresholds and pictures of the method.
"""

import numpy as np

from e2wsol.localization.ground_truth import boxes_in_frame
from e2wsol.localization.metrics import LocalizationScorer, Prediction

CENTRE_BOX = "centre box"
CENTRE_GAUSSIAN = "centre Gaussian"


def centre_box(image_size, sides=0.7):
    """(1, 4) float64 box in the centre of a (width, height) picture, with `sides` of its sides."""
    size = np.asarray(image_size, np.float64)
    return np.concatenate([size * (1 - sides) / 2, size * (1 + sides) / 2])[None]


def centre_gaussian(size, deviation=0.25):
    """(size, size) float64 isotropic Gaussian about the centre, `deviation` as a share of the side."""
    distance = (np.arange(size) + 0.5) / size - 0.5
    profile = np.exp(-((distance / deviation) ** 2) / 2)
    return np.outer(profile, profile)


class Baselines:
    """Scores the centre box and the centre Gaussian on the pictures that it is given.

    Attributes:
      scorers: {CENTRE_BOX: LocalizationScorer, CENTRE_GAUSSIAN: LocalizationScorer}.
    """

    def __init__(self, protocol, frame, **options):
        """Takes the arguments of LocalizationScorer."""
        self.scorers = {name: LocalizationScorer(protocol, frame, **options) for name in (CENTRE_BOX, CENTRE_GAUSSIAN)}
        self._gaussian = self.scorers[CENTRE_GAUSSIAN].locate(centre_gaussian(frame.size))

    def add(self, *, boxes, image_size, label, top5, mask=None):
        """Scores one picture; arguments as in LocalizationScorer.add."""
        facts = {"boxes": boxes, "image_size": image_size, "label": label, "top5": top5, "mask": mask}
        self.scorers[CENTRE_BOX].score(self._box(image_size), **facts)
        self.scorers[CENTRE_GAUSSIAN].score(self._gaussian, **facts)

    def merge(self, other):
        """Adds the counts of other baselines, made with the same arguments."""
        for name, scorer in self.scorers.items():
            scorer.merge(other.scorers[name])

    def _box(self, image_size):
        scorer = self.scorers[CENTRE_BOX]
        box = boxes_in_frame(centre_box(image_size), image_size, scorer.frame, scorer.protocol)
        return Prediction(boxes=np.repeat(box, len(scorer.thresholds), axis=0))
