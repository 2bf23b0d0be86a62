"""How a released file calls the tensors of a network: the terms in which the tables of this folder are written."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

Shapes = Mapping[str, tuple[int, ...]]  # {path of our variable: shape}


@dataclasses.dataclass(frozen=True)
class TensorPair:
    """One of their tensors and the variable of ours that holds it.

    Attributes:
      theirs: name in their file, without "module." and ":0".
      ours: path of our variable, as releases.variables has it.
      shape: in their layout.
      axes: their array, transposed so, is ours; None: as it is.
      unit_axes: leading axes of length 1 that ours does without (slim's classifier is a 1x1 convolution).
    """

    theirs: str
    ours: str
    shape: tuple[int, ...]
    axes: tuple[int, ...] | None = None
    unit_axes: int = 0

    def to_ours(self, value: np.ndarray) -> np.ndarray:
        """Their array, of `shape`, in our layout."""
        value = np.asarray(value)
        if self.axes:
            return np.ascontiguousarray(value.transpose(self.axes))
        return value.reshape(self.shape[self.unit_axes :])

    def to_theirs(self, value: np.ndarray) -> np.ndarray:
        """The inverse of to_ours, to the bit."""
        value = np.asarray(value)
        if self.axes:
            return np.ascontiguousarray(value.transpose(np.argsort(self.axes)))
        return value.reshape(self.shape)


@dataclasses.dataclass(frozen=True)
class UnpairedTensor:
    """A tensor of their file that no variable of ours takes: written, so that their loader finds it; ignored when read.

    Attributes:
      theirs: as in TensorPair.
      shape: in their layout.
      copy_of: name of their tensor whose value it repeats; None for an int64 counter, 0.
    """

    theirs: str
    shape: tuple[int, ...]
    copy_of: str | None = None

    @property
    def why_ignored(self) -> str:
        """Why nothing is read from it."""
        return f"{self.copy_of} stands in its place" if self.copy_of else "a counter of batches, which nothing uses"


@dataclasses.dataclass(frozen=True)
class TensorNaming:
    """How one released file calls the tensors of one network.

    Attributes:
      title: for messages, e.g. "BAS's release for ImageNet (vgg16)".
      container: "pytorch", or "tensorflow" (.npz and TF1 checkpoints).
      entries: TensorPairs and UnpairedTensors in the order in which the authors' network registers them.
      ignored: (regular expression for a whole name, why): what else may be in such a file.
      ordered: whether their files keep the order of `entries`; PyTorch's do.
      prefix: what their files put before each name: "module." where trained under DataParallel.
      wrapper: key of the file's dict under which the tensors lie; "" for a bare state_dict.
    """

    title: str
    container: str
    entries: tuple[TensorPair | UnpairedTensor, ...]
    ignored: tuple[tuple[str, str], ...] = ()
    ordered: bool = True
    prefix: str = ""
    wrapper: str = ""

    @property
    def pairs(self) -> tuple[TensorPair, ...]:
        """The TensorPairs alone."""
        return tuple(entry for entry in self.entries if isinstance(entry, TensorPair))

    def why_ignored(self, name: str) -> str | None:
        """Why a tensor called `name` may be in a file without being read; None if it may not."""
        unpaired = (entry for entry in self.entries if isinstance(entry, UnpairedTensor))
        reasons = (
            *(entry.why_ignored for entry in unpaired if entry.theirs == name),
            *(reason for pattern, reason in self.ignored if re.fullmatch(pattern, name)),
        )
        return next(iter(reasons), None)


@dataclasses.dataclass(frozen=True)
class Release:
    """What the authors of a method released, and how images reach their network.

    Attributes:
      backbones: names of the architectures.
      namings: f(backbone, variables) -> a TensorNaming for each kind of file of that network.
      preprocessing: the scheme of BackboneOptions that its weights were trained with.
      conventions: whose padding and epsilons it has.
      resize: the library that its evaluation resizes with: "pillow" (antialiased) or "opencv" (not).
    """

    backbones: tuple[str, ...]
    namings: Callable[[str, Shapes], Iterable[TensorNaming]]
    preprocessing: str
    conventions: str
    resize: str

    @property
    def backbone_options(self) -> dict[str, str]:
        """{field of BackboneOptions: value} that a model with these weights must have."""
        return {"preprocessing": self.preprocessing, "backbone_conventions": self.conventions}


def pair_up(layers: Mapping[str, str], endings: Mapping[str, str], variables: Shapes) -> Iterator[TensorPair]:
    """TensorPairs, both layouts alike, of all variables that belong to one of the layers.

    Args:
      layers: {our layer: theirs}, in their order.
      endings: {what follows the layer in our paths: what does in their names}, in their order.
      variables: {our path: shape}.
    """
    for layer, theirs in layers.items():
        for ending, their_ending in endings.items():
            path = layer + ending
            if path in variables:
                yield TensorPair(theirs + their_ending, path, tuple(variables[path]))
