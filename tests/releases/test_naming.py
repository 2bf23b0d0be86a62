"""The terms of the tables: layouts, and why a tensor is passed over."""

import numpy as np
import pytest

from e2wsol.releases import TensorNaming, TensorPair, UnpairedTensor

ARRAYS = {
    "convolution": TensorPair("a.weight", "a/kernel", (2, 3, 4, 5), axes=(2, 3, 1, 0)),
    "depthwise": TensorPair("b.weight", "conv_dw_1/kernel", (7, 1, 3, 3), axes=(2, 3, 0, 1)),
    "dense": TensorPair("c.weight", "c/kernel", (2, 3), axes=(1, 0)),
    "as it is": TensorPair("d/W", "d/kernel", (3, 3, 2, 4)),
    "bias": TensorPair("e.bias", "e/bias", (3,)),
    "1x1 convolution": TensorPair("f/weights", "f/kernel", (1, 1, 3, 4), unit_axes=2),
}


def numbers(pair):
    """Floats of all kinds, among them -0.0, a NaN with a payload, infinities and the smallest."""
    bits = np.random.default_rng(0).integers(0, 2**32, pair.shape, np.uint32)
    bits.flat[:2] = 0x80000000, 0x7FC01234
    return bits.view(np.float32)


@pytest.mark.parametrize("pair", ARRAYS.values(), ids=ARRAYS)
def test_there_and_back_to_the_bit(pair):
    value = numbers(pair)
    again = pair.to_theirs(pair.to_ours(value))
    assert again.shape == pair.shape and again.dtype == np.float32
    np.testing.assert_array_equal(again.view(np.uint32), value.view(np.uint32))
    ours = pair.to_ours(value)
    np.testing.assert_array_equal(pair.to_ours(pair.to_theirs(ours)).view(np.uint32), ours.view(np.uint32))


def test_layouts():
    """Theirs (out, in, h, w) and (out, in); ours HWIO, HWC1 for depthwise, and (in, out)."""
    values = {name: np.arange(np.prod(pair.shape)).reshape(pair.shape) for name, pair in ARRAYS.items()}
    ours = {name: pair.to_ours(values[name]) for name, pair in ARRAYS.items()}
    assert ours["convolution"][3, 4, 2, 1] == values["convolution"][1, 2, 3, 4]
    assert ours["depthwise"].shape == (3, 3, 7, 1)
    assert ours["depthwise"][1, 2, 5, 0] == values["depthwise"][5, 0, 1, 2]
    assert ours["dense"][2, 1] == values["dense"][1, 2]
    np.testing.assert_array_equal(ours["as it is"], values["as it is"])
    np.testing.assert_array_equal(ours["1x1 convolution"], values["1x1 convolution"][0, 0])


def test_reasons():
    naming = TensorNaming(
        "a file",
        "pytorch",
        (
            ARRAYS["dense"],
            UnpairedTensor("n.num_batches_tracked", ()),
            UnpairedTensor("copy.weight", (2, 3), "c.weight"),
        ),
        ignored=((r"fc\..*", "the head"),),
    )
    assert naming.pairs == (ARRAYS["dense"],)
    assert naming.why_ignored("fc.weight") == "the head"
    assert "counter" in naming.why_ignored("n.num_batches_tracked")
    assert "c.weight" in naming.why_ignored("copy.weight")
    for name in ("c.weight", "c", "xfc.weight", "fc", "copy.weight.x", ""):
        assert naming.why_ignored(name) is None, name
