"""What benchmarks/attention_statistics.py says of a layer, on features that show every place and value."""

import pathlib
import runpy

import numpy as np

from e2wsol.layers import AttentionDropout, MaxoutAttentionExcitation

describe = runpy.run_path(str(pathlib.Path(__file__).parents[2] / "benchmarks" / "attention_statistics.py"))[
    "description"
]
# Attention 1 to 16 of 4x4 places, the same in both channels.
FEATURES = np.repeat(np.arange(1, 17, dtype="float32").reshape(1, 4, 4, 1), 2, axis=-1)


def test_excitation():
    """The transform doubles the first channel and gives nothing in the second; places of 9 to 16 are erased."""
    layer = MaxoutAttentionExcitation(threshold=0.5, normalization="minmax")
    layer.build(FEATURES.shape)
    layer.transform.set_weights([np.array([[[[2, 0], [0, 0]]]], "float32"), np.zeros(2, "float32")])
    larger = (136 + (1 + 8) * 8 / 2) + 136  # sum of the output: the places of 1 to 8 count twice in the first channel
    assert describe(layer, FEATURES) == (
        f"erases 50.0% of the places, replaces 25.0% of the values, mean times {larger / 272:.2f}"
    )


def test_dropping():
    """Places of 12 to 16 reach three quarters of the maximum, which training drops and nothing else."""
    layer = AttentionDropout(threshold=0.75, keep_prob=0.0)
    assert (np.asarray(layer(FEATURES, training=True))[..., 0] == 0).sum() == 5
    assert describe(layer, FEATURES) == f"a drop takes {5 / 16:.1%} of the places"
