"""Names of TF1 variables: tensorpack's, what its training leaves beside them, and slim's InceptionV3.

Layouts are ours: kernels HWIO, matrices (in, out).
"""

from collections.abc import Iterator, Mapping, Sequence

from e2wsol.backbones import architecture
from e2wsol.releases.naming import Shapes, TensorNaming, pair_up

_ENDINGS = {
    **{"/kernel": "/W", "/bias": "/b", "_bn/gamma": "/bn/gamma", "_bn/beta": "/bn/beta"},
    **{"_bn/moving_mean": "/bn/mean/EMA", "_bn/moving_variance": "/bn/variance/EMA"},
}
# Of a checkpoint that tensorpack's trainer wrote. Summaries' means are EMA/name; batch norm's are name/EMA.
LEFTOVERS = (
    (r".+/(Momentum|Adam(_1)?|RMSProp(_1)?|AccumGrad|ExponentialMovingAverage)", "state of the optimizer"),
    (r"(.+/)?beta[12]_power", "state of the optimizer"),
    (r"global_step|learning_rate|loss_scale", "state of the training"),
    (r"EMA/.+", "running mean of a summary"),
    (r"tower\d+/.+", "copy on another GPU"),
)


def naming(
    title: str,
    layers: Mapping[str, str],
    variables: Shapes,
    *,
    endings: Mapping[str, str] = _ENDINGS,
    ignored: Sequence[tuple[str, str]] = (),
) -> TensorNaming:
    """The TensorNaming of a TF1 network, which may lie in an .npz or in a checkpoint.

    Args:
      title: see TensorNaming.
      layers: {our layer: theirs}.
      variables: {our path: shape}.
      endings: see naming.pair_up; tensorpack's.
      ignored: what else than LEFTOVERS may be in the file.
    """
    entries = tuple(pair_up(layers, endings, variables))
    return TensorNaming(title, "tensorflow", entries, (*ignored, *LEFTOVERS), ordered=False)


def _resnet50() -> Iterator[tuple[str, str]]:
    yield "conv0", "conv0"
    for group, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            for layer in ("conv1", "conv2", "conv3", "fc1", "fc2", "convshortcut"):
                yield f"group{group}_block{block}_{layer}", f"group{group}/block{block}/{layer}"


# {our layer: theirs}; fc1 and fc2 are those of squeeze-and-excitation.
VGG16 = {layer: layer for layer in architecture("vgg16").application_layers}
RESNET50 = dict(_resnet50())
TRUNKS = {"vgg16": VGG16, "resnet50": RESNET50, "resnet50_se": RESNET50}

# Slim's layouts are ours as well, and its batch normalization has no gamma.
_SLIM_ENDINGS = {
    **{"/kernel": "/weights", "/bias": "/biases", "_bn/beta": "/BatchNorm/beta"},
    **{"_bn/moving_mean": "/BatchNorm/moving_mean", "_bn/moving_variance": "/BatchNorm/moving_variance"},
}
_SLIM_STEM = {
    **{"conv2d_1a": "Conv2d_1a_3x3", "conv2d_2a": "Conv2d_2a_3x3", "conv2d_2b": "Conv2d_2b_3x3"},
    **{"conv2d_3b": "Conv2d_3b_1x1", "conv2d_4a": "Conv2d_4a_3x3"},
}
_SLIM_BLOCK_A = {
    "branch1x1": "Branch_0/Conv2d_0a_1x1",
    **{"branch5x5_1": "Branch_1/Conv2d_0a_1x1", "branch5x5_2": "Branch_1/Conv2d_0b_5x5"},
    **{"branch3x3dbl_1": "Branch_2/Conv2d_0a_1x1", "branch3x3dbl_2": "Branch_2/Conv2d_0b_3x3"},
    "branch3x3dbl_3": "Branch_2/Conv2d_0c_3x3",
    "branch_pool": "Branch_3/Conv2d_0b_1x1",
}
_SLIM_BLOCK_B = {
    "branch3x3": "Branch_0/Conv2d_1a_1x1",  # though it is 3x3, as the last one
    **{"branch3x3dbl_1": "Branch_1/Conv2d_0a_1x1", "branch3x3dbl_2": "Branch_1/Conv2d_0b_3x3"},
    "branch3x3dbl_3": "Branch_1/Conv2d_1a_1x1",
}
_SLIM_BLOCK_C = {
    "branch1x1": "Branch_0/Conv2d_0a_1x1",
    **{"branch7x7_1": "Branch_1/Conv2d_0a_1x1", "branch7x7_2": "Branch_1/Conv2d_0b_1x7"},
    "branch7x7_3": "Branch_1/Conv2d_0c_7x1",
    **{"branch7x7dbl_1": "Branch_2/Conv2d_0a_1x1", "branch7x7dbl_2": "Branch_2/Conv2d_0b_7x1"},
    **{"branch7x7dbl_3": "Branch_2/Conv2d_0c_1x7", "branch7x7dbl_4": "Branch_2/Conv2d_0d_7x1"},
    "branch7x7dbl_5": "Branch_2/Conv2d_0e_1x7",
    "branch_pool": "Branch_3/Conv2d_0b_1x1",
}
_SLIM_BLOCKS = {
    "5b": _SLIM_BLOCK_A,
    # Slim's own slip of the pen.
    "5c": {**_SLIM_BLOCK_A, "branch5x5_1": "Branch_1/Conv2d_0b_1x1", "branch5x5_2": "Branch_1/Conv_1_0c_5x5"},
    "5d": _SLIM_BLOCK_A,
    "6a": _SLIM_BLOCK_B,
    **dict.fromkeys(("6b", "6c", "6d", "6e"), _SLIM_BLOCK_C),
}
# {our layer: theirs}, up to Mixed_6e.
SLIM_INCEPTION_V3 = {
    **_SLIM_STEM,
    **{
        f"mixed_{block}_{ours}": f"Mixed_{block}/{theirs}"
        for block, branches in _SLIM_BLOCKS.items()
        for ours, theirs in branches.items()
    },
}


def slim_naming(
    title: str, layers: Mapping[str, str], variables: Shapes, ignored: Sequence[tuple[str, str]] = ()
) -> TensorNaming:
    """The TensorNaming of a network under slim's scope InceptionV3; arguments as in `naming`."""
    scoped = {ours: f"InceptionV3/{theirs}" for ours, theirs in layers.items()}
    return naming(title, scoped, variables, endings=_SLIM_ENDINGS, ignored=ignored)
