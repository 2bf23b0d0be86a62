"""Your own pictures: one folder a class, with boxes and masks where there are any.

Layouts: <input>/<class>/*, <input>/images/<class>/*, or <input>/{train,val,test}/<class>/*.
Optional beside them:
  boxes.csv      path,class,split,x0,y0,x1,y1[,width,height]; one row a box, `path` from the folder that
                 holds the class folders (or the split folders). Only `path` is needed: without a split
                 column the split comes from a hash, with empty coordinates the picture has no box.
                 Pictures without a row are training pictures.
  masks/         a picture of the same size for each picture that has a mask, same path with suffix .png
  contours.json  {path: [[x, y], ...]} or {path: [[[x, y], ...], ...]}; outlines in pixels, filled
What each of these may be called, and what is refused, is in docs/data.md.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from e2wsol import reading
from e2wsol.config import option
from e2wsol.errors import ArgumentError, UserError
from tfrecords import boxes_table, folder_layout
from tfrecords import splits as split_tools
from tfrecords.boxes_table import Annotation
from tfrecords.folder_layout import ClassPicture, find_name
from tfrecords.items import FileItem, Item, Listing, Location, read_text
from tfrecords.masks import Outlines, find_masks

_BOXES, _OUTLINES = "boxes.csv", "contours.json"
_MAX_COORDINATE = 1e5  # pixels: far outside of any picture, and far from what OpenCV cannot fill
_TEST_FRACTION = 0.2
_ALL_FOR_TRAINING = "note: no boxes and no masks, so all pictures are for training; test_fraction keeps some for test"


@dataclasses.dataclass(frozen=True)
class FolderOptions:
    """How a folder of pictures is read."""

    layout: str = option(
        "auto",
        "what the folders in --input are: auto = splits, images and masks by their names, all others classes; "
        "classes = every folder is a class, also one called train, images or masks",
        choices=("auto", "classes"),
    )
    box_format: str = option(
        "corners",
        "boxes.csv: corners = x0,y0,x1,y1 (or xmin,ymin,xmax,ymax; x1,y1,x2,y2; left,top,right,bottom); "
        "xywh = x,y,w,h or x,y,width,height",
        choices=boxes_table.FORMATS,
    )
    box_ends: str = option(
        "inclusive",
        "boxes.csv: inclusive = x1, y1 are the last pixels of the object; exclusive = the first ones after it",
        choices=("inclusive", "exclusive"),
    )
    test_fraction: float = option(
        -1.0,
        f"part of each class that a hash puts into test when nothing says the split; -1 = {_TEST_FRACTION} where any "
        "picture has a box or mask, else none: a test split without them scores no box",
        maximum=0.9,
    )


def list_pictures(path: pathlib.Path, options: FolderOptions, mask_rule: str) -> Listing:
    """The `Listing` of a folder of pictures; `mask_rule` is one of `masks.MASK_RULES`."""
    if not path.is_dir():
        raise ArgumentError("input", path, "no such folder")
    layout = folder_layout.read(path, options.layout, (_BOXES, _OUTLINES))
    pictures = layout.pictures
    annotations = boxes_table.read(path / _BOXES, pictures, options.box_format, options.box_ends)
    outlines = _read_outlines(path / _OUTLINES, pictures)
    masks, no_masks = find_masks(layout.masks, pictures, mask_rule)
    classes = tuple(sorted({picture.class_name for picture in pictures.values()}))
    labels = {name: label for label, name in enumerate(classes)}
    splits: dict[str, list[Item]] = {}
    for name, picture in pictures.items():
        annotation = annotations.get(name, Annotation())
        item = FileItem(
            source_id=name,
            label=labels[picture.class_name],
            location=Location(str(picture.file)),
            boxes=annotation.boxes,
            mask=outlines.get(name) or masks.get(name),
            annotated_size=annotation.size,
        )
        splits.setdefault(_split_of(name, picture.split, annotation.split), []).append(item)
    fraction = options.test_fraction
    notes = [*layout.notes, *_twice(outlines, masks)]
    if fraction < 0:
        annotated = masks or outlines or any(each.boxes for each in annotations.values())
        fraction = _TEST_FRACTION if annotated else 0.0
        if splits.keys() == {"unknown"} and not annotated:
            notes.append(_ALL_FOR_TRAINING)
    return Listing(
        path.resolve().name,
        classes,
        _with_test(splits, fraction),
        passed_over=(*layout.passed_over, *no_masks),
        notes=tuple(notes),
        resolved={"test_fraction": fraction},
    )


def _twice(outlines: Mapping[str, Any], masks: Mapping[str, Any]) -> list[str]:
    both = len(outlines.keys() & masks.keys())
    return [f"note: {both} pictures have outlines and a mask; the outlines count"] if both else []


def _split_of(name: str, from_folder: str | None, from_table: str | None) -> str:
    if from_folder and from_table and from_folder != from_table:
        raise UserError(f"{_BOXES}: {name} has split {from_table}, but lies in folder {from_folder}")
    return from_folder or from_table or "unknown"


def _with_test(splits: dict[str, list[Item]], fraction: float) -> dict[str, list[Item]]:
    """Hash split when nothing says it; else pictures that nothing assigns are training pictures."""
    unknown = splits.pop("unknown", [])
    if not splits:
        train, test = split_tools.hold_out(unknown, fraction, "test")
        return {"train": train, "test": test} if test else {"train": train}
    if unknown:
        splits.setdefault("train", []).extend(unknown)
    return splits


def _read_outlines(path: pathlib.Path, pictures: Mapping[str, ClassPicture]) -> dict[str, Outlines]:
    if not path.is_file():
        return {}
    text = read_text(path)
    with reading.guarded(path, "expected {path: [[x, y], ...]}"):
        outlines = {name: Outlines(_polygons(entry)) for name, entry in json.loads(text).items()}
    named: dict[str, Outlines] = {}
    for given, outline in outlines.items():
        name = find_name(given, pictures)
        if name is None:
            raise UserError(f"{path}: no picture {given}")
        if name in named:
            raise UserError(f"{path}: two entries for {name}")
        named[name] = outline
    return named


def _polygons(entry: Any) -> tuple[tuple[tuple[float, float], ...], ...]:
    """One polygon or a list of them, as nested tuples."""
    nested = isinstance(entry[0][0], list)
    polygons = tuple(tuple((float(x), float(y)) for x, y in polygon) for polygon in (entry if nested else [entry]))
    for polygon in polygons:
        if not polygon:
            raise ValueError("a polygon without points")
        for point in polygon:
            if not max(map(abs, point)) <= _MAX_COORDINATE:  # NaN is not either
                raise ValueError(f"point {point}")
    return polygons
