"""CUB-200-2011 in its original layout, or its .tgz: official split, one box a bird, masks where they are.

The folder holds images.txt, image_class_labels.txt, bounding_boxes.txt (x y width height),
train_test_split.txt, classes.txt and images/; segmentations/ (a separate download, there or
beside the folder) gives masks, in which the gray value says how many of five annotators saw the bird:
more than half makes the object.

Equal lines of a table count once; two that differ about one number are an error. Entries, pictures and
segmentations that belong to no line of images.txt are passed over.
"""

import math
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from e2wsol.data import picture_files
from e2wsol.data.picture_files import PassedOver
from e2wsol.errors import ArgumentError, UserError, some
from tfrecords import archive
from tfrecords.items import FileItem, Listing, Location, read_text
from tfrecords.masks import MaskFile

_MAX_DIGITS = 18
_MAX_COORDINATE = 1e30  # far outside of any picture, and a float32 still
_ROOT_FILE = "images.txt"
_FOLDER_IN_ARCHIVE = "CUB_200_2011"
_NAMED = 5
_Box = tuple[float, float, float, float]
_T = TypeVar("_T")


def list_pictures(path: pathlib.Path, output: pathlib.Path) -> Listing:
    """The `Listing` of a CUB folder, of its parent, or of CUB_200_2011.tgz (unpacked beside `output`)."""
    root = _root(path, output)
    images = _images(root / _ROOT_FILE)
    names = _table(root / "classes.txt", str, "a number and a name")
    _refuse_doubled(root / "classes.txt", names)
    passed_over: list[PassedOver] = []
    label_of = _table(root / "image_class_labels.txt", _identity, "an image and a class number", images, passed_over)
    boxes = _table(root / "bounding_boxes.txt", _corners, "an image and x y width height", images, passed_over)
    split_of = _table(root / "train_test_split.txt", _split, "an image and 1 or 0", images, passed_over)
    masks = _masks(root, images.values(), passed_over)
    passed_over += _unlisted(root / "images", set(images.values()))
    labels = {identity: number for number, identity in enumerate(sorted(names))}
    splits: dict[str, list[FileItem]] = {"train": [], "test": []}
    for identity, name in images.items():
        if label_of[identity] not in labels:
            reason = f"image {identity} has class {label_of[identity]}, not in classes.txt"
            raise UserError(f"{root / 'image_class_labels.txt'}: {reason}")
        location = Location(str(root / "images" / name))
        item = FileItem(name, labels[label_of[identity]], location, (boxes[identity],), masks.get(_stem(name)))
        splits[split_of[identity]].append(item)
    # A few boxes of the original reach further out than one pixel; what lies outside is cut.
    return Listing(
        "CUB-200-2011",
        tuple(names[identity] for identity in sorted(names)),
        {split: items for split, items in splits.items() if items},
        slack=float("inf"),
        passed_over=tuple(passed_over),
    )


def _root(path: pathlib.Path, output: pathlib.Path) -> pathlib.Path:
    if path.is_file():
        if not archive.is_archive(path):
            raise ArgumentError("input", path, "expected the CUB_200_2011 folder or CUB_200_2011.tgz")
        path = archive.unpack(path, output.with_name(output.name + ".unpacked"))
    for root in (path, path / _FOLDER_IN_ARCHIVE):
        if (root / _ROOT_FILE).is_file():
            return root
    raise ArgumentError("input", path, f"no {_ROOT_FILE} here; expected the CUB_200_2011 folder or CUB_200_2011.tgz")


def _images(path: pathlib.Path) -> dict[int, str]:
    """Image number -> path below images/."""
    images = _table(path, lambda text: str(pathlib.PurePosixPath(text)), "a number and a path")
    if not images:
        raise UserError(f"{path}: lists no image")
    for identity, name in images.items():
        below = pathlib.PurePosixPath(name)
        if below.is_absolute() or ".." in below.parts or not below.name:
            raise UserError(f"{path}: image {identity} is {name}, which lies outside of images/")
    _refuse_doubled(path, images)
    return images


