"""Which folders of a user's folder are classes, which are splits, and which hold masks."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence

from e2wsol.data import picture_files
from e2wsol.data.picture_files import FoundFiles, PassedOver
from e2wsol.errors import UserError
from e2wsol.tables import normal, picture_name

SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "evaluation", "eval"),
}
MASKS, PICTURES = "masks", "images"
_SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names}
_ClassFolder = tuple[pathlib.Path, str | None]  # and its split, where a folder says it
_CLASSES = "say layout=classes if the folders of input are classes, whatever their names"


@dataclasses.dataclass(frozen=True)
class ClassPicture:
    """One picture.

    Attributes:
      file: its path.
      class_name: name of its class's folder.
      split: "train", "val" or "test" where a folder says it, else None.
    """

    file: pathlib.Path
    class_name: str
    split: str | None


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a user's folder holds.

    Attributes:
      pictures: by name, the path from the folder that holds the class (or split) folders; NFC, sorted.
      masks: the folder of masks, or None.
      passed_over: files that are not used; those in the folder of masks are not among them.
      notes: what a user should know of how it was read.
    """

    pictures: Mapping[str, ClassPicture]
    masks: pathlib.Path | None
    passed_over: tuple[PassedOver, ...]
    notes: tuple[str, ...] = ()


def read(path: pathlib.Path, layout: str, tables: Iterable[str]) -> Layout:
    """The `Layout` of the folder `path`.

    Args:
      path: the user's folder.
      layout: "auto", or "classes" where every folder in `path` is a class.
      tables: names of files in `path` that are no pictures and are used.

    Raises:
      UserError: a folder's name can mean two things, or there is no class folder.
    """
    beside = _beside(picture_files.in_folder(path))
    passed_over = [each for each in beside if pathlib.Path(each.path).name not in set(tables)]
    folders = picture_files.subfolders(path)
    root, masks = path, None
    classes: list[_ClassFolder] = [(folder, None) for folder in folders]
    if layout == "auto":
        masks = _only(folders, MASKS)
        root, folders = _picture_root(path, [folder for folder in folders if folder != masks], passed_over)
        classes = _split_folders(folders, passed_over) or [(folder, None) for folder in folders]
        _refuse_masks_among(classes, path)
    if not classes:
        raise UserError(f"{root}: no class folders here; expected <class>/<picture>{_hint(masks)}")
    found, notes = _pictures(root, classes, passed_over)
    return Layout(found, masks, tuple(passed_over), tuple(notes))


def find_name(name: str, known: Mapping[str, object]) -> str | None:
    """The entry of `known` that a table means by `name`: kind of slash, a leading "./" and normal form do not count."""
    plain = picture_name(name)
    return plain if plain in known else None


def _picture_root(
    path: pathlib.Path, folders: list[pathlib.Path], passed_over: list[PassedOver]
) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """The folder that holds the class or split folders, `path` or its images/, and these."""
    pictures = _only(folders, PICTURES)
    if pictures is None or not picture_files.subfolders(pictures):
        return path, folders
    if others := [folder for folder in folders if folder != pictures]:
        raise UserError(
            f"{pictures}: holds the class folders by its name, but {_names(others)} lies beside it; "
            f"move it into {pictures.name} or rename it, or {_CLASSES}"
        )
    passed_over += _beside(picture_files.in_folder(pictures))
    return pictures, picture_files.subfolders(pictures)


def _refuse_masks_among(classes: Iterable[_ClassFolder], path: pathlib.Path) -> None:
    for folder, _ in classes:
        if folder.name.casefold() == MASKS:
            raise UserError(
                f"{folder}: lies among class folders; move it to {path / MASKS}, or rename it if it is a class"
            )


def _only(folders: Sequence[pathlib.Path], name: str) -> pathlib.Path | None:
    """The folder of that name, capitals or not.

    Raises:
      UserError: there are two.
    """
    found = [folder for folder in folders if folder.name.casefold() == name]
    if len(found) > 1:
        raise UserError(f"{found[0]}: {found[1].name} lies beside it; both mean {name}, leave one; or {_CLASSES}")
    return found[0] if found else None


def _split_folders(folders: Sequence[pathlib.Path], passed_over: list[PassedOver]) -> list[_ClassFolder] | None:
    """(class folder, split) where the folders are splits, else None; adds what lies in them beside the classes."""
    splits = {folder: _SPLIT_OF.get(folder.name.casefold()) for folder in folders}
    if not any(splits.values()):
        _refuse_likely_splits(folders)
        return None
    by_split: dict[str, pathlib.Path] = {}
    known = ", ".join(name for names in SPLITS.values() for name in names)
    for folder, split in splits.items():
        if split is None:
            one = next(folder for folder, split in splits.items() if split)
            raise UserError(
                f"{folder}: lies beside {one.name}, which is a split by its name; split folders are {known}: "
                f"rename one, or {_CLASSES}"
            )
        if split in by_split:
            raise UserError(f"{folder}: lies beside {by_split[split].name}; both mean split {split}, leave one")
        by_split[split] = folder
    classes: list[_ClassFolder] = []
    for split, folder in by_split.items():
        inside = picture_files.subfolders(folder)
        if not inside:
            raise UserError(f"{folder}: no class folders here; expected {folder.name}/<class>/<picture>; or {_CLASSES}")
        classes += [(class_folder, split) for class_folder in inside]
        passed_over += _beside(picture_files.in_folder(folder))
    return classes


def _refuse_likely_splits(folders: Sequence[pathlib.Path]) -> None:
    """Raises a UserError where all folders hold no picture but the same folders: splits by names that nobody knows."""
    inside = [{entry.name for entry in picture_files.subfolders(folder)} for folder in folders]
    direct = [picture_files.in_folder(folder).pictures for folder in folders]
    if len(folders) > 1 and not any(direct) and inside[0] and all(names == inside[0] for names in inside):
        raise UserError(
            f"{folders[0]} and {folders[1].name}: both hold no picture but the folders {', '.join(sorted(inside[0]))}; "
            f"name split folders train, val and test, or {_CLASSES}"
        )


def _pictures(
    root: pathlib.Path, classes: Sequence[_ClassFolder], passed_over: list[PassedOver]
) -> tuple[dict[str, ClassPicture], list[str]]:
    found: dict[str, ClassPicture] = {}
    deeper = 0
    for folder, split in classes:
        files = picture_files.find(folder)
        passed_over += files.passed_over
        if not files.pictures:
            raise UserError(f"{folder}: class folder holds no picture{_found_instead(files)}")
        for file in files.pictures:
            name = normal(file.relative_to(root).as_posix())
            if name in found:
                raise UserError(f"{file}: {found[name].file} has the same name; rename one")
            found[name] = ClassPicture(file, normal(folder.name), split)
            deeper += file.parent != folder
    notes = [f"note: {deeper} of the pictures lie deeper than <class>/<picture>"] if deeper else []
    return dict(sorted(found.items())), notes


def _beside(found: FoundFiles) -> list[PassedOver]:
    """What lies in a folder of folders: none of its pictures is used."""
    beside = [PassedOver(str(path), "pictures beside the class folders") for path in found.pictures]
    return [*beside, *found.passed_over]


def _found_instead(files: FoundFiles) -> str:
    return f" (but {picture_files.summary(files.passed_over)})" if files.passed_over else ""


def _names(folders: Iterable[pathlib.Path]) -> str:
    return ", ".join(folder.name for folder in folders)


def _hint(masks: pathlib.Path | None) -> str:
    return f" beside {masks.name}; or {_CLASSES}" if masks else ""
