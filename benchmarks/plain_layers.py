"""Layers of this library as PyTorch's own modules, with the same weights."""

import keras
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from e2wsol import layers

_ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "silu": nn.SiLU}
# Layers whose PyTorch form takes the zeros that Keras needs a layer of its own for as its padding.
PADDING_THEMSELVES = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
)


def translate(layer, shape, *, padding=None, inplace=False):
    """The PyTorch module of a Keras layer.

    Args:
      layer: built Keras layer.
      shape: of its (first) input, (B, h, w, c).
      padding: ((above, below), (left, right)) of a zero padding in front of it, None where there is none.
      inplace: whether nothing else reads its input.
    """
    if isinstance(layer, keras.layers.ReLU | keras.layers.Activation):
        return _activation(layer, inplace)
    if isinstance(layer, keras.layers.Conv2D):
        return _convolution(layer, shape, padding, (3, 2, 0, 1), groups=1)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return _convolution(layer, shape, padding, (2, 3, 0, 1), groups=shape[-1])
    for kind, made in _PADDED.items():
        if isinstance(layer, kind):
            return made(layer, shape, padding)
    return _UNPADDED[type(layer)](layer, shape)


def _activation(layer, inplace):
    if isinstance(layer, keras.layers.ReLU):
        return nn.ReLU6(inplace) if layer.max_value == 6 else nn.ReLU(inplace)
    if layer.activation.__name__ == "relu":
        return nn.ReLU(inplace)
    return _ACTIVATIONS[layer.activation.__name__]()


def _with_activation(module, activation):
    if activation.__name__ == "linear":
        return module
    made = _ACTIVATIONS[activation.__name__]
    return nn.Sequential(module, made(inplace=True) if made is nn.ReLU else made())


def _convolution(layer, shape, padding, axes, groups):
    """Conv2d with padding of its own where that is symmetric, behind a padding module else."""
    kernel = np.transpose(_numpy(layer.kernel), axes)
    (top, bottom), (left, right) = _amounts(layer, layer.kernel_size, shape, padding)
    symmetric = (top, left) == (bottom, right)
    module = nn.Conv2d(
        shape[-1],
        len(kernel),
        layer.kernel_size,
        layer.strides,
        padding=(top, left) if symmetric else 0,
        groups=groups,
        bias=layer.use_bias,
    )
    _assign(module.weight, kernel)
    if layer.use_bias:
        _assign(module.bias, _numpy(layer.bias))
    if not symmetric:
        module = nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), module)
    return _with_activation(module, layer.activation)


