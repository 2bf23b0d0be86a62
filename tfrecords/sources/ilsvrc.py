"""ImageNet (ILSVRC 2012 CLS-LOC): labels in the order of sorted synset names, 0 to 999.

<input> holds either train/<wnid>/*.JPEG and val/ (flat, or sorted into <wnid> folders), or the archives
ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, which are read in place without unpacking. A wnid is n and
8 digits. Where one folder or archive of train is named so, pictures in another are an error, since every label
behind it would move; a data set none of whose folders is a wnid may call its classes as it likes.

The 50,000 validation pictures, which every localization paper scores, become split "test"; "val" is
left for pictures that thresholds are chosen on (`BuildOptions.holdout`).

Boxes are the CLS-LOC PASCAL-VOC files (one XML a picture, any number of objects; those of the label's
synset count, and those whose name is no wnid), or a list in E2Net's form, lines of `name<tab>label<tab>x0 y0 x1 y1`.
Corners are taken as right and bottom edges as they stand, as all published evaluations do: they reach the picture's
width. They are those of the picture as its file stores it, at the size that the XML says (`frames.of_stored`).
"""

import dataclasses
import functools
import io
import itertools
import pathlib
import re
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from e2wsol.config import option
from e2wsol.data import images, picture_files
from e2wsol.data.picture_files import PassedOver
from e2wsol.errors import ArgumentError, UserError, some
from tfrecords import archive, frames
from tfrecords.items import FileItem, Listing, Location, RawPicture, read_text

_TRAIN_TAR, _VAL_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
_XML, _MAX_XML_BYTES = (".xml",), 1 << 24
_MAX_NUMBER = 1e30  # far outside of any picture, and a float32 still
_MAX_SIDE = 1e6  # pixels
_NAMED = 100
_WNID = re.compile(r"n\d{8}", re.ASCII)
_BOX_PLACES = ("ILSVRC2012_bbox_val_v3.tgz", "Annotations/CLS-LOC/val", "bbox_val", "val.txt")
_TRAIN_BOX_PLACES = ("Annotations/CLS-LOC/train", "bbox_train")
_WORD_PLACES = ("synset_words.txt", "LOC_synset_mapping.txt", "words.txt")
_UNMATCHED = "annotations without a picture"
_FOREIGN_BOX = "boxes of another synset"
_Box = tuple[float, float, float, float]


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


class Annotation(NamedTuple):
    """What a PASCAL-VOC file says.

    Attributes:
      objects: (name, box) of each object, in the file's order.
      size: (height, width) of the picture that it was made for; None where it does not say.
    """

    objects: tuple[tuple[str, _Box], ...]
    size: tuple[int, int] | None


@dataclasses.dataclass(frozen=True)
class StoredFileItem(FileItem):
    """A picture file whose boxes were drawn on it as it is stored, at `annotated_size` where that is known."""

    def read(self) -> RawPicture:
        """Reads the file; the boxes are scaled to it, and turned with it."""
        place = functools.partial(frames.of_stored, size=self.annotated_size)
        return dataclasses.replace(super().read(), place=place)


@dataclasses.dataclass(frozen=True)
class VocItem(FileItem):
    """A training picture whose boxes are still in an XML file.

    Attributes:
      annotation: the XML file.
      wnid: the picture's synset.
    """

    annotation: Location = dataclasses.field(default=Location(""), repr=False)
    wnid: str = ""

    @property
    def inputs(self) -> tuple[Location, ...]:
        """The picture and the XML file."""
        return (*super().inputs, self.annotation)

    def read(self) -> RawPicture:
        """Reads picture and boxes."""
        found = parse_voc(self.annotation.read(), self.annotation.path)
        boxes, _ = _own_boxes(found, self.wnid)
        return StoredFileItem(self.source_id, self.label, self.location, boxes, annotated_size=found.size).read()

    def foreign_boxes(self) -> list[PassedOver]:
        """The boxes of other synsets, which are left out; none where the XML cannot be read, as `read` will say."""
        try:
            found = parse_voc(self.annotation.read(), self.annotation.path)
        except UserError:
            return []
        return _foreign_boxes(found, self.wnid, self.annotation.path)


class _Picture(NamedTuple):
    """A picture's name in the data set, its bytes, and the name of the folder in its split that it lies in, or ""."""

    source_id: str
    location: Location
    folder: str

    @property
    def stem(self) -> str:
        return pathlib.PurePosixPath(self.source_id).stem


