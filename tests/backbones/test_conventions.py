"""--backbone_conventions of MobileNetV1: padding of strided windows, and the ReLU."""

import functools

import keras
import numpy as np
import pytest

from e2wsol import backbones
from e2wsol.backbones import BackboneOptions

# Strided layers of the network at output stride 16, with what feeds them.
STRIDED = (
    *(("preprocessing", "conv1"), ("conv_pw_1_relu", "conv_dw_2")),
    *(("conv_pw_3_relu", "conv_dw_4"), ("conv_pw_11_relu", "conv_dw_12")),
)


@functools.cache
def build(conventions):
    keras.utils.set_random_seed(0)
    options = BackboneOptions(backbone="mobilenet_v1", backbone_width=0.05, backbone_conventions=conventions)
    return backbones.build(options, 128)


def reached(conventions, first, last, row):
    """Rows of the last layer's output that depend on one row of the first layer's."""
    network = build(conventions)
    part = keras.Model(network.get_layer(first).output, network.get_layer(last).output)
    features = np.zeros((1, *part.inputs[0].shape[1:]), np.float32)
    features[0, row] = 1
    return np.nonzero(np.asarray(part(features))[0].any((1, 2)))[0].tolist()


@pytest.mark.parametrize(("first", "last"), STRIDED)
def test_padding_of_strided_windows(first, last):
    """PyTorch's window at position i is centred on row 2i, TensorFlow's ("same", even side) on row 2i + 1."""
    assert reached("torch", first, last, 4) == [2] and reached("torch", first, last, 3) == [1, 2]
    assert reached("tensorflow", first, last, 4) == [1, 2] and reached("tensorflow", first, last, 3) == [1]
    # The first row lies at the rim of one window, or is the middle of one that begins outside.
    assert reached("torch", first, last, 0) == reached("tensorflow", first, last, 0) == [0]
    assert reached("torch", first, last, 7) == [3, 4] and reached("tensorflow", first, last, 7) == [3]


@pytest.mark.parametrize("conventions", ["torch", "tensorflow"])
def test_layers_without_stride_are_padded_alike(conventions):
    assert reached(conventions, "conv1_relu", "conv_dw_1", 4) == [3, 4, 5]
    assert reached(conventions, "conv_pw_5_relu", "conv_dw_6", 4) == [3, 4, 5]


def test_ceiling_of_the_relu():
    x = np.float32([[-1.0, 0.0, 5.0, 7.0]])
    for conventions, expected in (("torch", [0, 0, 5, 7]), ("tensorflow", [0, 0, 5, 6])):
        network = build(conventions)
        found = [layer(x) for layer in network.layers if isinstance(layer, keras.layers.ReLU)]
        assert len(found) == 27
        np.testing.assert_array_equal(np.concatenate(found), [expected] * 27)


def test_both_conventions_have_the_same_variables():
    torch, tensorflow = (
        {weight.path: tuple(weight.shape) for weight in build(conventions).weights}
        for conventions in ("torch", "tensorflow")
    )
    assert torch == tensorflow
