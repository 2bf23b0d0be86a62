"""Which images a command line or a call of `predict` means, and what their outputs are called."""

import collections
import dataclasses
import functools
import os
import pathlib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from e2wsol.data import images, picture_files
from e2wsol.data.picture_files import FoundFiles, PassedOver
from e2wsol.errors import ArgumentError, UserError


@dataclasses.dataclass(frozen=True)
class PictureFile:
    """One picture to work on.

    Attributes:
      path: where it is.
      name: its path below the folder it was found in (a lone file: its own name), with slashes; the
        path as given where two folders hold the same name. Unique.
      label: its path below the folder without suffix, by which annotation tools find its label file. Two pictures may
        have the same.
      stem: the label, numbered where two would be equal, for other output files. Unique, also where capitals do not
        count.
    """

    path: pathlib.Path
    name: str
    label: str
    stem: str

    @property
    def copy(self) -> str:
        """The label with the picture's suffix: the name of what is made for it by name. Two pictures may share it."""
        return copy_name(self.label, self.name)


def copy_name(label: str, name: str) -> str:
    """What a copy of a picture is called beside its label file: the label with the suffix of the picture's name."""
    return label + pathlib.PurePosixPath(name).suffix


def find_pictures(
    arguments: Sequence[str | os.PathLike], *, leave_out: Collection[str | os.PathLike] = ()
) -> tuple[list[PictureFile], tuple[PassedOver, ...]]:
    """The pictures among files and folders, folders searched all the way down in sorted order.

    Files given by name are taken whatever their suffix; in folders those that `picture_files.find` takes. A picture
    that is reached twice is listed once.

    Args:
      arguments: paths of files and folders.
      leave_out: files, and folders, to skip, such as those of an earlier output.

    Returns:
      (list of PictureFile, not empty; the files in the folders that were passed over).

    Raises:
      UserError: a path does not exist, or there is no picture at all.
    """
    if not arguments:
        raise UserError("no picture given: name picture files or folders behind the flags")
    found: dict[pathlib.Path, tuple[pathlib.Path, str]] = {}
    folder_of = functools.cache(lambda folder: folder.resolve())  # the system is asked once a folder
    skipped = {folder_of(path.parent) / path.name for path in map(pathlib.Path, leave_out)}
    passed_over: list[PassedOver] = []
    for argument in arguments:
        path = pathlib.Path(argument)
        if not path.exists():
            raise UserError(f"{path}: no such picture or folder")
        inside = picture_files.find(path) if path.is_dir() else FoundFiles((path,), ())
        passed_over += inside.passed_over
        for file in inside.pictures:
            place = folder_of(file.parent) / file.name
            if not skipped.isdisjoint((place, *place.parents)):
                continue
            name = file.relative_to(path).as_posix() if path.is_dir() else file.name
            found.setdefault(file.resolve(), (file, _printable(name)))
    if not found:
        instead = f" (but {picture_files.summary(passed_over)})" if passed_over else ""
        raise UserError(
            f"{', '.join(map(str, arguments))}: no picture found{instead}; suffixes {', '.join(images.SUFFIXES)} count"
        )
    return _named(list(found.values())), tuple(passed_over)


def _printable(text):
    """The text without bytes that are no UTF-8, which file names may hold."""
    return os.fsencode(text).decode("utf-8", "replace")


def _named(entries):
    count = collections.Counter(name for _, name in entries)
    taken: set[str] = set()
    pictures = []
    for path, name in entries:
        unique = name if count[name] == 1 else _printable(path.as_posix())
        label = pathlib.PurePosixPath(name).with_suffix("").as_posix()
        pictures.append(PictureFile(path, unique, label, _free_stem(label, taken)))
    return pictures


def _free_stem(stem, taken):
    free, number = stem, 1
    while free.casefold() in taken:
        number += 1
        free = f"{stem}_{number}"
    taken.add(free.casefold())
    return free


@dataclasses.dataclass(frozen=True, eq=False)
class ImageInput:
    """One image that a caller gave: its file, or its pixels.

    Attributes:
      image: pathlib.Path, or uint8 RGB (H, W, 3).
    """

    image: Any

    def read(self) -> np.ndarray:
        """The upright pixels, uint8 RGB (H, W, 3).

        Raises:
          UserError: a file that is no readable image.
        """
        if isinstance(self.image, pathlib.Path):
            return images.decode(picture_files.read(self.image), self.image)[0]
        return self.image


def image_inputs(given: Any) -> tuple[bool, list[ImageInput]]:
    """What a caller of `predict` gave, as a list.

    Args:
      given: a file, a folder, a uint8 array (H, W, 3), or a list of files and arrays.

    Returns:
      (whether it may be several, the list).

    Raises:
      UserError: a path that does not exist, a folder without an image, an array that is no uint8 RGB image.
    """
    if isinstance(given, (str, os.PathLike)):
        path = pathlib.Path(given)
        if path.is_dir():
            return True, [ImageInput(found.path) for found in find_pictures([str(path)])[0]]
        return False, [_input(path)]
    if isinstance(given, (list, tuple)):
        return True, [_input(each) for each in given]
    array = np.asarray(given)
    if array.ndim == 4:
        return True, [_input(each) for each in array]
    return False, [_input(array)]


def _input(given: Any) -> ImageInput:
    if isinstance(given, (str, os.PathLike)):
        path = pathlib.Path(given)
        if not path.is_file():
            raise ArgumentError("images", given, "no such image")
        return ImageInput(path)
    array = np.asarray(given)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] != 3 or not array.size:
        raise ArgumentError(
            "images", None, f"an array of {array.dtype} {array.shape}; expected uint8 RGB (height, width, 3)"
        )
    return ImageInput(array)