class _Found(NamedTuple):
    """The pictures of a folder or an archive, and what lies among them."""

    pictures: list[_Picture]
    passed_over: list[PassedOver]


class _Truth(NamedTuple):
    """The annotation of a validation picture: wnid or label number, boxes, and the size that they were drawn at."""

    owner: str | int
    boxes: tuple[_Box, ...]
    size: tuple[int, int] | None = None


def list_pictures(path: pathlib.Path, options: IlsvrcOptions) -> Listing:
    """The `Listing` of ImageNet at `path`; splits "train" and "test", those that are there."""
    train, passed_over = _train_pictures(path)
    val = _val_pictures(path)
    passed_over += val.passed_over
    if not train and not val.pictures:
        raise ArgumentError("input", path, f"no train or val folder, no {_TRAIN_TAR}, no {_VAL_TAR}")
    truths = _val_truths(path, options, val.pictures, passed_over) if val.pictures else {}
    wnids = sorted(train or {str(truth.owner) for truth in truths.values() if _is_wnid(truth.owner)})
    splits: dict[str, list[FileItem]] = {}
    if train:
        splits["train"] = _train_items(train, wnids, _train_boxes(path, options), passed_over)
    if val.pictures:
        splits["test"] = _test_items(val.pictures, wnids, truths)
    names = _class_names(path, options, wnids)
    return Listing("ILSVRC2012", names, splits, slack=float("inf"), passed_over=tuple(passed_over))


def _is_wnid(name: str | int) -> bool:
    return _WNID.fullmatch(str(name)) is not None


def _own_boxes(annotation: Annotation, wnid: str) -> tuple[tuple[_Box, ...], tuple[str, ...]]:
    """The boxes of a synset, and the names of the other objects.

    An object whose name is no wnid at all ("Chihuahua") is of the picture's synset.
    """
    own = [name == wnid or (_is_wnid(wnid) and not _is_wnid(name)) for name, _ in annotation.objects]
    boxes = tuple(box for (_, box), is_own in zip(annotation.objects, own) if is_own)
    return boxes, tuple(name for (name, _), is_own in zip(annotation.objects, own) if not is_own)


def _foreign_boxes(annotation: Annotation, wnid: str, path: str) -> list[PassedOver]:
    return [PassedOver(f"{path} ({name})", _FOREIGN_BOX) for name in _own_boxes(annotation, wnid)[1]]


def _place(root: pathlib.Path, options: IlsvrcOptions, argument: str, places: Sequence[str]) -> pathlib.Path | None:
    """The path that the options give, else the first usual place in `root`, else None."""
    if given := getattr(options, argument):
        if not pathlib.Path(given).exists():
            raise ArgumentError(argument, given, "not found", owner=IlsvrcOptions)
        return pathlib.Path(given)
    return next((root / place for place in places if (root / place).exists()), None)


def _train_pictures(root: pathlib.Path) -> tuple[dict[str, list[_Picture]], list[PassedOver]]:
    """Wnid -> pictures, from train/<wnid>/ or from the archive of archives; and what is passed over."""
    if (root / "train").is_dir():
        loose = picture_files.in_folder(root / "train")
        folders = picture_files.subfolders(root / "train")
        groups = {folder.name: _in_folder(folder, f"train/{folder.name}") for folder in folders}
        passed_over = [PassedOver(str(file), "pictures outside of class folders") for file in loose.pictures]
        passed_over += loose.passed_over
    elif (root / _TRAIN_TAR).is_file():
        groups, passed_over = _nested_tar(root / _TRAIN_TAR)
    else:
        return {}, []
    classes = {name for name in groups if _is_wnid(name)} or set(groups)
    for name, found in sorted(groups.items()):
        passed_over += found.passed_over
        if name not in classes and not found.pictures:
            passed_over.append(PassedOver(f"train/{name}", "folders that are no synset"))
    if strays := sorted(name for name in groups if name not in classes and groups[name].pictures):
        raise UserError(
            f"{root}: train holds pictures in {', '.join(strays)}, which is no synset (n and 8 digits) and would move"
            " the labels of the others; take it out of train"
        )
    if empty := sorted(name for name in classes if not groups[name].pictures):
        raise UserError(f"{root}: class {', '.join(empty)} has no picture in train")
    return {name: groups[name].pictures for name in sorted(classes)}, passed_over


