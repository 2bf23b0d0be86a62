from typing import Any

import keras
from keras import ops

from e2wsol.backend_calls.fused_normalization import normalize_batch


@keras.saving.register_keras_serializable(package="e2wsol")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization whose moving variance is the unbiased one.

    PyTorch and TF1's fused kernel normalise with the biased batch variance and feed n / (n - 1)
    times it into the moving variance; Keras 3 feeds the biased one. The ported networks need the
    former. Under a distribution strategy every replica normalises by its own batch, and the moving
    statistics follow the mean over the replicas. Inputs (B, H, W, C); arithmetic in at least float32.
    """

    def add_weight(self, *args: Any, trainable: bool = True, **kwargs: Any) -> Any:
        """As Keras has it; the moving statistics of the replicas stay the same."""
        if not trainable:
            # Keras' default lets the replicas' copies of the moving statistics drift apart.
            kwargs["aggregation"] = "mean"
        return super().add_weight(*args, trainable=trainable, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalises `inputs` by batch statistics in training, by the moving ones otherwise."""
        dtype = "float64" if keras.backend.standardize_dtype(inputs.dtype) == "float64" else "float32"
        x = ops.cast(inputs, dtype)
        scale = ops.ones(x.shape[-1:], dtype) if self.gamma is None else ops.cast(self.gamma, dtype)
        offset = ops.zeros(x.shape[-1:], dtype) if self.beta is None else ops.cast(self.beta, dtype)
        if training and self.trainable:
            outputs, mean, unbiased = self._by_batch(x, scale, offset)
            self._track(self.moving_mean, mean)
            self._track(self.moving_variance, unbiased)
        else:
            mean, variance = ops.cast(self.moving_mean, dtype), ops.cast(self.moving_variance, dtype)
            outputs = self._normalized(x, mean, variance, scale, offset)
        return ops.cast(outputs, self.compute_dtype)

    def _by_batch(self, x: Any, scale: Any, offset: Any) -> tuple[Any, Any, Any]:
        """(normalised x, mean and unbiased variance) by the batch's own statistics."""
        if not self.synchronized and keras.backend.standardize_dtype(x.dtype) == "float32":
            fused = normalize_batch(x, scale, offset, self.epsilon)
            if fused is not None:
                return fused
        mean, variance = ops.moments(x, axes=list(range(len(x.shape) - 1)), synchronized=self.synchronized)
        count = ops.cast(ops.prod(ops.shape(x)[:-1]), x.dtype)
        unbiased = variance * (count / ops.maximum(count - 1, 1))
        return self._normalized(x, mean, variance, scale, offset), mean, unbiased

    def _normalized(self, x: Any, mean: Any, variance: Any, scale: Any, offset: Any) -> Any:
        return ops.batch_normalization(x, mean, variance, axis=-1, offset=offset, scale=scale, epsilon=self.epsilon)

    def _track(self, moving: Any, value: Any) -> None:
        moving.assign(moving * self.momentum + ops.cast(value, moving.dtype) * (1.0 - self.momentum))
