"""boxes.csv: which box belongs to which picture. Spellings of other tools are known, everything else is refused."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence

from e2wsol.errors import UserError
from e2wsol.tables import columns_by_role, normal, read_rows
from tfrecords.folder_layout import SPLITS, ClassPicture, find_name

# Corners by the names of each convention; x1 is left in one of them and right in another, so a set counts whole.
_CORNERS = (
    ("x0", "y0", "x1", "y1"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
_SIZES = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height"))
_PICTURE_SIZE = (("width", "height"), ("imagewidth", "imageheight"))
FORMATS = ("corners", "xywh")


@dataclasses.dataclass
class Annotation:
    """What the rows of one picture say.

    Attributes:
      split: "train", "val", "test" or None.
      size: (height, width) of the picture that was annotated, or None.
      boxes: tuples x0, y0, x1, y1 in pixels, ends exclusive.
    """

    split: str | None = None
    size: tuple[int, int] | None = None
    boxes: tuple[tuple[float, float, float, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class _Columns:
    """Numbers of a table's columns."""

    by_role: dict[str, int]
    box: tuple[int, ...]
    size: tuple[int, ...]


def read(path: pathlib.Path, pictures: Mapping[str, ClassPicture], box_format: str, ends: str) -> dict[str, Annotation]:
    """Picture name -> `Annotation` from a table; empty where there is no such file.

    Rows of one picture add their boxes; the same box twice counts once. What they say of split and size must agree.

    Args:
      path: the table: comma, semicolon or tab between cells, a header, one row a box.
      pictures: the pictures by name.
      box_format: "corners", or "xywh": left, top, width, height.
      ends: for corners, "inclusive" where the last two are the object's last pixels, "exclusive" where the ones after.

    Raises:
      UserError: a column that is not known, a row that cannot be right or that contradicts another.
    """
    if not path.is_file():
        return {}
    header, rows = read_rows(path)
    columns = _columns(path, header, box_format)
    annotations: dict[str, Annotation] = {}
    for where, row in rows:
        _add(where, row, columns, pictures, annotations, box_format, ends)
    return annotations


def _columns(path: pathlib.Path, header: Sequence[str], box_format: str) -> _Columns:
    expected = "expected path,class,split,x0,y0,x1,y1[,width,height]"
    names, by_role = columns_by_role(path, header, expected)
    box = _first_set(names, _CORNERS if box_format == "corners" else _SIZES)
    size = _first_set([name if column not in box else "" for column, name in enumerate(names)], _PICTURE_SIZE)
    used = {*by_role.values(), *box, *size}
    unknown = [header[column].strip() for column in range(len(names)) if column not in used]
    if unknown:
        raise UserError(f"{path}: {_about_unknown(unknown, names, box, box_format)}; {expected}")
    if box_format == "xywh" and not box:
        raise UserError(f"{path}: box_format=xywh, but no columns x,y,w,h or x,y,width,height")
    return _Columns(by_role, box, size)


def _first_set(names: Sequence[str], sets: Sequence[Sequence[str]]) -> tuple[int, ...]:
    found = next((each for each in sets if all(name in names for name in each)), ())
    return tuple(names.index(name) for name in found)


def _about_unknown(unknown: Sequence[str], names: Sequence[str], box: tuple[int, ...], box_format: str) -> str:
    if not box and box_format == "corners" and _first_set(names, _SIZES):
        return "has columns of left, top, width and height; say so by box_format=xywh"
    listed = ", ".join(f"'{name}'" for name in unknown)
    some = "" if box else ", and no four corners"
    return f"column {listed} is not known{some}; rename or remove it"


def _add(
    where: str,
    row: Sequence[str],
    columns: _Columns,
    pictures: Mapping[str, ClassPicture],
    annotations: dict[str, Annotation],
    box_format: str,
    ends: str,
) -> None:
    cells = {role: row[column] for role, column in columns.by_role.items()}
    name = find_name(cells["path"], pictures)
    if name is None:
        raise UserError(f"{where}: no picture {cells['path']}{_similar(cells['path'], pictures)}")
    folder = pictures[name].class_name
    if cells.get("class") and normal(cells["class"]) != folder:
        raise UserError(f"{where}: class {cells['class']}, but {name} lies in {folder}")
    new = Annotation(
        split=_split(where, cells.get("split", "")),
        size=_size(where, [row[column] for column in columns.size]),
        boxes=_box(where, [row[column] for column in columns.box], box_format, ends),
    )
    old = annotations.setdefault(name, new)
    if old is new:
        return
    for what in ("split", "size"):
        if getattr(old, what) != getattr(new, what):
            raise UserError(f"{where}: {name} has another {what} than in a row before")
    if not old.boxes or not new.boxes:
        raise UserError(f"{where}: {name} has a row without a box and another row")
    old.boxes += tuple(box for box in new.boxes if box not in old.boxes)


def _similar(path: str, pictures: Mapping[str, ClassPicture]) -> str:
    near = next((name for name in pictures if name.casefold() == normal(path).casefold()), None)
    return f"; did you mean {near}?" if near else ""


def _split(where: str, text: str) -> str | None:
    if not text:
        return None
    for split, spellings in SPLITS.items():
        if text.casefold() in spellings:
            return split
    raise UserError(f"{where}: split '{text}'; choose one of {', '.join(SPLITS)}")


def _size(where: str, cells: Sequence[str]) -> tuple[int, int] | None:
    if not any(cells):
        return None
    width, height = _numbers(where, cells, "width,height")
    return int(height), int(width)


def _box(where: str, cells: Sequence[str], box_format: str, ends: str) -> tuple:
    """A tuple with the row's box, or empty."""
    if not any(cells):
        return ()
    if box_format == "xywh":
        x, y, width, height = _numbers(where, cells, "x,y,width,height")
        return ((x, y, x + width, y + height),)
    x0, y0, x1, y1 = _numbers(where, cells, "x0,y0,x1,y1")
    last = 1.0 if ends == "inclusive" else 0.0
    return ((x0, y0, x1 + last, y1 + last),)


def _numbers(where: str, cells: Sequence[str], columns: str) -> list[float]:
    try:
        numbers = [float(cell) for cell in cells]
        if not all(map(math.isfinite, numbers)):
            raise ValueError
        return numbers
    except ValueError:
        raise UserError(f"{where}: expected numbers in {columns}") from None
