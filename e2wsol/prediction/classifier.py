"""Classes of images, predicted by a network."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from e2wsol.backend_calls.compiled import compiled
from e2wsol.errors import UserError


class Classifier:
    """Predicts classes from one view of an image or from ten crops.

    Args:
      model: Method.
      ten_crop_mean: "probabilities" or "logits", what is averaged where a batch brings ten crops.

    Raises:
      UserError: the method predicts no class.
    """

    def __init__(self, model: Any, ten_crop_mean: str = "probabilities"):
        if not model.classifies:
            raise UserError(f"{type(model).__name__}: a method that predicts no class; give a classifier's run")
        self._mean_of_logits = ten_crop_mean == "logits"
        self._logits = compiled(lambda images: model(images, training=False)["logits"])

    def probabilities(self, batch: Mapping[str, Any]) -> np.ndarray:
        """Class probabilities of a batch of pipeline.eval_dataset.

        Args:
          batch: its "crops" uint8 (b, 10, S, S, 3) count, or its "image" uint8 (b, S, S, 3) where it has none.

        Returns:
          float64 (b, C).
        """
        views = np.moveaxis(np.asarray(batch["crops"]), 1, 0) if "crops" in batch else [batch["image"]]
        logits = require_finite(np.stack([self._logits(view) for view in views]).astype(np.float64))
        return softmax(logits.mean(axis=0)) if self._mean_of_logits else softmax(logits).mean(axis=0)


def require_finite(values: Any) -> Any:
    """Values that a network gave, as they are.

    Raises:
      UserError: some are no numbers.
    """
    if not np.isfinite(values).all():
        raise UserError("the network gives NaN or infinity: its weights are damaged, or its training diverged")
    return values


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits (..., C)."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def ranking(scores: np.ndarray) -> np.ndarray:
    """The five best of (b, C) scores, best first, of equal ones the lowest: int (b, 5), fewer where C is."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :5]
