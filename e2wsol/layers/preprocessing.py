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

    def __init__(self, scheme, **kwargs):
        super().__init__(**kwargs)
        self.scheme = scheme
        self.order, self.divisor, self.mean, self.std = PREPROCESSINGS[scheme]

    def call(self, images):
        """Returns the normalised pictures in the layer's compute dtype; the arithmetic is float32, as everywhere."""
        x = ops.cast(images, "float32")
        if self.order == "bgr":
            x = ops.flip(x, axis=-1)
        mean = ops.convert_to_tensor(self.mean, dtype=x.dtype)
        std = ops.convert_to_tensor(self.std, dtype=x.dtype)
        return ops.cast((x / self.divisor - mean) / std, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "scheme": self.scheme}