def _in_folder(folder: pathlib.Path, prefix: str) -> _Found:
    found = picture_files.find(folder)
    pictures = []
    for file in found.pictures:
        below = file.relative_to(folder)
        pictures.append(_Picture(f"{prefix}/{below.as_posix()}", Location(str(file)), below.parent.name))
    return _Found(pictures, list(found.passed_over))


def _nested_tar(path: pathlib.Path) -> tuple[dict[str, _Found], list[PassedOver]]:
    """The train archive holds one archive a class; a picture is a range of bytes of the outer file."""
    with archive.open_tar(path, "r:") as outer:
        members, passed_over = _members(outer, str(path), (".tar",))
        groups: dict[str, _Found] = {}
        for member in members:
            wnid = pathlib.PurePosixPath(member.name).stem
            if wnid in groups:
                raise UserError(f"{path}: holds two archives {wnid}.tar")
            with archive.open_tar(f"{path}:{member.name}", "r:", outer.extractfile(member)) as inner:
                groups[wnid] = _in_tar(inner, str(path), member.offset_data, f"train/{wnid}")
    return groups, passed_over


def _in_tar(tar: tarfile.TarFile, path: str, start: int, prefix: str) -> _Found:
    members, passed_over = _members(tar, path, images.SUFFIXES)
    pictures: dict[str, _Picture] = {}
    for member in sorted(members, key=lambda member: member.name):
        name = pathlib.PurePosixPath(member.name)
        picture = _Picture(
            f"{prefix}/{name.name}", Location(path, start + member.offset_data, member.size), name.parent.name
        )
        if pictures.setdefault(picture.source_id, picture) is not picture:
            raise UserError(f"{path}: holds two pictures {picture.source_id}")
    return _Found(list(pictures.values()), passed_over)


def _members(
    tar: tarfile.TarFile, path: str, suffixes: Sequence[str]
) -> tuple[list[tarfile.TarInfo], list[PassedOver]]:
    """The files with one of `suffixes`, of one name the last as tar unpacks them; and what lies among them."""
    wanted: dict[str, tarfile.TarInfo] = {}
    passed_over = []
    for member in tar:
        reason = None if member.isdir() else _why_not(member, suffixes)
        if reason:
            passed_over.append(PassedOver(f"{path}:{member.name}", reason))
        elif reason is not None:
            wanted[member.name] = member
    return list(wanted.values()), passed_over


def _why_not(member: tarfile.TarInfo, suffixes: Sequence[str]) -> str | None:
    """As `picture_files.why_not`, for a file in an archive."""
    path = pathlib.PurePosixPath(member.name)
    has_suffix = path.suffix.lower() in suffixes
    foreign = [folder for folder in path.parts[:-1] if picture_files.is_foreign(pathlib.Path(folder))]
    if foreign or path.name.startswith("."):
        return (f"in {foreign[0]}" if foreign else "hidden files") if has_suffix else None
    if not member.isfile():
        return "special files"
    if has_suffix:
        return ""
    return f"{path.suffix.lower()} files" if path.suffix else "files without a suffix"


def _val_pictures(root: pathlib.Path) -> _Found:
    """The validation pictures, in order of name: val/<file name>, whatever folder they lie in."""
    if (root / "val").is_dir():
        found = _in_folder(root / "val", "val")
        if not found.pictures:
            raise UserError(f"{root / 'val'}: holds no picture")
        pictures = [
            each._replace(source_id=f"val/{pathlib.PurePosixPath(each.source_id).name}") for each in found.pictures
        ]
    elif (root / _VAL_TAR).is_file():
        with archive.open_tar(root / _VAL_TAR, "r:") as tar:
            found = _in_tar(tar, str(root / _VAL_TAR), 0, "val")
        pictures = found.pictures
    else:
        return _Found([], [])
    pictures.sort(key=lambda picture: picture.source_id)
    for one, other in itertools.pairwise(pictures):
        if one.stem == other.stem:
            places = " and ".join(f"{each.folder}/{each.location.path}" for each in (one, other))
            raise UserError(f"two validation pictures are called {one.stem}: {places}")
    return _Found(pictures, found.passed_over)


