import keras


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

    def __init__(self, num_classes, channels=1024, kernel_initializer="glorot_uniform", rectified=True, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.channels = channels
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.rectified = rectified

    def build(self, input_shape):
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

    def call(self, x):
        """Returns the class maps."""
        for convolution in self.convolutions:
            x = convolution(x)
        return x

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.num_classes)

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        config = {"num_classes": self.num_classes, "channels": self.channels, "kernel_initializer": initializer}
        config["rectified"] = self.rectified
        return {**super().get_config(), **config}
