"""Choosing the pictures that a report shows, in one pass and constant memory."""

import heapq
import pathlib
from typing import Any

import numpy as np

from e2wsol import files
from e2wsol.localization.metrics import ImageScore, LocalizationScorer

_SHOWN_IOU = 0.5  # at which a kept picture counts as a hit


class SampleKeeper:
    """Keeps the best, the worst and random pictures of a stream, a third each; of equal ones the first.

    Args:
      count: pictures to keep at most; the three groups may overlap, which leaves fewer.
      shown_at: threshold on the score map of the kept pictures' boxes.
      seed: of the random third.
    """

    def __init__(self, count: int, shown_at: float, seed: int = 0):
        self.room, self.shown_at = -(-count // 3), shown_at
        self.rng = np.random.default_rng(seed)
        self.groups: dict[str, list[tuple[float, int, dict[str, Any]]]] = {"best": [], "worst": [], "random": []}
        self.number = 0

    def skip(self, pictures: int) -> None:
        """Leaves out so many pictures of the stream, which another keeper is shown."""
        self.number += pictures
        self.rng.random(pictures)

    def merge(self, other: "SampleKeeper") -> None:
        """Adds what another keeper, made with the same arguments, kept of other pictures of the stream."""
        for group, kept in other.groups.items():
            for entry in kept:
                self._put(group, entry)

    def update(self, picture: Any, outcome: ImageScore, scorer: LocalizationScorer) -> None:
        """Shows one picture to the keeper.

        Args:
          picture: ScoredImage, its image the network's view.
          outcome: ImageScore of it.
          scorer: the LocalizationScorer that gave it.
        """
        position = scorer.position(_SHOWN_IOU, self.shown_at)
        iou = float(np.nan_to_num(outcome.ious[position[1]]))
        number, self.number = self.number, self.number + 1
        columns = None  # of the picture, made for the few that are kept: whole outcomes would fill the memory
        for group, key in (("best", iou), ("worst", -iou), ("random", self.rng.random())):
            if self._has_room((key, -number), group):
                columns = columns or _columns(picture, outcome, position, iou)
                self._put(group, (key, -number, columns))

    def _has_room(self, rank, group):
        """Whether a picture of (key, -number) is among the first of a group; no two have the same."""
        kept = self.groups[group]
        return self.room and (len(kept) < self.room or rank > kept[0][:2])

    def _put(self, group, entry):
        if self._has_room(entry[:2], group):
            kept = self.groups[group]
            (heapq.heappush if len(kept) < self.room else heapq.heapreplace)(kept, entry)

    def save(self, path: str | pathlib.Path) -> None:
        """Writes what was kept as samples.npz: see e2wsol.visualize.results for its arrays."""
        chosen = {-number: columns for kept in self.groups.values() for _, number, columns in kept}
        pictures = [chosen[number] for number in sorted(chosen)]
        with files.replacing(path) as temporary, open(temporary, "wb") as file:
            drawn = {-number for _, number, _ in self.groups["random"]}
            np.savez_compressed(
                file, **_arrays(pictures), random=np.array([number in drawn for number in sorted(chosen)])
            )


def _arrays(pictures):
    most = max((len(columns["true_boxes"]) for columns in pictures), default=0)
    names = ("ids", "images", "maps", "predicted_boxes", "true_boxes", "ious", "labels", "predictions", "hits")
    arrays = {name: [columns[name] for columns in pictures] for name in names}
    arrays["true_boxes"] = [
        np.pad(boxes, ((0, most - len(boxes)), (0, 0)), constant_values=-1) for boxes in arrays["true_boxes"]
    ]
    return {name: np.array(values) for name, values in arrays.items()}


def _columns(picture, outcome, position, iou):
    return {
        "ids": picture.source_id,
        "images": picture.image,
        "maps": np.round(outcome.prediction.score_map * 255).astype(np.uint8),
        "predicted_boxes": outcome.prediction.boxes[position[1]].astype(np.float32),
        "true_boxes": outcome.true_boxes.astype(np.float32).reshape(-1, 4),
        "ious": iou,
        "labels": outcome.label,
        "predictions": -1 if outcome.top5 is None else int(outcome.top5[0]),
        "hits": bool(outcome.hits[position]),
    }
