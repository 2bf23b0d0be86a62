"""The classes of pictures that are known: from the folders that they lie in, or from a table."""

import collections
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence

from e2wsol.errors import ArgumentError, UserError, some
from e2wsol.prediction.inputs import PictureFile
from e2wsol.tables import columns_by_role, normal, picture_name, read_rows

FOLDER = "folder"
_NAMED = 3  # pictures that a message names
_EXPECTED = "expected columns path and class"


def known_labels(labels: str, pictures: Sequence[PictureFile], class_names: Sequence[str]) -> list[int]:
    """The class of every picture.

    Args:
      labels: FOLDER for the name of the folder that a picture lies in, or a table of file names and classes: comma,
        semicolon or tab between cells, a header with columns such as path and class, others are not looked at. A name
        is the end of a picture's path, such as "a.jpg" or "gulls/a.jpg"; where several rows fit, the longest counts.
      pictures: the pictures.
      class_names: the model's classes in label order.

    Returns:
      Their numbers, in the order of `pictures`.

    Raises:
      UserError: a class that the model does not know, a picture that the table does not name, or not clearly.
    """
    by_name = {normal(name): label for label, name in enumerate(class_names)}
    where, names = (labels, _folders(pictures)) if labels == FOLDER else _from_table(pathlib.Path(labels), pictures)
    unknown = [f"{name} ({file.name})" for file, name in zip(pictures, names) if name not in by_name]
    if unknown:
        problem = f"no class of the model: {some(unknown, _NAMED)}; it knows {some(list(class_names), _NAMED)}"
        raise ArgumentError("labels", where, problem)
    return [by_name[name] for name in names]


def _folders(pictures: Iterable[PictureFile]) -> list[str]:
    return [normal(pathlib.Path(os.path.abspath(file.path)).parent.name) for file in pictures]


def _from_table(path: pathlib.Path, pictures: Sequence[PictureFile]) -> tuple[str, list[str]]:
    if not path.is_file():
        raise ArgumentError("labels", path, f"no such file; give {FOLDER}, or a .csv with columns path and class")
    classes = _read(path)
    rows = [_row(file, classes) for file in pictures]
    missing = [file.name for file, row in zip(pictures, rows) if row is None]
    if missing:
        raise ArgumentError(
            "labels", path, f"no class for {len(missing)} of {len(pictures)} pictures: {some(missing, _NAMED)}"
        )
    used = collections.Counter(rows)
    shared = [f"{file.name} ({row})" for file, row in zip(pictures, rows) if used[row] > 1]
    if shared:
        problem = f"rows that fit several pictures each: {some(shared, _NAMED)}; write more of the path"
        raise ArgumentError("labels", path, problem)
    return str(path), [classes[row] for row in rows if row is not None]


def _read(path: pathlib.Path) -> dict[str, str]:
    """{picture's name: its class} of a table."""
    header, rows = read_rows(path)
    _, columns = columns_by_role(path, header, _EXPECTED)
    if "class" not in columns:
        raise UserError(f"{path}: no column 'class'; {_EXPECTED}")
    classes: dict[str, str] = {}
    for where, row in rows:
        name, label = picture_name(row[columns["path"]]), normal(row[columns["class"]])
        if not name or not label:
            raise UserError(f"{where}: no {'class' if name else 'path'}; {_EXPECTED}")
        if classes.setdefault(name, label) != label:
            raise UserError(f"{where}: class {label}, but {classes[name]} in a row before")
    return classes


def _row(file: PictureFile, classes: Mapping[str, str]) -> str | None:
    """The longest name in a table that a picture's path ends with."""
    parts = picture_name(os.path.abspath(file.path)).split("/")
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end in classes), None)
