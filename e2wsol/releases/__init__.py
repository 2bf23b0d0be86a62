"""Checkpoints in the authors' own formats: how each release calls the tensors of a network, and reading and writing.

A table says for every layer of ours how theirs is called; both directions follow from it.
"""

from collections.abc import Mapping

from e2wsol.errors import UserError
from e2wsol.releases import bas, dgl, e2net, mnpo, spol, start
from e2wsol.releases.naming import Beside, Naming, Pair

__all__ = ["Beside", "Naming", "Pair", "namings", "namings_of", "shapes", "start_namings", "variables"]

# Method -> the module of its release: BACKBONES, and namings(backbone, variables).
_RELEASES = {
    **{"bas": bas, "dgl": dgl, "e2net": e2net},
    **{"mnpo": mnpo, "mnpos": mnpo, "spol_cam": spol, "spol_seg": spol},
}


def namings(method: str, backbone: str, variables: Mapping[str, tuple]) -> tuple[Naming, ...]:
    """All released ways to name the tensors of a method's network: one for each variant that holds all of them.

    Args:
      method: a key of methods.METHODS.
      backbone: a key of backbones.ARCHITECTURES.
      variables: {path: shape} of what the file must hold, see `variables`.

    Raises:
      UserError: nothing was released for the method on that backbone, or not for this form of it.
    """
    release = _RELEASES.get(method)
    if release is None or backbone not in release.BACKBONES:
        known = "; ".join(f"{name} on {', '.join(module.BACKBONES)}" for name, module in _RELEASES.items())
        raise UserError(f"{method} on {backbone}: its authors released no such network; known are {known}")
    found = tuple(release.namings(backbone, variables))
    lacking = [variables.keys() - {pair.ours for pair in naming.pairs} for naming in found]
    if all(lacking):
        first, *more = sorted(min(lacking, key=len))
        others = f" and {len(more)} more" if more else ""
        raise UserError(f"{method} on {backbone}: the released network has no counterpart of {first}{others}")
    return tuple(naming for naming, left in zip(found, lacking) if not left)


def namings_of(model):
    """`namings` of a Method's network."""
    return namings(model.key, model.backbone_options.backbone, shapes(model))


def start_namings(backbone: str, variables: Mapping[str, tuple]) -> tuple[Naming, ...]:
    """The usual start weights of a backbone alone; variables of the mapping that none of them has are left out.

    Raises:
      UserError: none are known for the backbone.
    """
    if backbone not in start.BACKBONES:
        raise UserError(f"{backbone}: no start files are known; there are some of {', '.join(start.BACKBONES)}")
    return tuple(start.namings(backbone, variables))


def variables(model):
    """{path: variable} of what a file must hold: all but random seeds and schedules' scalars.

    Args:
      model: a Method, or a backbone.
    """
    return {variable.path: variable for variable in model.weights if len(variable.shape)}


def shapes(model):
    """{path: shape} of `variables`."""
    return {path: tuple(variable.shape) for path, variable in variables(model).items()}
