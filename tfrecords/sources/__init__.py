"""One module a data source, each with a `list_pictures`, and the registry of their names."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

from e2wsol.data.synthetic import SyntheticOptions
from e2wsol.errors import ArgumentError
from tfrecords.items import Listing
from tfrecords.sources import cub, folder, ilsvrc, synthetic, tfds


@dataclasses.dataclass(frozen=True)
class NoSourceOptions:
    """A source without flags of its own."""


@dataclasses.dataclass(frozen=True)
class DataSource:
    """A data source.

    Attributes:
      list_pictures: f(BuildOptions, Options instance) -> `items.Listing`.
      Options: dataclass of the source's own flags.
      needs_input: whether it reads `BuildOptions.input`.
    """

    list_pictures: Callable[..., Listing]
    Options: type = NoSourceOptions
    needs_input: bool = True


def existing_input(build: Any) -> pathlib.Path:
    """`BuildOptions.input` as a path.

    Raises:
      ArgumentError: there is nothing.
    """
    path = pathlib.Path(build.input)
    if not path.exists():
        raise ArgumentError("input", path, "not found")
    return path


SOURCES = {
    "cub": DataSource(lambda build, _: cub.list_pictures(existing_input(build), pathlib.Path(build.output))),
    "folder": DataSource(
        lambda build, options: folder.list_pictures(pathlib.Path(build.input), options, build.mask_rule),
        folder.FolderOptions,
    ),
    "ilsvrc": DataSource(
        lambda build, options: ilsvrc.list_pictures(existing_input(build), options), ilsvrc.IlsvrcOptions
    ),
    "synthetic": DataSource(lambda _, options: synthetic.list_pictures(options), SyntheticOptions, needs_input=False),
    "tfds": DataSource(
        lambda build, options: tfds.list_pictures(build.input, options, build.mask_rule), tfds.TfdsOptions
    ),
}


# The options of all sources, for the builder's flags.
AllOptions = dataclasses.make_dataclass(
    "AllOptions",
    [(name, source.Options) for name, source in SOURCES.items() if dataclasses.fields(source.Options)],
    frozen=True,
)
