"""A method that finds what is red, and pictures for it."""

import dataclasses

import numpy as np
import tensorflow as tf
from PIL import Image

from e2wsol.localization import protocols
from e2wsol.prediction import predictors

SIZE = 32


class RedFinder:
    """A method whose map is the picture's red, with class 2 for red pictures and class 0 for others."""

    image_size, num_classes, classifies = SIZE, 3, True

    def __call__(self, pictures, training=False):
        red = tf.cast(pictures[..., 0], tf.float32)
        strength = tf.reduce_max(red, axis=(1, 2))
        return {"logits": tf.stack([tf.fill(tf.shape(strength), 1.0), 0.0 * strength, strength / 50], axis=1)}

    def localize(self, pictures, labels=None):
        red = tf.cast(pictures[..., 0], tf.float32)
        logits = self(pictures)["logits"]
        return logits, red if labels is None else tf.repeat(red[:, None], labels.shape[1], axis=1)


def red_box_picture(height, width, box):
    """Black with a red box."""
    picture = np.zeros((height, width, 3), np.uint8)
    x0, y0, x1, y1 = box
    picture[y0:y1, x0:x1, 0] = 255
    return picture


def save(path, picture, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, **options)


def red_finder(*, protocol="maxboxacc", threshold=0.2, top_k=1, class_names="abc"):
    rules = dataclasses.replace(protocols.get(protocol), default_threshold=threshold)
    return predictors.MethodPredictor(RedFinder(), rules, class_names, top_k=top_k)
