"""Convolutions of the heads: BAS' classifier, and E2Net's convolutions along one orientation."""

from typing import Any

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
      kernel_initializer: of the kernel.

    Shapes: (B, H, W, C) -> (B, H, W, filters). The weight `kernel` is (3, C, filters), top row first.
    """

    def __init__(
        self,
        filters: int,
        falling: bool = True,
        use_bias: bool = True,
        kernel_initializer: Any = "he_normal",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.falling = falling
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: tuple) -> None:
        """Makes the kernel for inputs (B, h, w, c)."""
        shape = (3, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer=self.kernel_initializer, name="kernel")
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x: Any) -> Any:
        """Convolves with the diagonal's three taps alone, a third of a dense 3x3 convolution's work."""
        height, width = x.shape[1:3]
        padded = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        columns = (0, 1, 2) if self.falling else (2, 1, 0)
        taps = [padded[:, row : row + height, column : column + width] for row, column in enumerate(columns)]
        kernel = ops.reshape(ops.cast(self.kernel, self.compute_dtype), (1, 1, -1, self.filters))
        outputs = ops.conv(ops.concatenate(taps, axis=-1), kernel, data_format="channels_last")
        return outputs + ops.cast(self.bias, outputs.dtype) if self.use_bias else outputs

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """The shape of the output."""
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"filters": self.filters, "falling": self.falling, "use_bias": self.use_bias}
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), **config, "kernel_initializer": initializer}


def orientation_conv(
    orientation: str, filters: int, *, use_bias: bool, kernel_initializer: Any, name: str
) -> keras.layers.Layer:
    """The convolution that expands features along one orientation.

    "horizontal" is 1 high and 3 wide, "vertical" 3 high and 1 wide; "left_oblique" runs from top
    left to bottom right, "right_oblique" from top right to bottom left. ("original" has none.)
    """
    settings = {"use_bias": use_bias, "kernel_initializer": kernel_initializer, "name": name}
    if orientation in ("horizontal", "vertical"):
        size = (1, 3) if orientation == "horizontal" else (3, 1)
        return keras.layers.Conv2D(filters, size, padding="same", **settings)
    return DiagonalConv2D(filters, falling=orientation == "left_oblique", **settings)


@keras.saving.register_keras_serializable(package="e2wsol")
class ConvolutionalClassifier(keras.layers.Layer):
    """The classification head of BAS and ACoL: 3x3, 3x3 and 1x1 convolutions with bias, and ReLU between them.

    Its outputs are class maps; their mean over positions is a logit, which is never negative where they are rectified.

    Args:
      num_classes: C, channels of the last convolution.
      channels: channels of the two 3x3 convolutions.
      kernel_initializer: of all three.
      rectified: whether a ReLU stands behind the last one too (BAS).

    Shapes: (B, H, W, c) -> (B, H, W, C).
    """

    def __init__(
        self,
        num_classes: int,
        channels: int = 1024,
        kernel_initializer: Any = "glorot_uniform",
        rectified: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.channels = channels
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.rectified = rectified

    def build(self, input_shape: tuple) -> None:
        """Makes the three convolutions for inputs (B, h, w, c)."""
        sizes = ((self.channels, 3), (self.channels, 3), (self.num_classes, 1))
        self.convolutions = [
            keras.layers.Conv2D(
                filters,
                size,
                padding="same",
                activation="relu" if self.rectified or number < len(sizes) else None,
                kernel_initializer=self.kernel_initializer.clone(),
                dtype=self.dtype_policy,
                name=f"conv{number}",
            )
            for number, (filters, size) in enumerate(sizes, start=1)
        ]
        for convolution in self.convolutions:
            convolution.build(input_shape)
            input_shape = convolution.compute_output_shape(input_shape)

    def call(self, x: Any) -> Any:
        """Returns the class maps."""
        for convolution in self.convolutions:
            x = convolution(x)
        return x

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """The shape of the output."""
        return (*input_shape[:-1], self.num_classes)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        config = {"num_classes": self.num_classes, "channels": self.channels, "kernel_initializer": initializer}
        config["rectified"] = self.rectified
        return {**super().get_config(), **config}
