"""ImageNet (ILSVRC 2012 CLS-LOC): labels in the order of sorted synset names, 0 to 999.

<input> holds either train/<wnid>/*.JPEG and val/ (flat, or sorted into <wnid> folders), or the archives
ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, which are read in place without unpacking.

The 50,000 validation pictures, which every localization paper scores, become split "test"; "val" is
left for pictures that thresholds are chosen on (`BuildOptions.holdout`).

Boxes are the CLS-LOC PASCAL-VOC files (one XML a picture, any number of objects; those of the label's
synset count), or a list in E2Net's form, lines of `name<tab>label<tab>x0 y0 x1 y1`. Corners are taken as
right and bottom edges as they stand, as all published evaluations do: they reach the picture's width.
"""

import dataclasses
import io
import pathlib
import re
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from e2wsol.config import option
from e2wsol.data.images import is_picture
from e2wsol.errors import ArgumentError, UserError
from tfrecords import archive
from tfrecords.items import FileItem, Listing, Location, RawPicture, read_text

_TRAIN_TAR, _VAL_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
_MAX_XML_BYTES = 1 << 24
_WNID = re.compile(r"n\d{8}")
_BOX_PLACES = ("ILSVRC2012_bbox_val_v3.tgz", "Annotations/CLS-LOC/val", "bbox_val", "val.txt")
_TRAIN_BOX_PLACES = ("Annotations/CLS-LOC/train", "bbox_train")
_WORD_PLACES = ("synset_words.txt", "LOC_synset_mapping.txt", "words.txt")
_Named = tuple[str, Location]


@dataclasses.dataclass(frozen=True)
class IlsvrcOptions:
    """Where the parts of ImageNet are when they do not lie in the input folder under their usual names."""

    ilsvrc_boxes: str = option(
        "", f"boxes of val: folder or archive of XML files, or a list; default: {', '.join(_BOX_PLACES)} in --input"
    )
    ilsvrc_train_boxes: str = option(
        "",
        f"boxes of train, where wanted: folder with <wnid>/*.xml; default: {', '.join(_TRAIN_BOX_PLACES)} in --input",
    )
    ilsvrc_words: str = option(
        "", f"names, lines of `n01440764 tench, ...`; default: {', '.join(_WORD_PLACES)} in --input, else bare wnids"
    )


@dataclasses.dataclass(frozen=True)
class VocItem(FileItem):
    """A training picture whose boxes are still in an XML file."""

    annotation: str = ""
    wnid: str = ""

    def read(self) -> RawPicture:
        """Reads picture and boxes."""
        found = parse_voc(Location(self.annotation).read(), self.annotation)
        return RawPicture(
            self.location.read(), np.asarray([box for name, box in found if name == self.wnid], np.float32)
        )


def list_pictures(path: pathlib.Path, options: IlsvrcOptions) -> Listing:
    """The `Listing` of ImageNet at `path`; splits "train" and "test", those that are there."""
    train = _train_files(path)
    val = _val_files(path)
    if not train and not val:
        raise ArgumentError("input", path, f"no train or val folder, no {_TRAIN_TAR}, no {_VAL_TAR}")
    annotations = _val_annotations(path, options) if val else {}
    wnids = sorted(set(train) | {wnid for wnid, _ in annotations.values() if _WNID.fullmatch(str(wnid))})
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    splits: dict[str, list[FileItem]] = {}
    if train:
        boxes = _place(path, options, "ilsvrc_train_boxes", _TRAIN_BOX_PLACES)
        splits["train"] = [
            _train_item(name, location, wnid, label, boxes)
            for wnid, label in labels.items()
            for name, location in train.get(wnid, ())
        ]
    if val:
        splits["test"] = [_val_item(name, location, annotations, labels) for name, location in val]
    return Listing("ILSVRC2012", _class_names(path, options, wnids), splits, slack=float("inf"))


def _place(root: pathlib.Path, options: IlsvrcOptions, argument: str, places: Sequence[str]) -> pathlib.Path | None:
    """The path that the options give, else the first usual place in `root`, else None."""
    if given := getattr(options, argument):
        if not pathlib.Path(given).exists():
            raise ArgumentError(argument, given, "not found", owner=IlsvrcOptions)
        return pathlib.Path(given)
    return next((root / place for place in places if (root / place).exists()), None)


def _train_files(root: pathlib.Path) -> dict[str, list[_Named]]:
    """Maps wnid to [(name, Location)], from train/<wnid>/ or from the archive of archives."""
    if (root / "train").is_dir():
        folders = [folder for folder in sorted((root / "train").iterdir()) if folder.is_dir()]
        files = {folder.name: _files_in(folder, "train") for folder in folders}
    elif (root / _TRAIN_TAR).is_file():
        files = _nested_tar(root / _TRAIN_TAR)
    else:
        return {}
    for wnid, found in files.items():
        if not found:
            raise UserError(f"{root}: class {wnid} has no picture in train")
    return files


def _files_in(folder: pathlib.Path, split: str) -> list[_Named]:
    found = sorted(file for file in folder.iterdir() if is_picture(file))
    return [(f"{split}/{folder.name}/{file.name}", Location(str(file))) for file in found]


def _nested_tar(path: pathlib.Path) -> dict[str, list[_Named]]:
    """The train archive holds one archive a class; a picture is a range of bytes of the outer file."""
    files = {}
    with archive.open_tar(path, "r:") as outer:
        for member in outer:
            if not member.isfile():
                continue
            wnid = pathlib.PurePosixPath(member.name).stem
            with archive.open_tar(f"{path}:{member.name}", "r:", outer.extractfile(member)) as inner:
                files[wnid] = _tar_files(inner, str(path), member.offset_data, f"train/{wnid}")
    return files


