"""Every picture's outcome in one file, for comparisons of runs picture by picture."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from e2wsol import files, reading
from e2wsol.errors import UserError
from e2wsol.localization.metrics import ImageScore, LocalizationScorer, label_rank

FILE_NAME = "outcomes.npz"
NOT_PREDICTED = -1


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """What became of N pictures at one threshold for each of K IoU thresholds.

    Attributes:
      ids: (N,) str, in the split's order.
      labels: (N,) int32 true classes.
      ranks: (N,) int8 place of the true class among the predicted ones, from 0; 5 where it is not among the first
        five, NOT_PREDICTED where no class was predicted.
      iou_thresholds: (K,) float64.
      thresholds: (K,) float64 thresholds on the score map, the one chosen for each IoU threshold.
      ious: (N, K) float32 best IoU over the true boxes; NaN without a true box.
      hits: (N, K) bool.
      pixel_histograms: (G, 2, bins) int64 object and background pixels of the groups of bootstrap.PixelGroups; G is 0
        without masks.
    """

    ids: np.ndarray
    labels: np.ndarray
    ranks: np.ndarray
    iou_thresholds: np.ndarray
    thresholds: np.ndarray
    ious: np.ndarray
    hits: np.ndarray
    pixel_histograms: np.ndarray

    def save(self, path: str | pathlib.Path) -> None:
        """Writes the arrays as .npz."""
        with files.replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **dataclasses.asdict(self))


def load(path: str | pathlib.Path) -> Outcomes:
    """The Outcomes in a file.

    Raises:
      UserError: there is no such file, or it holds something else.
    """
    path = pathlib.Path(path)
    names = [field.name for field in dataclasses.fields(Outcomes)]
    if not path.exists():
        raise UserError(f"{path}: does not exist; python -m e2wsol.evaluate writes it")
    words = "no outcomes of python -m e2wsol.evaluate", "; evaluate the run again"
    with reading.guarded(path, *words):
        arrays = reading.arrays(path, *words)
        return Outcomes(**{name: arrays[name] for name in names})


class OutcomeKeeper:
    """Notes the outcome of every picture that it is shown, some 40 bytes each.

    Args:
      thresholds: {IoU threshold: threshold on the score map} to note outcomes at.
    """

    def __init__(self, thresholds: Mapping[float, float]):
        self.thresholds = dict(thresholds)
        self.number = 0
        self.rows: dict[int, tuple] = {}  # by the picture's number in the stream

    def skip(self, pictures: int) -> None:
        """Leaves out so many pictures of the stream, which another keeper is shown."""
        self.number += pictures

    def merge(self, other: "OutcomeKeeper") -> None:
        """Adds what another keeper noted of other pictures of the stream."""
        self.rows |= other.rows

    def update(self, picture: Any, outcome: ImageScore, scorer: LocalizationScorer) -> None:
        """Notes one picture.

        Args:
          picture: ScoredImage.
          outcome: ImageScore of it.
          scorer: the LocalizationScorer that gave it.
        """
        places = [scorer.position(iou, threshold) for iou, threshold in self.thresholds.items()]
        ious = [outcome.ious[column] for _, column in places]
        hits = [outcome.hits[place] for place in places]
        rank = NOT_PREDICTED if outcome.top5 is None else label_rank(outcome.top5, outcome.label)
        self.rows[self.number] = picture.source_id, outcome.label, rank, ious, hits
        self.number += 1

    def outcomes(self, scorer: LocalizationScorer) -> Outcomes:
        """The Outcomes of all pictures; takes the scorer that counted them."""
        ids, labels, ranks, ious, hits = zip(*(self.rows[number] for number in sorted(self.rows)))
        groups = scorer.pixel_groups
        return Outcomes(
            ids=np.array(ids, dtype=np.str_),
            labels=np.array(labels, np.int32),
            ranks=np.array(ranks, np.int8),
            iou_thresholds=np.array(list(self.thresholds), np.float64),
            thresholds=np.array(list(self.thresholds.values()), np.float64),
            ious=np.array(ious, np.float32),
            hits=np.array(hits, bool),
            pixel_histograms=groups.histograms[: groups.pictures],
        )
