"""Layers between the blocks of a backbone: MAE of E2Net, and attention-based dropout."""

from typing import Any

import keras
from keras import ops

from e2wsol.errors import choose

NORMALIZATIONS = ("sum", "minmax")


@keras.saving.register_keras_serializable(package="e2wsol")
class MaxoutAttentionExcitation(keras.layers.Layer):
    """Maxout-attention excitation (MAE) of E2Net: the larger of a feature and its erased transform.

    Attention A is the mean of x over channels. Positions whose normalised attention reaches
    `threshold` are erased, a 1x1 convolution with ReLU transforms the rest, and the output is the
    element-wise maximum of that and x. No gradient flows through the mask; ties go to x. Training
    and inference are alike.

    Args:
      threshold: erase where the normalised attention is at least this.
      normalization: "sum" (as released) divides A by its sum over the map, so a flat H x W map has
        1 / (H W) everywhere and 0.5 erases practically nothing; "minmax" (the paper's reading)
        maps A to [0, 1] per picture, so 0.5 erases the most salient half of the range.

    Shapes: (B, H, W, C) -> (B, H, W, C).
    """

    def __init__(self, threshold: float = 0.5, normalization: str = "sum", **kwargs: Any):
        super().__init__(**kwargs)
        self.threshold = threshold
        self.normalization = choose(normalization, NORMALIZATIONS, "normalization")

    def build(self, input_shape: tuple) -> None:
        """Makes the transform for inputs (B, h, w, c)."""
        self.transform = keras.layers.Conv2D(
            input_shape[-1],
            1,
            activation="relu",
            kernel_initializer="he_normal",
            dtype=self.dtype_policy,
            name="transform",
        )
        self.transform.build(input_shape)

    def attention(self, x: Any) -> Any:
        """Normalised attention (B, H, W, 1) of features (B, H, W, C), in at least float32."""
        mean = ops.mean(x, axis=-1, keepdims=True)
        mean = ops.cast(mean, "float64" if mean.dtype == "float64" else "float32")
        if self.normalization == "minmax":
            mean = mean - ops.amin(mean, axis=(1, 2), keepdims=True)
            total = ops.amax(mean, axis=(1, 2), keepdims=True)
        else:
            total = ops.sum(mean, axis=(1, 2), keepdims=True)
        # An all-zero map has no attention anywhere, instead of 0 / 0.
        return mean / ops.where(total == 0, ops.ones_like(total), total)

    def call(self, x: Any) -> Any:
        """Returns max(x, ReLU(conv1x1(x * kept)))."""
        kept = ops.stop_gradient(ops.cast(self.attention(x) < self.threshold, x.dtype))
        excited = self.transform(x * kept)
        return ops.where(x >= excited, x, excited)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "threshold": self.threshold, "normalization": self.normalization}


@keras.saving.register_keras_serializable(package="e2wsol")
class AttentionDropout(keras.layers.Layer):
    """Attention-based dropout (ADL, CVPR 2019) as E2Net's release includes it; training only.

    One draw a step for the whole batch: with probability 1 - keep_prob the positions whose channel
    mean reaches `threshold` times the picture's maximum are dropped, else the features are weighted
    by the sigmoid of that mean. Inference returns x unchanged. Shapes: (B, H, W, C) -> the same.
    """

    def __init__(self, threshold: float = 0.5, keep_prob: float = 0.25, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.threshold = threshold
        self.keep_prob = keep_prob
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x: Any, training: bool = False) -> Any:
        """Returns the dropped or weighted features in training, x otherwise."""
        if not training:
            return x
        attention = ops.mean(x, axis=-1, keepdims=True)
        peak = ops.amax(attention, axis=(1, 2), keepdims=True)
        drop_mask = ops.stop_gradient(ops.cast(attention < self.threshold * peak, x.dtype))
        importance = ops.sigmoid(attention)
        drop = keras.random.uniform((), seed=self.seed_generator, dtype="float32") >= self.keep_prob
        return x * ops.where(drop, drop_mask, importance)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"threshold": self.threshold, "keep_prob": self.keep_prob, "seed": self.seed}
        return {**super().get_config(), **config}
