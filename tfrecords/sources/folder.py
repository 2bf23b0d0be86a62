"""Your own pictures: one folder a class, with boxes and masks where there are any.

Layouts: <input>/<class>/*, <input>/images/<class>/*, or <input>/{train,val,test}/<class>/*.
Optional beside them:
  boxes.csv      path,class,split,x0,y0,x1,y1[,width,height]; one row a box, `path` from the folder that
                 holds the class folders (or the split folders). Only `path` is needed: without a split
                 column the split comes from a hash, with empty coordinates the picture has no box.
                 Pictures without a row are training pictures.
  masks/         a gray picture of the same size for each picture, same path with suffix .png
  contours.json  {path: [[x, y], ...]} or {path: [[[x, y], ...], ...]}; outlines in pixels, filled
"""

import csv
import dataclasses
import io
import json
import math
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from e2wsol.config import option
from e2wsol.data.images import is_picture
from e2wsol.errors import ArgumentError, UserError
from tfrecords import splits as split_tools
from tfrecords.items import FileItem, Item, Listing, Location, read_text
from tfrecords.masks import MaskFile, Outlines

_SPLITS = ("train", "val", "test")
_MAX_COORDINATE = 1e5  # pixels: far outside of any picture, and far from what OpenCV cannot fill
_SIDES = ("x0", "y0", "x1", "y1")


@dataclasses.dataclass(frozen=True)
class FolderOptions:
    """How a folder of pictures is read."""

    box_ends: str = option(
        "inclusive",
        "boxes.csv: inclusive = x1, y1 are the last pixels of the object; exclusive = the first ones after it",
        choices=("inclusive", "exclusive"),
    )
    test_fraction: float = option(
        0.2, "part of each class that a hash puts into test when nothing says the split", minimum=0.0, maximum=0.9
    )


@dataclasses.dataclass
class _Annotation:
    split: str | None = None
    size: tuple[int, int] | None = None
    boxes: tuple = ()


def list_pictures(path: pathlib.Path, options: FolderOptions, mask_rule: str) -> Listing:
    """The `Listing` of a folder of pictures; `mask_rule` is one of `masks.MASK_RULES`."""
    if not path.is_dir():
        raise ArgumentError("input", path, "no such folder")
    pictures = path / "images" if (path / "images").is_dir() else path
    files = _find_pictures(pictures)
    classes = tuple(sorted({class_name for _, class_name, _ in files.values()}))
    annotations = _read_boxes(path / "boxes.csv", files, options)
    outlines = _read_outlines(path / "contours.json", files)
    splits: dict[str, list[Item]] = {}
    for name, (file, class_name, split) in files.items():
        annotation = annotations.get(name, _Annotation())
        item = FileItem(
            source_id=name,
            label=classes.index(class_name),
            location=Location(str(file)),
            boxes=annotation.boxes,
            mask=outlines.get(name) or _mask_file(path / "masks", name, mask_rule),
            annotated_size=annotation.size,
        )
        splits.setdefault(_split_of(name, split, annotation.split), []).append(item)
    return Listing(path.resolve().name, classes, _with_test(splits, options))


def _find_pictures(root: pathlib.Path) -> dict[str, tuple[pathlib.Path, str, str | None]]:
    """Relative name -> (path, class name, split folder or None), in order of name."""
    split_folders = [root / name for name in _SPLITS if (root / name).is_dir()]
    found: list[tuple[pathlib.Path, str | None]] = [(folder, folder.name) for folder in split_folders]
    files = {}
    for folder, split in found or [(root, None)]:
        for class_folder in _subfolders(folder):
            names = sorted(file for file in class_folder.rglob("*") if is_picture(file) and file.is_file())
            if not names:
                raise UserError(f"{class_folder}: class folder holds no picture")
            for file in names:
                files[file.relative_to(root).as_posix()] = (file, class_folder.name, split)
    return files


def _subfolders(folder: pathlib.Path) -> list[pathlib.Path]:
    others = ("masks", "images")
    found = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    found = [entry for entry in found if entry.name not in others]
    if not found:
        raise UserError(f"{folder}: no class folders here; expected <class>/<picture>")
    return found


def _split_of(name: str, from_folder: str | None, from_table: str | None) -> str:
    if from_folder and from_table and from_folder != from_table:
        raise UserError(f"boxes.csv: {name} has split {from_table}, but lies in folder {from_folder}")
    return from_folder or from_table or "unknown"