def _train_boxes(root: pathlib.Path, options: IlsvrcOptions) -> dict[tuple[str, str], str]:
    """(wnid, stem of a picture) -> its XML file, from <wnid>/<stem>.xml at any depth."""
    place = _place(root, options, "ilsvrc_train_boxes", _TRAIN_BOX_PLACES)
    if place is None:
        return {}
    if not place.is_dir():
        raise ArgumentError("ilsvrc_train_boxes", place, "is no folder; unpack it", owner=IlsvrcOptions)
    found: dict[tuple[str, str], str] = {}
    for file in _xml_paths(place):
        path, other = str(file), found.get((file.parent.name, file.stem))
        if other and Location(other).read() != Location(path).read():
            raise UserError(f"{path}: says otherwise than {other}")
        found[file.parent.name, file.stem] = other or path
    return found


def _train_items(
    train: dict[str, list[_Picture]],
    wnids: Sequence[str],
    boxes: dict[tuple[str, str], str],
    passed_over: list[PassedOver],
) -> list[FileItem]:
    items: list[FileItem] = []
    used = set()
    for label, wnid in enumerate(wnids):
        for picture in train[wnid]:
            path = boxes.get((wnid, picture.stem))
            if path is None:
                items.append(FileItem(picture.source_id, label, picture.location))
                continue
            item = VocItem(picture.source_id, label, picture.location, annotation=Location(path), wnid=wnid)
            items.append(item)
            passed_over += item.foreign_boxes()
            used.add(path)
    passed_over += [PassedOver(path, _UNMATCHED) for path in boxes.values() if path not in used]
    return items


def _test_items(pictures: Sequence[_Picture], wnids: Sequence[str], truths: dict[str, _Truth]) -> list[FileItem]:
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    items: list[FileItem] = []
    problems = []
    for picture in pictures:
        try:
            truth = _truth_of(picture, truths)
            label = _label(picture, truth, labels)
            if (_is_wnid(picture.folder) or picture.folder in labels) and picture.folder != wnids[label]:
                name = picture.source_id
                raise UserError(f"{name}: lies in {picture.folder}, but its annotation says {wnids[label]}")
        except UserError as error:
            problems.append(str(error))
        else:
            items.append(
                StoredFileItem(picture.source_id, label, picture.location, truth.boxes, annotated_size=truth.size)
            )
    _refuse(problems)
    return items


def _truth_of(picture: _Picture, truths: dict[str, _Truth]) -> _Truth:
    if picture.stem not in truths:
        raise UserError(f"{picture.source_id}: no box annotation")
    return truths[picture.stem]


def _label(picture: _Picture, truth: _Truth, labels: dict[str, int]) -> int:
    name, owner, count = picture.source_id, truth.owner, len(labels)
    if isinstance(owner, str):
        if owner not in labels:
            raise UserError(f"{name}: its annotation names {owner!r}, which is none of the {count} classes")
        return labels[owner]
    if not 0 <= owner < count:
        raise UserError(f"{name}: label {owner} of its annotation; there are {count} classes")
    return owner


def _refuse(problems: Sequence[str]) -> None:
    """Raises a UserError with all problems of validation pictures in one line, if there are any."""
    if len(problems) == 1:
        raise UserError(problems[0])
    if problems:
        named = some(problems, _NAMED, " | ")
        raise UserError(f"{len(problems)} annotations of validation pictures are missing or wrong: {named}")


def _val_truths(
    root: pathlib.Path, options: IlsvrcOptions, pictures: Sequence[_Picture], passed_over: list[PassedOver]
) -> dict[str, _Truth]:
    """Stem of a validation picture -> its `_Truth`."""
    place = _place(root, options, "ilsvrc_boxes", _BOX_PLACES)
    if place is None:
        raise ArgumentError(
            "input", root, f"no boxes of the validation pictures; put {_BOX_PLACES[0]} there or give ilsvrc_boxes"
        )
    stems = {picture.stem for picture in pictures}
    read = _read_list if place.is_file() and not archive.is_archive(place) else _read_xml_files
    return read(place, stems, passed_over)


