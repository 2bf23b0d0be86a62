"""Tables of comma-separated values as people's programs write them; spellings of columns are known, in one place."""

import contextlib
import csv
import io
import pathlib
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from e2wsol import files
from e2wsol.errors import UserError

# What a column may be called, capitals, blanks and underscores not counted.
COLUMNS = {
    "path": ("path", "file", "filename", "filepath", "image", "imagepath", "imagename", "img"),
    "class": ("class", "classname", "label", "category"),
    "split": ("split", "subset", "set"),
}


def read_rows(path: pathlib.Path) -> tuple[list[str], Iterator[tuple[str, list[str]]]]:
    """The cells of a table, comma, semicolon or tab between them, a header first.

    Args:
      path: its file, see files.read_text.

    Returns:
      (the header's cells, (where it is, such as "boxes.csv: line 3", cells without blanks around them) of every other
      row that is not empty).

    Raises:
      UserError: no table; while rows are read, one with another number of cells than the header.
      OSError: no such file.
    """
    text = files.read_text(path)
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    with _named(path):
        header = next(reader, [])
    return header, _rows(path, reader, len(header))


def _rows(path: pathlib.Path, reader: Any, count: int) -> Iterator[tuple[str, list[str]]]:
    with _named(path):
        for row in reader:
            where = f"{path}: line {reader.line_num}"
            if any(cell.strip() for cell in row):
                if len(row) != count:
                    raise UserError(f"{where}: {len(row)} cells, but the header has {count}; quote cells with a comma")
                yield where, [cell.strip() for cell in row]


@contextlib.contextmanager
def _named(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except csv.Error as error:
        raise UserError(f"{path}: not a table of comma-separated values ({error})") from None


def columns_by_role(path: pathlib.Path, header: Sequence[str], expected: str) -> tuple[list[str], dict[str, int]]:
    """Which column of a table is which.

    Args:
      path: the table, for messages.
      header: its header's cells.
      expected: what would be right, for messages.

    Returns:
      (the columns' names without capitals, blanks and underscores, {role in COLUMNS: number of its column}).

    Raises:
      UserError: a column comes twice, two mean the same, or none holds the pictures' names.
    """
    names = [name.strip().casefold().replace("_", "").replace(" ", "") for name in header]
    doubled = next((header[i] for i, name in enumerate(names) if name in names[:i]), None)
    if doubled is not None:
        raise UserError(f"{path}: column '{doubled.strip()}' twice; {expected}")
    by_role: dict[str, int] = {}
    for role, spellings in COLUMNS.items():
        found = [names.index(name) for name in spellings if name in names]
        if len(found) > 1:
            raise UserError(f"{path}: columns '{header[found[0]]}' and '{header[found[1]]}' both mean the {role}")
        if found:
            by_role[role] = found[0]
    if "path" not in by_role:
        raise UserError(f"{path}: no column 'path'; {expected}")
    return names, by_role


def normal(text: str) -> str:
    """The text with accents as one character (NFC), as most programs write it; file systems may keep two."""
    return unicodedata.normalize("NFC", text)


def picture_name(text: str) -> str:
    r"""A picture's name as a table gives it, as it is compared: kind of slash and a leading "./" do not count.

    Example:
      >>> picture_name(".\\gulls\\a.jpg")
      'gulls/a.jpg'
    """
    plain = normal(text.replace("\\", "/"))
    while plain.startswith("./"):
        plain = plain[2:]
    return plain
