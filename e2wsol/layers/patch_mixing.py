import keras
from keras import ops


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

    def __init__(self, beta=1.0, probability=1.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.beta = beta
        self.probability = probability
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=False):
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

    def _rectangle(self, height, width):
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

    def _uniform(self, shape):
        return keras.random.uniform(shape, seed=self.seed_generator, dtype="float32")

    def compute_output_shape(self, input_shape):
        return input_shape, input_shape[:1], input_shape[:1]

    def compute_output_spec(self, images, training=False):
        shapes = self.compute_output_shape(images.shape)
        dtypes = images.dtype, "int32", "float32"
        return tuple(keras.KerasTensor(shape, dtype=dtype) for shape, dtype in zip(shapes, dtypes))

    def get_config(self):
        config = {"beta": self.beta, "probability": self.probability, "seed": self.seed}
        return {**super().get_config(), **config}
