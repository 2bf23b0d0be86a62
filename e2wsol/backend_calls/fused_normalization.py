"""Batch normalization in training by a backend's own kernel.

Keras has no such operation; from its elementary ones TensorFlow and PyTorch make a dozen passes over the features,
forth and back. JAX's compiler fuses these itself.
"""

import math

import keras


def normalize_batch(x, scale, offset, epsilon):
    """Normalises features by their own statistics, which get no gradient as results.

    Args:
      x: float32 (B, H, W, C).
      scale: float32 (C,).
      offset: float32 (C,).
      epsilon: added to the biased variance, as everywhere.

    Returns:
      (features (B, H, W, C), mean (C,), unbiased variance (C,)); None where the backend in use has no kernel for
      it, or for such shapes.
    """
    kernel = _KERNELS.get(keras.backend.backend())
    return kernel(x, scale, offset, epsilon) if kernel and len(x.shape) == 4 else None


def _tensorflow(x, scale, offset, epsilon):
    import tensorflow as tf

    nothing = tf.zeros([0])
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=nothing, variance=nothing, epsilon=epsilon, is_training=True
    )
    return outputs, mean, variance


def _torch(x, scale, offset, epsilon):
    import torch

    if math.prod(x.shape[:-1]) < 2:
        return None
    # With a momentum of 1 the moving statistics are the batch's.
    mean, variance = torch.zeros_like(scale), torch.zeros_like(scale)
    outputs = torch.nn.functional.batch_norm(
        x.permute(0, 3, 1, 2), mean, variance, scale, offset, training=True, momentum=1.0, eps=epsilon
    )
    return outputs.permute(0, 2, 3, 1), mean, variance


_KERNELS = {"tensorflow": _tensorflow, "torch": _torch}
