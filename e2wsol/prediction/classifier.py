"""Classes of pictures, predicted by a network."""

import numpy as np
import tensorflow as tf

from e2wsol.errors import UserError


class Classifier:
    """Predicts classes from one view of a picture or from ten crops.

    Args:
      model: Method.
      ten_crop_mean: "probabilities" or "logits", what is averaged where a batch brings ten crops.

    Raises:
      UserError: the method predicts no class.
    """

    def __init__(self, model, ten_crop_mean="probabilities"):
        if not model.classifies:
            raise UserError(f"{type(model).__name__}: a method that predicts no class; give a classifier's run")
        self._mean_of_logits = ten_crop_mean == "logits"
        views = tf.TensorSpec((None, model.image_size, model.image_size, 3), tf.uint8)
        self._logits = tf.function(lambda images: model(images, training=False)["logits"], input_signature=[views])

    def probabilities(self, batch):
        """float64 (b, C) of a batch of pipeline.eval_dataset: of its "crops", or of its "image" where it has none."""
        views = tf.unstack(batch["crops"], axis=1) if "crops" in batch else [batch["image"]]
        logits = np.stack([self._logits(view) for view in views]).astype(np.float64)
        return softmax(logits.mean(axis=0)) if self._mean_of_logits else softmax(logits).mean(axis=0)


def softmax(logits):
    """Probabilities of logits (..., C)."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def ranking(scores):
    """The five best of (b, C) scores, best first, of equal ones the lowest: int (b, 5), fewer where C is."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :5]