def _table(
    path: pathlib.Path,
    parse: Callable[[str], _T],
    expected: str,
    images: Mapping[int, str] | None = None,
    passed_over: list[PassedOver] | None = None,
) -> dict[int, _T]:
    """A table: the number that starts a line -> what `parse` makes of the rest.

    With `images`, it must have an entry for each of them; those of others are left out and put into `passed_over`.
    """
    if not path.is_file():
        raise UserError(f"{path}: not found; it is part of CUB_200_2011")
    entries: dict[int, _T] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            first, rest = line.strip().split(maxsplit=1)
            identity, value = _identity(first), parse(rest)
        except ValueError:
            raise UserError(f"{path}: line {number}: expected {expected}") from None
        if entries.setdefault(identity, value) != value:
            raise UserError(f"{path}: line {number}: says otherwise about {identity} than a line above")
    if images is None or passed_over is None:
        return entries
    if missing := [str(identity) for identity in images if identity not in entries]:
        raise UserError(f"{path}: no entry for image {some(missing, _NAMED)}")
    passed_over += [
        PassedOver(f"{path}: {identity}", f"entries of numbers that {_ROOT_FILE} lacks")
        for identity in sorted(entries.keys() - images.keys())
    ]
    return {identity: entries[identity] for identity in images}


def _identity(text: str) -> int:
    if not text.isdecimal() or len(text) > _MAX_DIGITS:
        raise ValueError(text)
    return int(text)


def _corners(text: str) -> _Box:
    """`x y width height` as corners; not-a-number where one is not finite, which the builder takes for a bad box."""
    numbers = [float(value) for value in text.split()]
    x, y, width, height = [value if abs(value) < _MAX_COORDINATE else math.nan for value in numbers]
    return x, y, x + width, y + height


def _split(text: str) -> str:
    if text not in ("0", "1"):
        raise ValueError(text)
    return "train" if text == "1" else "test"


def _refuse_doubled(path: pathlib.Path, names: Mapping[int, str]) -> None:
    owners: dict[str, int] = {}
    for identity, name in names.items():
        if owners.setdefault(name, identity) != identity:
            raise UserError(f"{path}: {owners[name]} and {identity} are both {name}")


def _unlisted(folder: pathlib.Path, listed: set[str]) -> list[PassedOver]:
    """What lies in images/ and is no image of the table."""
    if not folder.is_dir():
        raise UserError(f"{folder}: not found; it is part of CUB_200_2011")
    found = picture_files.find(folder)
    reason = f"pictures that {_ROOT_FILE} does not list"
    others = [*found.passed_over, *(PassedOver(str(file), reason) for file in found.pictures)]
    return [each for each in others if pathlib.Path(each.path).relative_to(folder).as_posix() not in listed]


def _masks(root: pathlib.Path, names: Iterable[str], passed_over: list[PassedOver]) -> dict[str, MaskFile]:
    """Path of a picture without suffix -> its mask; the folder's own segmentations/ go before those beside it."""
    wanted = {_stem(name) for name in names}
    masks: dict[str, MaskFile] = {}
    for folder in (root / "segmentations", root.parent / "segmentations"):
        if not folder.is_dir():
            continue
        found = picture_files.find(folder)
        passed_over += found.passed_over
        for file in found.pictures:
            stem = _stem(file.relative_to(folder).as_posix())
            if file.suffix.lower() != ".png":
                passed_over.append(PassedOver(str(file), "segmentations that are no .png"))
            elif stem not in wanted:
                passed_over.append(PassedOver(str(file), "segmentations without a picture"))
            elif stem in masks:
                passed_over.append(PassedOver(str(file), "segmentations of a picture that has another"))
            else:
                masks[stem] = MaskFile(Location(str(file)), "majority")
    return masks


def _stem(name: str) -> str:
    """A path below images/ or segmentations/ without its suffix."""
    return str(pathlib.PurePosixPath(name).with_suffix(""))
