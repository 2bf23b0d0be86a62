import keras
from keras import ops


@keras.saving.register_keras_serializable(package="e2wsol")
class AttentionDropout(keras.layers.Layer):
    """Attention-based dropout (ADL, CVPR 2019) as E2Net's release includes it; training only.

    One draw a step for the whole batch: with probability 1 - keep_prob the positions whose channel
    mean reaches `threshold` times the picture's maximum are dropped, else the features are weighted
    by the sigmoid of that mean. Inference returns x unchanged. Shapes: (B, H, W, C) -> the same.
    """

    def __init__(self, threshold=0.5, keep_prob=0.25, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.threshold = threshold
        self.keep_prob = keep_prob
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x, training=False):
        """Returns the dropped or weighted features in training, x otherwise."""
        if not training:
            return x
        attention = ops.mean(x, axis=-1, keepdims=True)
        peak = ops.amax(attention, axis=(1, 2), keepdims=True)
        drop_mask = ops.stop_gradient(ops.cast(attention < self.threshold * peak, x.dtype))
        importance = ops.sigmoid(attention)
        drop = keras.random.uniform((), seed=self.seed_generator, dtype="float32") >= self.keep_prob
        return x * ops.where(drop, drop_mask, importance)

    def get_config(self):
        config = {"threshold": self.threshold, "keep_prob": self.keep_prob, "seed": self.seed}
        return {**super().get_config(), **config}
