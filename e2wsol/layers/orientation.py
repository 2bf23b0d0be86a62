import keras
from keras import ops

ORIENTATIONS = ("original", "horizontal", "vertical", "left_oblique", "right_oblique")


@keras.saving.register_keras_serializable(package="e2wsol")
class DiagonalConv2D(keras.layers.Layer):
    """A 3x3 convolution, stride 1, zero padding, whose kernel lives on one diagonal.

    Args:
      filters: output channels.
      falling: True for the diagonal from top left to bottom right, False for the other one.
      use_bias: whether a bias is added.

    Shapes: (B, H, W, C) -> (B, H, W, filters). The weight `kernel` is (3, C, filters), top row first.
    """

    def __init__(self, filters, falling=True, use_bias=True, kernel_initializer="he_normal", **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.falling = falling
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        shape = (3, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer=self.kernel_initializer, name="kernel")
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x):
        """Convolves with the diagonal's three taps alone, a third of a dense 3x3 convolution's work."""
        height, width = x.shape[1:3]
        padded = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        columns = (0, 1, 2) if self.falling else (2, 1, 0)
        taps = [padded[:, row : row + height, column : column + width] for row, column in enumerate(columns)]
        kernel = ops.reshape(ops.cast(self.kernel, self.compute_dtype), (1, 1, -1, self.filters))
        outputs = ops.conv(ops.concatenate(taps, axis=-1), kernel, data_format="channels_last")
        return outputs + ops.cast(self.bias, outputs.dtype) if self.use_bias else outputs

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        config = {"filters": self.filters, "falling": self.falling, "use_bias": self.use_bias}
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), **config, "kernel_initializer": initializer}


def orientation_conv(orientation, filters, *, use_bias, kernel_initializer, name):
    """The convolution that expands features along one orientation.

    "horizontal" is 1 high and 3 wide, "vertical" 3 high and 1 wide; "left_oblique" runs from top
    left to bottom right, "right_oblique" from top right to bottom left. ("original" has none.)
    """
    settings = {"use_bias": use_bias, "kernel_initializer": kernel_initializer, "name": name}
    if orientation in ("horizontal", "vertical"):
        size = (1, 3) if orientation == "horizontal" else (3, 1)
        return keras.layers.Conv2D(filters, size, padding="same", **settings)
    return DiagonalConv2D(filters, falling=orientation == "left_oblique", **settings)
