import keras
from keras import ops


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

    def __init__(self, patch_size=44, probability=0.5, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.patch_size = patch_size
        self.probability = probability
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=False):
        """Returns the pictures, in training with hidden patches."""
        if not training:
            return images
        size = self.patch_size
        height, width = images.shape[1:3]
        grid = (ops.shape(images)[0], -(-height // size), -(-width // size), 1)
        hidden = keras.random.uniform(grid, seed=self.seed_generator, dtype="float32") < self.probability
        hidden = ops.repeat(ops.repeat(hidden, size, axis=1), size, axis=2)[:, :height, :width]
        return ops.where(hidden, ops.convert_to_tensor(self.COLOUR, dtype=images.dtype), images)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = {"patch_size": self.patch_size, "probability": self.probability, "seed": self.seed}
        return {**super().get_config(), **config}