def _amounts(layer, size, shape, padding):
    """((above, below), (left, right)): rows and columns of padding around a window."""
    if padding is not None:
        return padding
    if layer.padding == "valid":
        return ((0, 0), (0, 0))
    # TensorFlow's "same": as little as it takes, the smaller half first.
    totals = [
        max((-(-side // stride) - 1) * stride + window - side, 0)
        for side, stride, window in zip(shape[1:3], layer.strides, size)
    ]
    return tuple((total // 2, total - total // 2) for total in totals)


def _max_pool(layer, shape, padding):
    (top, bottom), (left, right) = _amounts(layer, layer.pool_size, shape, padding)
    if (top, left) == (bottom, right):
        return nn.MaxPool2d(layer.pool_size, layer.strides, padding=(top, left))
    if padding == ((1, 2), (1, 2)):  # how Keras says what PyTorch calls ceil mode
        return nn.MaxPool2d(layer.pool_size, layer.strides, padding=1, ceil_mode=True)
    # All features that are pooled with padding here are not negative.
    return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), nn.MaxPool2d(layer.pool_size, layer.strides))


def _average_pool(layer, shape, padding):
    (top, _), (left, _) = _amounts(layer, layer.pool_size, shape, padding)
    # Keras' own padding is not counted; zeros that a layer put there are.
    return nn.AvgPool2d(layer.pool_size, layer.strides, (top, left), count_include_pad=padding is not None)


def _batch_norm(layer, shape):
    module = nn.BatchNorm2d(shape[-1], eps=layer.epsilon, momentum=1 - layer.momentum)
    if layer.gamma is None:
        module.weight.requires_grad_(False)
    else:
        _assign(module.weight, _numpy(layer.gamma))
    _assign(module.bias, _numpy(layer.beta))
    _assign(module.running_mean, _numpy(layer.moving_mean))
    _assign(module.running_var, _numpy(layer.moving_variance))
    return module


def _dense(layer, shape):
    kernel = _numpy(layer.kernel).T
    if len(shape) == 4:  # on (B, 1, 1, c)
        module, kernel = nn.Conv2d(shape[-1], len(kernel), 1), kernel[:, :, None, None]
    else:
        module = nn.Linear(shape[-1], len(kernel))
    _assign(module.weight, kernel)
    _assign(module.bias, _numpy(layer.bias))
    return _with_activation(module, layer.activation)


def _dropout(layer, shape):
    if layer.noise_shape is None:
        return nn.Dropout(layer.rate)
    return PlainStochasticDepth(layer.rate)


def _global_average(layer, shape):
    keep = layer.keepdims
    return Call(lambda x: x.mean((2, 3), keepdim=keep))


def _corner_resize(layer, shape):
    size = layer.size
    return Call(lambda x: functional.interpolate(x, size, mode="bilinear", align_corners=True))


def _cropping(layer, shape):
    (top, bottom), (left, right) = layer.cropping
    rows, columns = slice(top, shape[1] - bottom), slice(left, shape[2] - right)
    return Call(lambda x: x[:, :, rows, columns])


def _classifier(layer, shape):
    return nn.Sequential(*(translate(each, (*shape[:3], each.kernel.shape[2])) for each in layer.convolutions))


class Call(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        """Returns the function's value."""
        return self.function(*inputs)


class PlainPreprocessing(nn.Module):
    """Pictures uint8 (B, S, S, 3) to normalised ones (B, 3, S, S), in the memory format of the network."""

    def __init__(self, layer, shape):
        super().__init__()
        self.divisor, self.reversed = layer.divisor, layer.order == "bgr"
        self.register_buffer("mean", torch.tensor(layer.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(layer.std).view(3, 1, 1))
        self.memory_format = torch.contiguous_format

    def forward(self, images):
        """Returns (B, 3, S, S) float32."""
        x = images.permute(0, 3, 1, 2)
        x = (x.flip(1) if self.reversed else x).to(torch.float32, memory_format=self.memory_format)
        return x.div_(self.divisor).sub_(self.mean).div_(self.std)


class PlainStochasticDepth(nn.Module):
    """Drops whole pictures of (B, c, h, w) in training, as EfficientNet's blocks."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        """Returns x in inference."""
        if not self.training or not self.rate:
            return x
        kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.rate
        return x * (kept / (1 - self.rate)).to(x.dtype)


class PlainAttentionDropout(nn.Module):
    """ADL: in training features (B, c, h, w) times a drop mask or an importance map."""

    def __init__(self, layer, shape):
        super().__init__()
        self.threshold, self.keep_prob = layer.threshold, layer.keep_prob

    def forward(self, x):
        """Returns x in inference."""
        if not self.training:
            return x
        attention = x.mean(1, keepdim=True)
        if torch.rand(()) < self.keep_prob:
            return x * attention.sigmoid()
        peak = attention.amax((2, 3), keepdim=True)
        return x * (attention < self.threshold * peak).to(x.dtype)


class PlainMaxoutAttention(nn.Module):
    """MAE: the larger of features (B, c, h, w) and the transform of what is left of them."""

    def __init__(self, layer, shape):
        super().__init__()
        if layer.normalization != "sum":
            raise TypeError(f"{layer.name}: no PyTorch form of normalization {layer.normalization}")
        self.threshold = layer.threshold
        self.transform = translate(layer.transform, shape)

    def forward(self, x):
        """Returns features of the same shape."""
        with torch.no_grad():
            attention = x.mean(1, keepdim=True)
            kept = (attention < self.threshold * attention.sum((2, 3), keepdim=True)).to(x.dtype)
        return torch.maximum(x, self.transform(x * kept))


_PADDED = {keras.layers.MaxPooling2D: _max_pool, keras.layers.AveragePooling2D: _average_pool}
_UNPADDED = {
    keras.layers.Dense: _dense,
    keras.layers.Dropout: _dropout,
    keras.layers.GlobalAveragePooling2D: _global_average,
    keras.layers.Cropping2D: _cropping,
    keras.layers.Add: lambda layer, shape: Call(lambda *inputs: sum(inputs[1:], inputs[0])),
    keras.layers.Multiply: lambda layer, shape: Call(lambda first, *rest: _product(first, rest)),
    keras.layers.Concatenate: lambda layer, shape: Call(lambda *inputs: torch.cat(inputs, 1)),
    keras.layers.Reshape: lambda layer, shape: Call(lambda x: x.squeeze(1)),  # (B, 1, h, w) of SPOL's segmentation
    layers.BatchNormalization: _batch_norm,
    layers.CornerResize: _corner_resize,
    layers.ConvolutionalClassifier: _classifier,
    layers.Preprocessing: PlainPreprocessing,
    layers.AttentionDropout: PlainAttentionDropout,
    layers.MaxoutAttentionExcitation: PlainMaxoutAttention,
}


def _product(first, rest):
    for each in rest:
        first = first * each
    return first


def _numpy(variable):
    return np.array(keras.ops.convert_to_numpy(variable), np.float32)


def _assign(tensor, values):
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(values)))