def _tar_files(tar: tarfile.TarFile, path: str, start: int, prefix: str) -> list[_Named]:
    members = [member for member in tar if member.isfile() and is_picture(pathlib.PurePosixPath(member.name))]
    return [
        (f"{prefix}/{pathlib.PurePosixPath(m.name).name}", Location(path, start + m.offset_data, m.size))
        for m in sorted(members, key=lambda member: member.name)
    ]


def _val_files(root: pathlib.Path) -> list[_Named]:
    """[(name, Location)] of the validation pictures, in order of name."""
    if (root / "val").is_dir():
        found = sorted((file for file in (root / "val").rglob("*") if is_picture(file)), key=lambda file: file.name)
        if not found:
            raise UserError(f"{root / 'val'}: holds no picture")
        return [(f"val/{file.name}", Location(str(file))) for file in found]
    if (root / _VAL_TAR).is_file():
        with archive.open_tar(root / _VAL_TAR, "r:") as tar:
            return _tar_files(tar, str(root / _VAL_TAR), 0, "val")
    return []


def _train_item(name: str, location: Location, wnid: str, label: int, boxes: pathlib.Path | None) -> FileItem:
    path = boxes and boxes / wnid / f"{pathlib.PurePosixPath(name).stem}.xml"
    if path and path.is_file():
        return VocItem(name, label, location, annotation=str(path), wnid=wnid)
    return FileItem(name, label, location)


def _val_item(
    name: str, location: Location, annotations: dict[str, tuple[Any, tuple]], labels: dict[str, int]
) -> FileItem:
    stem = pathlib.PurePosixPath(name).stem
    if stem not in annotations:
        raise UserError(f"{name}: no box annotation; are the boxes of all validation pictures there?")
    owner, boxes = annotations[stem]
    label = labels.get(owner, owner)
    if not isinstance(label, int) or not 0 <= label < len(labels):
        raise UserError(f"{name}: label {label} of its annotation; there are {len(labels)} classes")
    return FileItem(name, label, location, boxes)


def _val_annotations(root: pathlib.Path, options: IlsvrcOptions) -> dict[str, tuple[Any, tuple]]:
    """Stem of a validation picture -> (wnid or label number, boxes)."""
    place = _place(root, options, "ilsvrc_boxes", _BOX_PLACES)
    if place is None:
        raise ArgumentError(
            "input", root, f"no boxes of the validation pictures; put {_BOX_PLACES[0]} there or give ilsvrc_boxes"
        )
    if place.is_file() and not archive.is_archive(place):
        return _read_list(place)
    return {stem: _labelled(parse_voc(data, stem), stem) for stem, data in _xml_files(place)}


def _xml_files(place: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    """(stem, bytes) of each XML file in a folder or an archive."""
    if place.is_dir():
        for file in place.rglob("*.xml"):
            yield file.stem, Location(str(file)).read()
        return
    with archive.open_tar(place) as tar:
        for member in tar:
            if member.isfile() and member.name.endswith(".xml"):
                content = archive.member_bytes(tar, member, _MAX_XML_BYTES)
                yield pathlib.PurePosixPath(member.name).stem, content


def _labelled(objects: list[tuple[str, tuple]], name: str) -> tuple[str, tuple]:
    """The label's synset is that of the first object; boxes of other synsets are left out."""
    if not objects:
        raise UserError(f"{name}.xml: names no object")
    wnid = objects[0][0]
    return wnid, tuple(box for owner, box in objects if owner == wnid)


def parse_voc(data: bytes, name: str) -> list[tuple[str, tuple]]:
    """Objects of a PASCAL-VOC annotation: [(name, (x0, y0, x1, y1))]."""
    try:
        root: Any = ElementTree.parse(io.BytesIO(data)).getroot()
        return [
            (entry.findtext("name").strip(), tuple(float(entry.find("bndbox").findtext(key)) for key in _VOC_SIDES))
            for entry in root.iter("object")
        ]
    except (ElementTree.ParseError, AttributeError, TypeError, ValueError, LookupError) as error:
        raise UserError(f"{name}: not a PASCAL-VOC annotation ({error})") from None


_VOC_SIDES = ("xmin", "ymin", "xmax", "ymax")


def _read_list(path: pathlib.Path) -> dict[str, tuple[Any, tuple]]:
    """E2Net's labels/ILSVRC/val.txt; a picture with several lines has several boxes."""
    annotations: dict[str, tuple[Any, tuple]] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        fields = line.split()
        try:
            name, label = fields[0], int(fields[1])
            x0, y0, x1, y1 = map(float, fields[2:])
        except (IndexError, ValueError):
            raise UserError(f"{path}: line {number}: expected name, label, x0 y0 x1 y1") from None
        stem = pathlib.PurePosixPath(name).stem
        boxes = annotations.get(stem, (label, ()))[1]
        annotations[stem] = (label, (*boxes, (x0, y0, x1, y1)))
    return annotations


def _class_names(root: pathlib.Path, options: IlsvrcOptions, wnids: Sequence[str]) -> tuple[str, ...]:
    """`wnid first-name` for each class; bare wnids where no list of names is found."""
    place = _place(root, options, "ilsvrc_words", _WORD_PLACES)
    if place is None:
        return tuple(wnids)
    lines = [line.split(maxsplit=1) for line in read_text(place).splitlines() if line.strip()]
    words = {fields[0]: fields[1].split(",")[0].strip() for fields in lines if len(fields) == 2}
    return tuple(f"{wnid} {words[wnid]}" if wnid in words else wnid for wnid in wnids)
