"""CUB-200-2011 in its original layout, or its .tgz: official split, one box a bird, masks where they are.

The folder holds images.txt, image_class_labels.txt, bounding_boxes.txt (x y width height),
train_test_split.txt, classes.txt and images/; segmentations/ (a separate download, there or
beside the folder) gives masks, in which the gray value says how many of five annotators saw the bird:
more than half makes the object.
"""

import pathlib
from collections.abc import Sequence

from e2wsol.errors import ArgumentError, UserError
from tfrecords import archive
from tfrecords.items import FileItem, Listing, Location, read_text
from tfrecords.masks import MaskFile

_MAX_DIGITS = 18
_ROOT_FILE = "images.txt"
_FOLDER_IN_ARCHIVE = "CUB_200_2011"


def list_pictures(path: pathlib.Path, output: pathlib.Path) -> Listing:
    """The `Listing` of a CUB folder, of its parent, or of CUB_200_2011.tgz (unpacked beside `output`)."""
    root = _root(path, output)
    names = _table(root / "classes.txt", 2)
    classes = tuple(name for _, (name,) in sorted(names.items(), key=lambda entry: int(entry[0])))
    labels = {identity: number for number, identity in enumerate(sorted(names, key=int))}
    label_of = _table(root / "image_class_labels.txt", 2)
    boxes = _table(root / "bounding_boxes.txt", 5)
    in_train = _table(root / "train_test_split.txt", 2)
    splits: dict[str, list[FileItem]] = {"train": [], "test": []}
    for identity, (name,) in _table(root / _ROOT_FILE, 2).items():
        if pathlib.PurePosixPath(name).is_absolute() or ".." in pathlib.PurePosixPath(name).parts:
            raise UserError(f"{root}/{_ROOT_FILE}: image {identity} is {name}, which lies outside of images/")
        (class_id,) = _entry(label_of, identity, root / "image_class_labels.txt")
        if class_id not in labels:
            raise UserError(f"{root}/image_class_labels.txt: image {identity} has class {class_id}, not in classes.txt")
        box = _corners(_entry(boxes, identity, root / "bounding_boxes.txt"), root, identity)
        split = "train" if _entry(in_train, identity, root / "train_test_split.txt") == ["1"] else "test"
        location = Location(str(root / "images" / name))
        splits[split].append(FileItem(name, labels[class_id], location, (box,), _mask(root, name)))
    # A few boxes of the original reach further out than one pixel; what lies outside is cut.
    return Listing("CUB-200-2011", classes, splits, slack=float("inf"))


def _root(path: pathlib.Path, output: pathlib.Path) -> pathlib.Path:
    if path.is_file():
        if not archive.is_archive(path):
            raise ArgumentError("input", path, "expected the CUB_200_2011 folder or CUB_200_2011.tgz")
        path = archive.unpack(path, output.with_name(output.name + ".unpacked"))
    for root in (path, path / _FOLDER_IN_ARCHIVE):
        if (root / _ROOT_FILE).is_file():
            return root
    raise ArgumentError("input", path, f"no {_ROOT_FILE} here; expected the CUB_200_2011 folder or CUB_200_2011.tgz")


def _table(path: pathlib.Path, columns: int) -> dict[str, list[str]]:
    """A text file of `columns` blank-separated columns: first column to the others."""
    if not path.is_file():
        raise UserError(f"{path}: not found; it is part of CUB_200_2011")
    rows = [line.split(maxsplit=columns - 1) for line in read_text(path).splitlines() if line.strip()]
    for number, row in enumerate(rows, 1):
        if len(row) != columns or not row[0].isdecimal() or len(row[0]) > _MAX_DIGITS:
            raise UserError(f"{path}: entry {number} should be a number and {columns - 1} more columns")
    return {row[0]: row[1:] for row in rows}


def _entry(table: dict[str, list[str]], identity: str, path: pathlib.Path) -> list[str]:
    if identity not in table:
        raise UserError(f"{path}: no entry for image {identity}")
    return table[identity]


def _corners(values: Sequence[str], root: pathlib.Path, identity: str) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = map(float, values)
    except ValueError:
        raise UserError(f"{root}/bounding_boxes.txt: image {identity} has no four numbers") from None
    return x, y, x + width, y + height


def _mask(root: pathlib.Path, name: str) -> MaskFile | None:
    for folder in (root / "segmentations", root.parent / "segmentations"):
        path = (folder / name).with_suffix(".png")
        if path.is_file():
            return MaskFile(Location(str(path)), "majority")
    return None