def _with_test(splits: dict[str, list[Item]], options: FolderOptions) -> dict[str, list[Item]]:
    """Hash split when nothing says it; else pictures that nothing assigns are training pictures."""
    unknown = splits.pop("unknown", [])
    if not splits:
        train, test = split_tools.hold_out(unknown, options.test_fraction, "test")
        return {"train": train, "test": test} if test else {"train": train}
    if unknown:
        splits.setdefault("train", []).extend(unknown)
    return splits


def _read_boxes(path: pathlib.Path, files: Mapping[str, Any], options: FolderOptions) -> dict[str, _Annotation]:
    """Name -> _Annotation from boxes.csv, or nothing where there is none."""
    if not path.is_file():
        return {}
    try:
        table = csv.DictReader(io.StringIO(read_text(path), newline=""))
        if "path" not in (table.fieldnames or ()):
            raise UserError(f"{path}: no column 'path'; expected path,class,split,x0,y0,x1,y1")
        rows = list(table)
    except csv.Error as error:
        raise UserError(f"{path}: not a table of comma-separated values ({error})") from None
    annotations: dict[str, _Annotation] = {}
    for line, row in enumerate(rows, 2):
        if row["path"] not in files:
            raise UserError(f"{path}: line {line}: no picture {row['path']}")
        _check_class(path, line, row, files)
        annotation = annotations.setdefault(row["path"], _Annotation())
        annotation.split = _split(path, line, row)
        annotation.boxes += _box(path, line, row, options)
        if row.get("width") and row.get("height"):
            height, width = _numbers(path, line, row, ("height", "width"))
            annotation.size = int(height), int(width)
    return annotations


def _check_class(path: pathlib.Path, line: int, row: dict[str, str], files: Mapping[str, Any]) -> None:
    folder = files[row["path"]][1]
    if row.get("class") and row["class"] != folder:
        raise UserError(f"{path}: line {line}: class {row['class']}, but {row['path']} lies in {folder}")


def _split(path: pathlib.Path, line: int, row: dict[str, str]) -> str | None:
    split = row.get("split") or None
    if split not in (None, *_SPLITS):
        raise UserError(f"{path}: line {line}: split '{split}'; choose one of {', '.join(_SPLITS)}")
    return split


def _box(path: pathlib.Path, line: int, row: dict[str, str], options: FolderOptions) -> tuple:
    """A tuple with the row's box, or empty."""
    if not any(row.get(side) for side in _SIDES):
        return ()
    x0, y0, x1, y1 = _numbers(path, line, row, _SIDES)
    last = 1.0 if options.box_ends == "inclusive" else 0.0
    return ((x0, y0, x1 + last, y1 + last),)


def _numbers(path: pathlib.Path, line: int, row: dict[str, str], columns: Sequence[str]) -> list[float]:
    try:
        numbers = [float(row[column]) for column in columns]
        if not all(map(math.isfinite, numbers)):
            raise ValueError
        return numbers
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path}: line {line}: expected numbers in {','.join(columns)}") from None


def _read_outlines(path: pathlib.Path, files: Collection[str]) -> dict[str, Outlines]:
    if not path.is_file():
        return {}
    text = read_text(path)
    try:
        outlines = {name: Outlines(_polygons(entry)) for name, entry in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError) as error:
        raise UserError(f"{path}: expected {{path: [[x, y], ...]}} ({error})") from None
    for name in outlines:
        if name not in files:
            raise UserError(f"{path}: no picture {name}")
    return outlines


def _polygons(entry: Any) -> tuple[tuple[tuple[float, float], ...], ...]:
    """One polygon or a list of them, as nested tuples."""
    nested = isinstance(entry[0][0], list)
    polygons = tuple(tuple((float(x), float(y)) for x, y in polygon) for polygon in (entry if nested else [entry]))
    for polygon in polygons:
        for point in polygon:
            if not max(map(abs, point)) <= _MAX_COORDINATE:  # NaN is not either
                raise ValueError(f"point {point}")
    return polygons


def _mask_file(folder: pathlib.Path, name: str, mask_rule: str) -> MaskFile | None:
    path = (folder / name).with_suffix(".png")
    return MaskFile(Location(str(path)), mask_rule) if path.is_file() else None
