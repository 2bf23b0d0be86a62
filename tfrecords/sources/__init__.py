"""One module a data source, each with a `list_pictures`, and the registry of their names."""

import dataclasses
import pathlib
from collections.abc import Callable

from e2wsol.data.synthetic import SyntheticOptions
from e2wsol.errors import UserError
from tfrecords.items import Listing
from tfrecords.sources import cub, folder, ilsvrc, synthetic, tfds


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """A source without flags of its own."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A data source.

    Attributes:
      list_pictures: f(BuildOptions, Options instance) -> `items.Listing`.
      Options: dataclass of the source's own flags.
      needs_input: whether it reads --input.
    """

    list_pictures: Callable[..., Listing]
    Options: type = NoOptions
    needs_input: bool = True


def existing_input(build):
    """--input as a path; a UserError where there is nothing."""
    path = pathlib.Path(build.input)
    if not path.exists():
        raise UserError(f"--input={path}: not found")
    return path


SOURCES = {
    "cub": Source(lambda build, _: cub.list_pictures(existing_input(build), pathlib.Path(build.output))),
    "folder": Source(
        lambda build, options: folder.list_pictures(pathlib.Path(build.input), options, build.mask_rule),
        folder.FolderOptions,
    ),
    "ilsvrc": Source(lambda build, options: ilsvrc.list_pictures(existing_input(build), options), ilsvrc.IlsvrcOptions),
    "synthetic": Source(lambda _, options: synthetic.list_pictures(options), SyntheticOptions, needs_input=False),
    "tfds": Source(lambda build, options: tfds.list_pictures(build.input, options, build.mask_rule), tfds.TfdsOptions),
}


# The options of all sources, for the builder's flags.
AllOptions = dataclasses.make_dataclass(
    "AllOptions",
    [(name, source.Options) for name, source in SOURCES.items() if dataclasses.fields(source.Options)],
    frozen=True,
)
