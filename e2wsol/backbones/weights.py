"""Where a backbone's start weights come from."""

import contextlib
import dataclasses
import math
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence

import h5py
import keras
import numpy as np

from e2wsol import model_files, reading
from e2wsol.backbones import Architecture, BackboneOptions, architecture
from e2wsol.errors import ArgumentError, some

# A file that lacks a layer passes (MobileNetV1 without its last convolution fills 67 %); another network that has some
# layers of the same name and shape does not.
LEAST_SHARE = 0.5
_NAMED = 4
_OF_RELEASES = "weights"  # folder of the start files that released flagfiles name


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What a load did: paths of the backbone's variables, and keys of the source.

    Attributes:
      source: as it was given.
      filled, not_filled: paths of the backbone's variables.
      unused: names in the source that no variable takes.
      share: part of the backbone's numbers that the source fills, 0 to 1, those of inserted layers aside.
    """

    source: str
    filled: tuple[str, ...]
    not_filled: tuple[str, ...]
    unused: tuple[str, ...]
    share: float

    def text(self) -> str:
        """One line for the log."""
        count = len(self.filled) + len(self.not_filled)
        line = f"start weights: {len(self.filled)} of {count} variables from {self.source}"
        if self.not_filled:
            line += f" ({self.share:.1%} of the numbers); missing: {some(self.not_filled, _NAMED)}"
        return line + (f"; not used from the source: {some(self.unused, _NAMED)}" if self.unused else "")


def load_start_weights(
    backbone: keras.Model,
    options: BackboneOptions,
    source: str,
    *,
    argument: str = "weights",
    allow_partial: bool = False,
) -> LoadReport | None:
    """Fills a backbone's variables from `source`, by layer name.

    Args:
      backbone: what e2wsol.backbones.build returned.
      options: its BackboneOptions.
      source: "none", "imagenet" (keras.applications' weights of the same network), or a file: .npz with variable paths
        (layer/variable) as keys, a .keras or .h5 model, or .weights.h5. In a file layers have our names or those of
        keras.applications, and the network may be a part of a larger model.
      argument: the caller's argument that names the source, for messages.
      allow_partial: whether to go on with less than LEAST_SHARE of the backbone's numbers.

    Returns:
      LoadReport, or None for "none".

    Raises:
      ArgumentError: no such file, another shape under the same name, or too little fitted.

    Example:
      >>> options = BackboneOptions(backbone="mobilenet_v1")
      >>> report = load_start_weights(backbones.build(options, 224), options, "mobilenet.npz")
      >>> report.share
      1.0
    """
    if source == "none":
        return None
    variables = {variable.path: variable for variable in backbone.weights}
    shapes = {path: tuple(variable.shape) for path, variable in variables.items()}
    values, unused = start_values(source, options, shapes, argument=argument)
    # Layers of a method within the backbone are in no file of start weights.
    own = [path for path in shapes if path.partition("/")[0] not in backbone.inserted_names]
    report = LoadReport(
        source,
        filled=tuple(path for path in variables if path in values),
        not_filled=tuple(path for path in variables if path not in values),
        unused=unused,
        share=_numbers(shapes, [path for path in own if path in values]) / max(1, _numbers(shapes, own)),
    )
    if report.share < LEAST_SHARE and not allow_partial:
        problem = (
            f"fills {report.share:.1%} of the numbers of {options.backbone} ({len(report.filled)} of {len(variables)} "
            f"variables; missing: {some(report.not_filled, _NAMED)}), less than half; give weights of that network, or "
            "allow_partial_weights=true"
        )
        raise ArgumentError(argument, source, problem)
    for path in report.filled:
        variables[path].assign(values[path])
    return report


def start_values(
    source: str, options: BackboneOptions, shapes: Mapping[str, tuple[int, ...]], *, argument: str = "weights"
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """What a source of start weights holds for a backbone.

    Args:
      source: as in `load_start_weights`, but for "none".
      options: the backbone's BackboneOptions.
      shapes: {path: shape} of the backbone's variables.
      argument: the caller's argument that names the source, for messages.

    Returns:
      ({path of a variable: its value}, names in the source that no variable takes).

    Raises:
      ArgumentError: no such file, another shape under the same name, or nothing fitted.
    """
    values = applications_values(options, argument) if source == "imagenet" else _file_values(source, options, argument)
    names = _fitting(values, shapes, architecture(options.backbone))
    if not names:
        problem = f"no variable fits {options.backbone}; it names {some(sorted(values), _NAMED)}, the network has "
        raise ArgumentError(argument, source, problem + some(sorted(shapes), _NAMED))
    for path, name in names.items():
        if values[name].shape != shapes[path]:
            problem = f"{path} has shape {values[name].shape}, the network needs {shapes[path]}; check backbone_width"
            raise ArgumentError(argument, source, problem)
    unused = tuple(sorted(values.keys() - set(names.values())))
    return {path: values[name] for path, name in names.items()}, unused


def _fitting(
    values: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], family: Architecture
) -> dict[str, str]:
    """{our path: name in the source} of the part of a source, and of the way to name its layers, that fits most."""
    best: dict[str, str] = {}
    for prefix in sorted({prefix for name in values for prefix in _prefixes(name)}):
        inside = {name.removeprefix(prefix): name for name in values if name.startswith(prefix)}
        for layers in _namings(inside, family):
            found = {}
            for name in inside:
                layer, _, variable = name.partition("/")
                if (ours := f"{layers.get(layer, layer)}/{variable}") in shapes:
                    found[ours] = inside[name]
            if _numbers(shapes, found) > _numbers(shapes, best):
                best = found
    return best


def _prefixes(name: str) -> Iterator[str]:
    """What may stand in front of layer/variable where the network is a part of a model: "", "vgg16/", ..."""
    parts = name.split("/")
    for depth in range(max(1, len(parts) - 1)):
        yield "".join(f"{part}/" for part in parts[:depth])


def _namings(names: Iterable[str], family: Architecture) -> Iterator[dict[str, str]]:
    """{a source's layer name: ours}, one for each way in which the layers may be called."""
    yield {}
    if family.application_layers:
        yield {theirs: ours for ours, theirs in family.application_layers.items()}
    if family.applications_order:
        yield _by_number({name.partition("/")[0] for name in names}, family.applications_order)


def _by_number(layers: Iterable[str], order: Sequence[str]) -> dict[str, str]:
    """{their layer name: ours} for a model that leaves the names to Keras, which numbers layers as they are made.

    Numbers count on from model to model, so the order of the numbers counts, not their value. Layers that were made
    behind the network, such as a head, come last.
    """
    ours: dict[str, str] = {}
    for kind, suffix in (("conv2d", ""), ("batch_normalization", "_bn")):
        theirs = sorted((name for name in layers if re.fullmatch(rf"{kind}(_\d+)?", name)), key=_number)
        if len(theirs) >= len(order):
            ours.update(zip(theirs, (name + suffix for name in order)))
    return ours


def _number(layer_name: str) -> int:
    """Keras' running number in a layer's name: 3 for conv2d_3, 0 for conv2d."""
    match = re.search(r"_(\d+)$", layer_name)
    return int(match[1]) if match else 0


def _numbers(shapes: Mapping[str, tuple[int, ...]], paths: Iterable[str]) -> int:
    return sum(math.prod(shapes[path]) for path in paths)


def _weights_of(model: keras.Model, argument: str, source: str) -> dict[str, np.ndarray]:
    """{path: value} of a model's variables."""
    values: dict[str, np.ndarray] = {}
    for variable in model.weights:
        if variable.path in values:
            problem = f"holds two variables called {variable.path}; save the network alone that is to be used"
            raise ArgumentError(argument, source, problem)
        values[variable.path] = keras.ops.convert_to_numpy(variable)
    return values


def applications_values(options: BackboneOptions, argument: str = "weights", file: str = "") -> dict[str, np.ndarray]:
    """{keras.applications' path: value} of its network of the same name, without its classifier.

    Args:
      options: BackboneOptions.
      argument: the caller's argument that names it, for messages.
      file: the file of weights to read; empty for the one that Keras downloads or has.

    Raises:
      ArgumentError: keras.applications has no network that fits, or the file cannot be had or read.
    """
    family = architecture(options.backbone)
    given = file or "imagenet"
    if family.applications is None:
        reason = family.applications_misfit or f"keras.applications has no {options.backbone}"
        raise ArgumentError(argument, given, f"{reason}; give a file, or none")
    network = getattr(keras.applications, family.applications)
    try:
        if file.endswith(".weights.h5"):
            source = network(weights=None, include_top=False)
            _load_part(source, file)
        else:
            source = network(weights=file or "imagenet", include_top=False)
    except Exception as error:  # keras raises a bare Exception when its download fails
        if file:
            problem = f"not keras.applications' {family.applications} without its top ({error})"
        else:
            problem = (
                f"the file of keras.applications.{family.applications} cannot be had ({error}); on a machine without "
                "network put it into ~/.keras/models, or give a file"
            )
        raise ArgumentError(argument, given, problem) from None
    return _weights_of(source, argument, given)


def _load_part(network: keras.Model, file: str) -> None:
    """Loads a .weights.h5 of the network, or of a model that has it as a part.

    Raises:
      ValueError: no part of the file fits.
    """
    with h5py.File(file) as stored:
        parts = [name for name in ("/", *_groups(stored)) if "layers" in stored[name]]
        for part in parts:
            with tempfile.TemporaryDirectory() as folder:
                alone = os.path.join(folder, "part.weights.h5")
                with h5py.File(alone, "w") as copy:
                    for name in stored[part]:
                        stored.copy(stored[part][name], copy, name)
                try:
                    return network.load_weights(alone)
                except ValueError as error:
                    if part == parts[-1]:
                        raise ValueError(f"no part of it fits; {error}") from None
    raise ValueError("holds no layers")


def _groups(stored: h5py.File) -> list[str]:
    names: list[str] = []
    stored.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Group) else None)
    return names


