"""A threshold without true boxes: that whose boxes agree best with what the images' colours say."""

from typing import Any

import numpy as np

from e2wsol.localization import refine
from e2wsol.localization.score_map import to_score_map


class AgreementKeeper:
    """Sums over images how well a map's boxes agree with GrabCut's, as a keeper of `Evaluation.score`.

    Args:
      name: which of an image's maps.

    Attributes:
      agreement: (T,) sums of the IoU at each of the scorer's thresholds; None before the first image.
    """

    def __init__(self, name: str):
        self.name = name
        self.agreement: np.ndarray | None = None

    def skip(self, pictures: int) -> None:
        """Leaves out images that another keeper is shown."""

    def merge(self, other: "AgreementKeeper") -> None:
        """Adds what another keeper was shown."""
        if other.agreement is not None:
            self.agreement = other.agreement + (0 if self.agreement is None else self.agreement)

    def update(self, image: Any, score: Any, scorer: Any) -> None:
        """Shows it one ScoredImage."""
        score_map = to_score_map(image.maps.maps[self.name].values, scorer.frame.size, scorer.protocol)
        cut = refine.cut_box(image.image, score_map, scorer.protocol)
        if cut is None:
            return
        boxes = score.prediction.boxes / scorer.frame.size
        found = np.array([refine.share_iou(box, cut) for box in boxes])
        self.agreement = found if self.agreement is None else self.agreement + found

    def threshold(self, scorer: Any) -> float | None:
        """The scorer's threshold of the best agreement; None where no image could be cut."""
        return None if self.agreement is None else float(scorer.thresholds[int(self.agreement.argmax())])
