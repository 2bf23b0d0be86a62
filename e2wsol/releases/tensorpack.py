"""Names of tensorpack's TF1 variables: of its model zoo's networks, and of what training leaves beside them.

Layouts are ours: kernels HWIO, matrices (in, out).
"""

from e2wsol.backbones import architecture
from e2wsol.releases.naming import Naming, pair_up

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


def naming(title, layers, variables, *, endings=_ENDINGS, ignored=()):
    """The Naming of a TF1 network, which may lie in an .npz or in a checkpoint.

    Args:
      title: see Naming.
      layers: {our layer: theirs}.
      variables: {our path: shape}.
      endings: see naming.pair_up; tensorpack's.
      ignored: what else than LEFTOVERS may be in the file.
    """
    entries = tuple(pair_up(layers, endings, variables))
    return Naming(title, "tensorflow", entries, (*ignored, *LEFTOVERS), ordered=False)


def _resnet50():
    yield "conv0", "conv0"
    for group, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            for layer in ("conv1", "conv2", "conv3", "fc1", "fc2", "convshortcut"):
                yield f"group{group}_block{block}_{layer}", f"group{group}/block{block}/{layer}"


# {our layer: theirs}; fc1 and fc2 are those of squeeze-and-excitation.
VGG16 = {layer: layer for layer in architecture("vgg16").application_layers}
RESNET50 = dict(_resnet50())
TRUNKS = {"vgg16": VGG16, "resnet50": RESNET50, "resnet50_se": RESNET50}
