"""Names and layouts that PyTorch's state_dicts have in common, and the trunks that torchvision gave to all."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from e2wsol.backbones import architecture
from e2wsol.releases.naming import Shapes, TensorNaming, TensorPair, UnpairedTensor, pair_up

# In the order of a state_dict.
_ENDINGS = {
    **{"/kernel": ".weight", "/gamma": ".weight", "/bias": ".bias", "/beta": ".bias"},
    **{"/moving_mean": ".running_mean", "/moving_variance": ".running_var"},
}
# Theirs -> ours: (out, in, h, w) -> HWIO; depthwise (c, 1, h, w) -> HWC1; (out, in) -> (in, out).
_CONVOLUTION, _DEPTHWISE, _DENSE = (2, 3, 1, 0), (2, 3, 0, 1), (1, 0)


def naming(title: str, layers: Mapping[str, str], variables: Shapes, **settings: Any) -> TensorNaming:
    """The TensorNaming of a state_dict.

    Args:
      title: see TensorNaming.
      layers: {our layer: their module}, in the order in which they are registered.
      variables: {our path: shape}.
      **settings: further fields of TensorNaming.
    """
    return TensorNaming(title, "pytorch", tuple(_entries(layers, variables)), **settings)


def bottleneck(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    """(our layer, their module) of a ResNet block's convolutions and normalizations."""
    for number in (1, 2, 3):
        yield f"{ours}_conv{number}", f"{theirs}.conv{number}"
        yield f"{ours}_conv{number}_bn", f"{theirs}.bn{number}"
    yield f"{ours}_convshortcut", f"{theirs}.downsample.0"
    yield f"{ours}_convshortcut_bn", f"{theirs}.downsample.1"


def _entries(layers: Mapping[str, str], variables: Shapes) -> Iterator[TensorPair | UnpairedTensor]:
    for pair in pair_up(layers, _ENDINGS, variables):
        axes = _axes(pair)
        shape = tuple(pair.shape[axis] for axis in np.argsort(axes)) if axes else pair.shape
        yield dataclasses.replace(pair, shape=shape, axes=axes)
        if pair.theirs.endswith(".running_var"):
            yield UnpairedTensor(pair.theirs.replace(".running_var", ".num_batches_tracked"), ())


def _axes(pair: TensorPair) -> tuple[int, ...] | None:
    if pair.ours.startswith("conv_dw_") and len(pair.shape) == 4:
        return _DEPTHWISE
    return {4: _CONVOLUTION, 2: _DENSE}.get(len(pair.shape))


def _mobilenet_v1():
    """model.0 is the first convolution; model.N a depthwise (0, its normalization 1) and a pointwise one (3, 4)."""
    yield from (("conv1", "model.0.0"), ("conv1_bn", "model.0.1"))
    for block in range(1, 14):
        yield from ((f"conv_dw_{block}", f"model.{block}.0"), (f"conv_dw_{block}_bn", f"model.{block}.1"))
        yield from ((f"conv_pw_{block}", f"model.{block}.3"), (f"conv_pw_{block}_bn", f"model.{block}.4"))


def _resnet50():
    yield from (("conv0", "conv1"), ("conv0_bn", "bn1"))
    for group, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            yield from bottleneck(f"group{group}_block{block}", f"layer{group + 1}.{block}")


def _inception_v3():
    stem = {"1a": "1a_3x3", "2a": "2a_3x3", "2b": "2b_3x3", "3b": "3b_1x1", "4a": "4a_3x3"}
    for layer in architecture("inception_v3").applications_order:
        _, number, *branch = layer.split("_", 2)
        theirs = f"Mixed_{number}.{branch[0]}" if branch else f"Conv2d_{stem[number]}"
        yield from ((layer, f"{theirs}.conv"), (f"{layer}_bn", f"{theirs}.bn"))


# {our layer: their module}.
MOBILENET_V1, RESNET50, INCEPTION_V3 = dict(_mobilenet_v1()), dict(_resnet50()), dict(_inception_v3())
VGG16 = tuple(architecture("vgg16").application_layers)  # our convolutions alone: everyone numbers them otherwise
