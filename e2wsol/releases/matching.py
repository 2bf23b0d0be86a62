"""Matches the tensors of a file with the variables of a network: each must be used, known or reported as a fault."""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from e2wsol.errors import UserError
from e2wsol.releases.formats.source import OpenCheckpoint
from e2wsol.releases.naming import Shapes, TensorNaming, TensorPair, UnpairedTensor


@dataclasses.dataclass(frozen=True)
class ConversionReport:
    """What became of each tensor of a file and of each variable of a network.

    Attributes:
      naming: the names that the file was read by.
      used: pairs whose tensor fills its variable.
      ignored: {name in the file: why nothing is read from it}.
      faults: a line for everything that is missing, unexpected, of another shape or kind, or out of place.
    """

    naming: TensorNaming
    used: tuple[TensorPair, ...]
    ignored: dict[str, str]
    faults: tuple[str, ...]

    def text(self) -> str:
        """The whole list, a line a tensor."""
        lines = [f"{pair.theirs} {pair.shape} -> {pair.ours}" for pair in self.used]
        lines += [f"{name}: not read ({reason})" for name, reason in self.ignored.items()]
        return "\n".join([*lines, *(f"FAULT {fault}" for fault in self.faults), self.summary()])

    def summary(self) -> str:
        """One line."""
        return (
            f"{self.naming.title}: {len(self.used)} tensors used, {len(self.ignored)} known and not read, "
            f"{len(self.faults)} faults"
        )

    def require_no_faults(self, path: str | pathlib.Path, hint: str = "") -> None:
        """Raises a UserError that names the first faults, if there are any, and ends in `hint`."""
        if self.faults:
            shown = "; ".join(self.faults[:3])
            more = f"; and {len(self.faults) - 3} more" if len(self.faults) > 3 else ""
            raise UserError(f"{path}: does not fit {self.naming.title}: {shown}{more}{hint}")


def best_match(
    source: OpenCheckpoint, namings: Iterable[TensorNaming], shapes: Shapes, *, any_order: bool = False
) -> ConversionReport:
    """The ConversionReport of a file by the one of several namings that leaves the fewest faults.

    Args:
      source: the open file.
      namings: of the same network, at least one.
      shapes: {our path: shape} of the network's variables.
      any_order: whether to pass over the order of the file's tensors.
    """
    reports = [match(source, naming, shapes, any_order=any_order) for naming in namings]
    return min(reports, key=lambda report: len(report.faults))


def match(source: OpenCheckpoint, naming: TensorNaming, shapes: Shapes, *, any_order: bool = False) -> ConversionReport:
    """The ConversionReport of a file by one naming; the arguments are those of `best_match`."""
    used: list[TensorPair] = []
    faults: list[str] = []
    if source.container != naming.container:
        faults.append(f"a {source.kind}, where {naming.container} names are expected")
    for pair in naming.pairs:
        fault = _fault(source, pair)
        faults += [fault] if fault else []
        used += [] if fault else [pair]
    read = {pair.theirs for pair in naming.pairs}
    reasons = {name: naming.why_ignored(name) for name in source.shapes if name not in read}
    faults += [f"{name}: unexpected, no variable takes it" for name, reason in reasons.items() if reason is None]
    nameless = shapes.keys() - {pair.ours for pair in naming.pairs}
    faults += [f"our {path} has no tensor in such a file" for path in sorted(nameless)]
    if naming.ordered and not any_order:
        faults += _displaced(source, used)
    return ConversionReport(
        naming, tuple(used), {name: reason for name, reason in reasons.items() if reason}, tuple(faults)
    )


def _fault(source: OpenCheckpoint, pair: TensorPair) -> str | None:
    """What is wrong with the file's tensor for a pair, or None."""
    if pair.theirs not in source.shapes:
        return f"{pair.theirs}: missing (our {pair.ours})"
    if tuple(source.shapes[pair.theirs]) != tuple(pair.shape):
        found = tuple(source.shapes[pair.theirs])
        return f"{pair.theirs}: shape {found}, the network needs {tuple(pair.shape)} (our {pair.ours})"
    kind = source.dtypes[pair.theirs]
    return None if "float" in kind else f"{pair.theirs}: {kind}, not floating-point numbers"


def _displaced(source: OpenCheckpoint, used: Sequence[TensorPair]) -> list[str]:
    """The first tensor that stands where another one belongs: names of equal shapes may have been exchanged."""
    expected = [pair.theirs for pair in used]
    names = set(expected)
    found = [name for name in source.shapes if name in names]
    if found in (expected, _statistics_first(expected)):
        return []
    name, place = next((name, place) for name, place in zip(found, expected) if name != place)
    return [f"{name}: stands where {place} belongs; were names exchanged? (any_order passes over it)"]


def _statistics_first(names: Sequence[str]) -> list[str]:
    """The order of PyTorch's first releases, in which torchvision's older files are: running_mean before weight."""
    modules = itertools.groupby(names, lambda name: name.rpartition(".")[0])
    return [name for _, own in modules for name in sorted(own, key=lambda name: ".running_" not in name)]


def values(source: OpenCheckpoint, report: ConversionReport) -> dict[str, np.ndarray]:
    """{our path: array in our layout} of all tensors that are used.

    Raises:
      UserError: a tensor holds NaN or infinity, or a negative variance.
    """
    found = {}
    for pair in report.used:
        value = source.read(pair.theirs)
        if not np.isfinite(value).all():
            raise UserError(f"{source.path}: {pair.theirs} holds numbers that are not finite; the file is damaged")
        if pair.ours.endswith("moving_variance") and value.min() < 0:
            raise UserError(f"{source.path}: {pair.theirs} holds negative variances; were names exchanged?")
        found[pair.ours] = pair.to_ours(value)
    return found


def authors_tensors(naming: TensorNaming, variables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the authors' loader expects: {name, with its prefix: array in their layout}, in their order.

    Args:
      naming: of their file.
      variables: {our path: array}.
    """
    tensors: dict[str, np.ndarray] = {}
    for entry in naming.entries:
        if isinstance(entry, UnpairedTensor):
            counter = entry.copy_of is None
            value = np.zeros(entry.shape, np.int64) if counter else tensors[f"{naming.prefix}{entry.copy_of}"]
        else:
            value = entry.to_theirs(np.asarray(variables[entry.ours]))
        tensors[naming.prefix + entry.theirs] = value
    return tensors
