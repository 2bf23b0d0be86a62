"""Which files below a folder are pictures, and which are passed over and why. Free of TensorFlow."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Collection, Iterable, Iterator

from e2wsol import files, reading
from e2wsol.data import images
from e2wsol.errors import UserError

MAX_BYTES = 1 << 28

# Folders that other programs leave among pictures, with copies of them; so are all hidden ones.
_FOREIGN_FOLDERS = {
    *("@eadir", "__macosx", "#recycle", "#snapshot", "$recycle.bin", "lost+found", "__pycache__"),
    "system volume information",
}


def read(path: str | os.PathLike, offset: int = 0, size: int = -1) -> bytes:
    """The bytes of a picture's file, or `size` of them from `offset` of an archive.

    Raises:
      UserError: no such file, one that cannot be read, or one too large to be a picture, a mask or an annotation.
    """
    try:
        with reading.guarded(path, "cannot be read"), files.open_bytes(path) as file:
            if offset:
                file.seek(offset)
            content = file.read(size) if 0 <= size <= MAX_BYTES else files.read_at_most(file, MAX_BYTES)
    except FileNotFoundError:
        raise UserError(f"{path}: not found") from None
    if content is None:
        raise UserError(f"{path}: larger than {MAX_BYTES >> 20} MB; not a picture")
    return content


@dataclasses.dataclass(frozen=True)
class PassedOver:
    """A file among pictures that is not used.

    Attributes:
      path: the file.
      reason: in few words, the same for files of one kind.
    """

    path: str
    reason: str


@dataclasses.dataclass(frozen=True)
class FoundFiles:
    """The files below a folder.

    Attributes:
      pictures: paths, sorted.
      passed_over: the others that look like data, sorted by path.
    """

    pictures: tuple[pathlib.Path, ...]
    passed_over: tuple[PassedOver, ...]


def is_foreign(folder: pathlib.Path) -> bool:
    """Whether a folder is hidden, or one of those that other programs make beside pictures."""
    return folder.name.startswith(".") or folder.name.casefold() in _FOREIGN_FOLDERS


def subfolders(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders in `folder`, linked ones included, without those of other programs; sorted."""
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not is_foreign(entry))


def find(folder: pathlib.Path, suffixes: Collection[str] = images.SUFFIXES) -> FoundFiles:
    """All files below `folder`, linked folders included.

    Pictures are those with one of `suffixes`. Passed over are files of another suffix, hidden pictures and those in
    folders of other programs. Hidden files of other kinds are no data: nothing is said of them.

    Example:
      >>> found = picture_files.find(pathlib.Path("photos"))
      >>> len(found.pictures), picture_files.summary(found.passed_over)
      (3, '2 .heic files')
    """
    around = folder.parent.resolve()
    return _found(_walk(folder, (around, *around.parents), suffixes))


def in_folder(folder: pathlib.Path) -> FoundFiles:
    """The files that lie in `folder` itself and, of the folders in it, those of other programs."""
    return _found(_walk(folder, None, images.SUFFIXES))


def _found(entries: Iterable[tuple[pathlib.Path, str]]) -> FoundFiles:
    in_order = sorted(entries)
    return FoundFiles(
        tuple(path for path, reason in in_order if not reason),
        tuple(PassedOver(str(path), reason) for path, reason in in_order if reason),
    )


def summary(passed_over: Iterable[PassedOver]) -> str:
    """What was passed over, by reason: "2 .heic files, 1 in .thumbnails"."""
    counts = collections.Counter(each.reason for each in passed_over)
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))


def why_not(entry: os.DirEntry, suffixes: Collection[str]) -> str | None:
    """Why a file is no picture: "" where it is one, None where it is hidden and no data."""
    suffix = pathlib.PurePath(entry.name).suffix
    picture = suffix.lower() in suffixes
    if entry.name.startswith("."):
        return "hidden pictures" if picture else None
    if not (os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file(follow_symlinks=False)):
        return "broken links" if entry.is_symlink() else "special files"
    if picture:
        return ""
    return f"{suffix.lower()} files" if suffix else "files without a suffix"


def _walk(
    folder: pathlib.Path, above: tuple[pathlib.Path, ...] | None, suffixes: Collection[str]
) -> Iterator[tuple[pathlib.Path, str]]:
    """(path, "" for a picture or the reason) of the files below `folder`, or of those in it where `above` is None.

    `above` has the real folders that hold it. Entries say what they are without a call of the system for each file.
    """
    inside = None if above is None else (*above, folder.resolve())
    with os.scandir(folder) as entries:
        for entry in entries:
            path, is_link = folder / entry.name, entry.is_symlink()
            if not (os.path.isdir(path) if is_link else entry.is_dir(follow_symlinks=False)):
                reason = why_not(entry, suffixes)
                if reason is not None:
                    yield path, reason
            elif is_foreign(path):
                yield from _walk_foreign(path, suffixes)
            elif inside is None:
                continue
            elif is_link and path.resolve() in inside:
                yield path, "links to a folder above"
            else:
                yield from _walk(path, inside, suffixes)


def _walk_foreign(folder: pathlib.Path, suffixes: Collection[str]) -> Iterator[tuple[pathlib.Path, str]]:
    for path in folder.rglob("*"):
        if path.suffix.lower() in suffixes and path.is_file():
            yield path, f"in {folder.name}"