def _file_values(path: str, options: BackboneOptions, argument: str) -> dict[str, np.ndarray]:
    """{name in a file: value}."""
    if not os.path.isfile(path):
        made = os.path.basename(os.path.dirname(path)) == _OF_RELEASES
        name = os.path.splitext(os.path.basename(path))[0]
        how = f"bash scripts/prepare_weights.sh {name} makes it" if made else "give none, imagenet or a weights file"
        raise ArgumentError(argument, path, f"no such file; {how}")
    if path.endswith(".npz"):
        return reading.arrays(path, argument=argument)
    if path.endswith(".keras") or (path.endswith(".h5") and _is_whole_model(path)):
        model = model_files.load(path, "not a .keras model", argument=argument)
        return _weights_of(model, argument, path)
    if path.endswith(".h5"):
        return applications_values(options, argument, path)
    raise ArgumentError(
        argument,
        path,
        "unknown kind of file; give .npz, .keras or .h5, or make an .npz of it with "
        f"python -m e2wsol.convert --from={path} --backbone={options.backbone} --to=NAME.npz",
    )


def _is_whole_model(path: str) -> bool:
    """Whether an .h5 file holds a model and not weights alone."""
    with contextlib.suppress(OSError), h5py.File(path) as stored:  # what is no .h5 is named by who reads it
        return "model_config" in stored.attrs
    return False
