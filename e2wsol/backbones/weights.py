"""Where a backbone's start weights come from."""

import dataclasses
import os
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np

from e2wsol.backbones import BackboneOptions, architecture
from e2wsol.errors import ArgumentError


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What a load did: paths of the backbone's variables, and keys of the source."""

    filled: tuple[str, ...]
    not_filled: tuple[str, ...]
    unused: tuple[str, ...]

    def text(self) -> str:
        """One line for the log."""
        line = f"start weights: {len(self.filled)} variables filled, {len(self.not_filled)} left at their initial value"
        if self.not_filled:
            line += f" ({_some(self.not_filled)})"
        return line + (f"; not used from the source: {_some(self.unused)}" if self.unused else "")


def load_start_weights(
    backbone: keras.Model, options: BackboneOptions, source: str, *, argument: str = "weights"
) -> LoadReport | None:
    """Fills a backbone's variables from `source`, by layer name.

    Args:
      backbone: what e2wsol.backbones.build returned.
      options: its BackboneOptions.
      source: "none", "imagenet" (keras.applications' weights of the same network), or a file: .npz
        with variable paths (layer/variable) as keys, a .keras model of the same backbone, or keras.applications'
        file of it without its top (.h5).
      argument: the caller's argument that names the source, for messages.

    Returns:
      LoadReport, or None for "none".

    Raises:
      ArgumentError: no such file, another shape under the same name, or nothing fitted.
    """
    if source == "none":
        return None
    if source == "imagenet":
        values = applications_values(options, argument=argument)
    else:
        values = _file_values(source, options, argument)
    variables = {variable.path: variable for variable in backbone.weights}
    # Behind a gate the backbone holds layers of the method: start weights do not have them.
    filled = [path for path in variables if path in values]
    if not filled:
        problem = f"no variable fits {options.backbone}; it names {_some(sorted(values))}, the network has "
        raise ArgumentError(argument, source, problem + _some(sorted(variables)))
    for path in filled:
        if tuple(values[path].shape) != tuple(variables[path].shape):
            found, needed = tuple(values[path].shape), tuple(variables[path].shape)
            problem = f"{path} has shape {found}, the network needs {needed}; check backbone_width"
            raise ArgumentError(argument, source, problem)
    for path in filled:
        variables[path].assign(values[path])
    not_filled = tuple(path for path in variables if path not in values)
    return LoadReport(tuple(filled), not_filled, tuple(sorted(set(values) - set(variables))))


def _some(names: Sequence[str], limit: int = 4) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def applications_values(
    options: BackboneOptions, file: str = "", *, argument: str = "weights"
) -> dict[str, np.ndarray]:
    """{our path: value} of keras.applications' network of the same name, without its classifier.

    Args:
      options: BackboneOptions.
      file: the .h5 file to read; empty for the one that Keras downloads or has.
      argument: the caller's argument that names it, for messages.

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
    if family.applications_order:
        ours = _by_number(source, family.applications_order)
    else:
        ours = {theirs: mine for mine, theirs in family.application_layers.items()}
    return _renamed({variable.path: variable.numpy() for variable in source.weights}, ours)


def _by_number(source: keras.Model, order: Iterable[str]) -> dict[str, str]:
    """{their layer name: ours} for a model that leaves the names to Keras, which numbers layers as they are made.

    Numbers count on from model to model, so the order of the numbers counts, not their value; and
    the model lists its layers by depth, not in that order.
    """
    ours: dict[str, str] = {}
    for kind, suffix in ((keras.layers.Conv2D, ""), (keras.layers.BatchNormalization, "_bn")):
        theirs = sorted((layer.name for layer in source.layers if isinstance(layer, kind)), key=_number)
        ours.update(zip(theirs, (name + suffix for name in order), strict=True))
    return ours


def _number(layer_name: str) -> int:
    """Keras' running number in a layer's name: 3 for conv2d_3, 0 for conv2d."""
    match = re.search(r"_(\d+)$", layer_name)
    return int(match[1]) if match else 0


def _renamed(values: Mapping[str, np.ndarray], layers: Mapping[str, str]) -> dict[str, np.ndarray]:
    renamed = {}
    for path, value in values.items():
        layer, _, variable = path.partition("/")
        renamed[f"{layers.get(layer, layer)}/{variable}"] = value
    return renamed


def _file_values(path: str, options: BackboneOptions, argument: str) -> dict[str, np.ndarray]:
    if not os.path.isfile(path):
        raise ArgumentError(argument, path, "no such file; give none, imagenet or a weights file")
    if path.endswith(".npz"):
        return _npz_values(path, argument)
    if path.endswith(".h5"):
        return applications_values(options, path, argument=argument)
    if path.endswith(".keras"):
        try:
            model = keras.saving.load_model(path, compile=False)
        except (ValueError, TypeError, OSError) as error:
            raise ArgumentError(argument, path, f"not a .keras model ({error})") from None
        return {variable.path: np.asarray(variable.value) for variable in model.weights}
    raise ArgumentError(
        argument,
        path,
        "unknown kind of file; give .npz, .keras or .h5, or make an .npz of it with "
        f"python -m e2wsol.convert --from={path} --backbone={options.backbone} --to=NAME.npz",
    )


def _npz_values(path: str, argument: str) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ArgumentError(argument, path, f"not a readable .npz file ({error})") from None