def _read_xml_files(place: pathlib.Path, stems: set[str], passed_over: list[PassedOver]) -> dict[str, _Truth]:
    truths: dict[str, _Truth] = {}
    problems = []
    for stem, path, data in _xml_files(place):
        if stem not in stems:
            passed_over.append(PassedOver(path, _UNMATCHED))
            continue
        try:
            annotation = parse_voc(data, path)
            if not annotation.objects:
                raise UserError(f"{path}: names no object")
            owner = annotation.objects[0][0]
            truth = _Truth(owner, _own_boxes(annotation, owner)[0], annotation.size)
            if truths.setdefault(stem, truth) != truth:
                raise UserError(f"{path}: says otherwise than another annotation of {stem}")
        except UserError as error:
            problems.append(str(error))
        else:
            passed_over += _foreign_boxes(annotation, owner, path)
    _refuse(problems)
    return truths


def _xml_files(place: pathlib.Path) -> Iterator[tuple[str, str, bytes]]:
    """(stem, name for messages, bytes) of each XML file in a folder or an archive."""
    if place.is_dir():
        for file in _xml_paths(place):
            yield file.stem, str(file), Location(str(file)).read()
        return
    with archive.open_tar(place) as tar:
        for member in tar:
            if _why_not(member, _XML) == "":
                content = archive.member_bytes(tar, member, _MAX_XML_BYTES)
                yield pathlib.PurePosixPath(member.name).stem, f"{place}:{member.name}", content


def _xml_paths(folder: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """The XML files below a folder, but for hidden ones and those in folders of other programs."""
    return picture_files.find(folder, _XML).pictures


def parse_voc(data: bytes, name: str) -> Annotation:
    """Reads a PASCAL-VOC file; `name` names it in the message.

    Raises:
      UserError: it is none.
    """
    try:
        root: Any = ElementTree.parse(io.BytesIO(data)).getroot()
        return Annotation(
            tuple((entry.findtext("name").strip(), _voc_box(entry.find("bndbox"))) for entry in root.iter("object")),
            _voc_size(root),
        )
    except (ElementTree.ParseError, AttributeError, TypeError, ValueError, LookupError) as error:
        raise UserError(f"{name}: not a PASCAL-VOC annotation ({error})") from None


def _voc_box(entry: Any) -> _Box:
    x0, y0, x1, y1 = (_number(entry.findtext(side), _MAX_NUMBER) for side in ("xmin", "ymin", "xmax", "ymax"))
    return x0, y0, x1, y1


def _voc_size(root: Any) -> tuple[int, int] | None:
    """(height, width); None where one is 0 or not there."""
    height, width = (int(_number(root.findtext(f"size/{side}") or "0", _MAX_SIDE)) for side in ("height", "width"))
    if min(height, width) < 0:
        raise ValueError(f"size {width}x{height}")
    return (height, width) if height and width else None


def _number(text: str, limit: float) -> float:
    number = float(text)
    if not abs(number) < limit:  # NaN is not either
        raise ValueError(f"number {text}")
    return number


def _read_list(path: pathlib.Path, stems: set[str], passed_over: list[PassedOver]) -> dict[str, _Truth]:
    """E2Net's labels/ILSVRC/val.txt; a picture with several lines has several boxes, equal lines count once."""
    truths: dict[str, _Truth] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            name, label_text, *corners = line.strip().rsplit(maxsplit=5)
            label = int(label_text)
            x0, y0, x1, y1 = (_number(text, _MAX_NUMBER) for text in corners)
        except ValueError:
            raise UserError(f"{path}: line {number}: expected name, label, x0 y0 x1 y1") from None
        stem = pathlib.PurePosixPath(name).stem
        if stem not in stems:
            passed_over.append(PassedOver(f"{path}: {name}", _UNMATCHED))
            continue
        truth = truths.get(stem, _Truth(label, ()))
        if truth.owner != label:
            raise UserError(f"{path}: line {number}: {name} has label {label}, but {truth.owner} in a line above")
        box = (x0, y0, x1, y1)
        truths[stem] = truth if box in truth.boxes else _Truth(label, (*truth.boxes, box))
    return truths


def _class_names(root: pathlib.Path, options: IlsvrcOptions, wnids: Sequence[str]) -> tuple[str, ...]:
    """`wnid first-name` for each class; bare wnids where no list of names is found."""
    place = _place(root, options, "ilsvrc_words", _WORD_PLACES)
    if place is None:
        return tuple(wnids)
    lines = [line.split(maxsplit=1) for line in read_text(place).splitlines() if line.strip()]
    words = {fields[0]: fields[1].split(",")[0].strip() for fields in lines if len(fields) == 2}
    return tuple(f"{wnid} {words[wnid]}" if wnid in words else wnid for wnid in wnids)
