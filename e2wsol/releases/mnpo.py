"""The MNPO authors' PyTorch state_dicts; MNPO's and MNPOs' networks are the same."""

from e2wsol.releases import pytorch

BACKBONES = ("vgg16",)


def namings(backbone, variables):
    """The one Naming of the release; the state_dict lies beside the optimizer's in its files."""
    yield pytorch.naming(f"MNPO's release ({backbone})", dict(_layers()), variables, wrapper="state_dict")


def _layers():
    for number, layer in enumerate(pytorch.VGG16, start=1):
        # conv6 is the convolution in front of the classifier.
        yield layer, "conv6_.0" if number == 6 else f"conv{number}.0"
    yield from (("features", "conv6"), ("linear", "fc"))
    for number in (1, 2):
        module = f"branch1_layer.conv{number}"
        yield from ((f"branch_conv{number}", f"{module}.0"), (f"branch_conv{number}_bn", f"{module}.1"))
    for number in (1, 2):
        yield from pytorch.bottleneck(f"branch_layer{number}", f"branch1_layer.layer{number}.0")
