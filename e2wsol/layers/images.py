"""Layers on images, in front of the backbone: normalization of the colours, and augmentations of HaS and CutMix."""

from typing import Any

import keras
from keras import ops

# name -> (channel order, divisor of the 0..255 values, mean, standard deviation), the last two per
# channel in the order that the network sees.
PREPROCESSINGS = {
    "imagenet": ("rgb", 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "imagenet_bgr": ("bgr", 255.0, (0.406, 0.456, 0.485), (0.225, 0.224, 0.229)),
    "caffe": ("bgr", 1.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
    "symmetric": ("rgb", 127.5, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
}


@keras.saving.register_keras_serializable(package="e2wsol")
class Preprocessing(keras.layers.Layer):
    """From uint8 RGB pictures (B, H, W, 3) in 0..255 to what start weights expect.

    `scheme` is a key of PREPROCESSINGS: "imagenet" (RGB, ImageNet mean and deviation),
    "imagenet_bgr" (the same, channels reversed: E2Net), "caffe" (BGR minus mean, 0..255) or
    "symmetric" (RGB in [-1, 1]).
    """

    def __init__(self, scheme: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.scheme = scheme
        self.order, self.divisor, self.mean, self.std = PREPROCESSINGS[scheme]

    def call(self, images: Any) -> Any:
        """Returns the normalised pictures in the layer's compute dtype; the arithmetic is float32, as everywhere."""
        x = ops.cast(images, "float32")
        if self.order == "bgr":
            x = ops.flip(x, axis=-1)
        mean = ops.convert_to_tensor(self.mean, dtype=x.dtype)
        std = ops.convert_to_tensor(self.std, dtype=x.dtype)
        return ops.cast((x / self.divisor - mean) / std, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "scheme": self.scheme}


@keras.saving.register_keras_serializable(package="e2wsol")
class PatchHiding(keras.layers.Layer):
    """Hides random patches of training pictures behind ImageNet's mean colour (Kumar Singh and Lee, ICCV 2017).

    A grid of squares lies over every picture, from its upper left corner; each square is hidden with `probability`,
    whatever happens to the others. Because the colour is the mean, the first convolution gives on average what it
    gives without hiding (section 3.2 of the paper). In inference pictures pass as they are.

    Args:
      patch_size: side of a square, pixels.
      probability: of a square to be hidden.

    Shapes: uint8 (B, H, W, 3) RGB -> the same.
    """

    COLOUR = (124, 116, 104)

    def __init__(self, patch_size: int = 44, probability: float = 0.5, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.patch_size = patch_size
        self.probability = probability
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        """Returns the pictures, in training with hidden patches."""
        if not training:
            return images
        size = self.patch_size
        height, width = images.shape[1:3]
        grid = (ops.shape(images)[0], -(-height // size), -(-width // size), 1)
        hidden = keras.random.uniform(grid, seed=self.seed_generator, dtype="float32") < self.probability
        hidden = ops.repeat(ops.repeat(hidden, size, axis=1), size, axis=2)[:, :height, :width]
        return ops.where(hidden, ops.convert_to_tensor(self.COLOUR, dtype=images.dtype), images)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """The shape of the output."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"patch_size": self.patch_size, "probability": self.probability, "seed": self.seed}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="e2wsol")
class PatchMixing(keras.layers.Layer):
    """CutMix (Yun et al., ICCV 2019): puts a rectangle of another picture of the batch into each training picture.

    One random rectangle for the whole batch: its area is 1 - lambda of the picture's, lambda drawn from
    Beta(beta, beta), its centre is anywhere, and what lies outside the picture is cut off (equation 2 of the paper). In
    inference pictures pass as they are.

    Args:
      beta: parameter of the distribution; 1 is the uniform one.
      probability: of a batch to be mixed.

    Returns: (pictures uint8 (B, H, W, 3), partner int32 (B,): number in the batch of the picture that the rectangle is
      of, share float32 (B,): of a picture's area that is its own).
    """

    def __init__(self, beta: float = 1.0, probability: float = 1.0, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.beta = beta
        self.probability = probability
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        """Returns the pictures, in training mixed, and of what."""
        count = ops.shape(images)[0]
        own = ops.arange(count, dtype="int32")
        if not training:
            return images, own, ops.ones_like(own, dtype="float32")
        partner = ops.argsort(self._uniform((count,)))
        inside = self._rectangle(*images.shape[1:3])
        share = 1 - ops.mean(ops.cast(inside, "float32"))
        mixed = ops.where(inside[None, :, :, None], ops.take(images, partner, axis=0), images)
        return mixed, ops.cast(partner, "int32"), ops.full((count,), 1.0) * share

    def _rectangle(self, height: int, width: int) -> Any:
        """Bool (height, width): the pixels that come from the partner."""
        share, mixed, *centre = ops.unstack(self._uniform((4,)), 4)
        if self.beta != 1.0:
            share = keras.random.beta((), self.beta, self.beta, seed=self.seed_generator)
        ratio = ops.where(mixed < self.probability, ops.sqrt(1 - share), 0.0)
        sides = []
        for side, middle in zip((height, width), centre):
            half, middle = ops.floor(side * ratio) // 2, ops.floor(middle * side)
            position = ops.arange(side, dtype="float32")
            sides.append(ops.logical_and(position >= middle - half, position < middle + half))
        return ops.logical_and(sides[0][:, None], sides[1][None])

    def _uniform(self, shape: tuple[int, ...]) -> Any:
        return keras.random.uniform(shape, seed=self.seed_generator, dtype="float32")

    def compute_output_shape(self, input_shape: tuple) -> tuple[tuple, tuple, tuple]:
        """The shapes of the three outputs."""
        return input_shape, input_shape[:1], input_shape[:1]

    def compute_output_spec(self, images: Any, training: bool = False) -> tuple[Any, Any, Any]:
        """The symbolic outputs, whose number types differ."""
        shapes = self.compute_output_shape(images.shape)
        dtypes = images.dtype, "int32", "float32"
        return tuple(keras.KerasTensor(shape, dtype=dtype) for shape, dtype in zip(shapes, dtypes))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"beta": self.beta, "probability": self.probability, "seed": self.seed}
        return {**super().get_config(), **config}
