"""The SPOL authors' PyTorch state_dicts, stages cam and seg: one network, whose last layer differs in size."""

from e2wsol.releases import pytorch

BACKBONES = ("resnet50",)


def namings(backbone, variables):
    """The one Naming of the release."""
    yield pytorch.naming(f"SPOL's release ({backbone})", dict(_layers()), variables)


def _layers():
    yield from ((layer, f"bkbone.{module}") for layer, module in pytorch.RESNET50.items())
    for level in (5, 4, 3):
        yield from ((f"spol_squeeze{level}", f"fc{level}1"), (f"spol_squeeze{level}_bn", f"bn{level}1"))
        yield f"spol_gate{level}", f"fc{level}2"
    for level in (5, 4, 3):
        yield from ((f"spol_level{level}", f"linear{level}"), (f"spol_level{level}_bn", f"bn{level}"))
    yield "spol_head", "linear"
