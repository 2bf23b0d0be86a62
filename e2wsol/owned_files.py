"""Folders and files of the user's that a command writes to: it takes nothing away that it did not write itself.

A folder that was written to has a list of our files in it, `.e2wsol.jsonl`: a line a file with size, checksum and
command. A file is listed before it is written, so that a process may be killed at any time. It counts as ours while it
is as the list says; labels that somebody corrected by hand are theirs.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from e2wsol import files, folder_lock
from e2wsol.errors import ArgumentError, UserError

LIST = ".e2wsol.jsonl"
_ELSEWHERE = "move it away, or give another folder"


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A line of the list: path below the folder, size in bytes, SHA-256, and the command that wrote it.

    A symbolic link has what it leads to in place of size and checksum.
    """

    file: str
    bytes: int
    sha256: str
    by: str
    link: str = ""


class OwnedFolder:
    """A folder that a command writes its result to.

    Args:
      folder: its path; made with the first file.
      by: name of the command.
      argument: the caller's argument that names the folder, for messages.

    Example:
      >>> folder = OwnedFolder("boxes", "predict")
      >>> folder.check(["a.txt"])
      >>> folder.clear()
      >>> folder.write_bytes("a.txt", b"0 0.5 0.5 1 1")
    """

    def __init__(self, folder: str | os.PathLike, by: str, *, argument: str = "output"):
        self.path, self._by, self._argument = pathlib.Path(folder), by, argument
        self._entries = {entry.file: entry for entry in _read(self.path / LIST)}
        self._written: set[str] = set()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes of the command out of the folder; an ArgumentError where one is in it."""
        with folder_lock.held(self.path, self._argument, of=self._by):
            self._entries = {entry.file: entry for entry in _read(self.path / LIST)}
            yield

    def check(self, names: Iterable[str], *, replace: bool = False, known: Collection[str] = ()) -> None:
        """Looks whether files can be written, before any is; call it before the work that makes them.

        Args:
          names: paths below the folder, with slashes.
          replace: whether an earlier result of the same command may go.
          known: names that are the command's own without being listed, such as those of an earlier version.

        Raises:
          ArgumentError: an earlier result is in the folder and `replace` is not set, or one of its files was changed
            since; or a file is in the way that is not the command's.
        """
        if os.path.lexists(self.path) and not self.path.is_dir():
            raise self._refusal("is no folder; give a folder")
        earlier = self._earlier()
        if earlier and not replace:
            raise self._refusal(
                f"holds an earlier result of {self._by} ({len(earlier)} files, such as {earlier[0]}); give another "
                "folder, or replace=true to remove it"
            )
        for name in earlier:
            if not self._is_unchanged(name):
                raise self._refusal(f"{name} was changed after {self._by} wrote it; {_ELSEWHERE}")
        ours, folders = {*earlier, *known}, set[pathlib.PurePath]()
        for name in names:
            if name not in ours and os.path.lexists(self.path / name):
                raise self._refusal(f"{name} is there, and {self._by} has no record of writing it; {_ELSEWHERE}")
            folders.update(pathlib.PurePosixPath(name).parents)
        for parent in sorted(folders):
            if os.path.lexists(self.path / parent) and not (self.path / parent).is_dir():
                raise self._refusal(f"{parent} is no folder, but files would go into it; {_ELSEWHERE}")

    def earlier_files(self) -> list[pathlib.Path]:
        """What is there of the command's earlier result."""
        return [self.path / name for name in self._earlier()]

    def clear(self) -> None:
        """Removes the command's earlier result, and folders that are empty then; `check` says whether that may be."""
        earlier = [name for name in self._earlier() if self._is_unchanged(name)]
        for name in earlier:
            (self.path / name).unlink()
            for parent in pathlib.PurePosixPath(name).parents[:-1]:
                if not any((self.path / parent).iterdir()):
                    (self.path / parent).rmdir()
        self._entries = {name: entry for name, entry in self._entries.items() if entry.by != self._by}
        if (self.path / LIST).exists():
            files.write_text(self.path / LIST, "".join(map(_line, self._entries.values())))

    def changed(self) -> list[str]:
        """The command's listed files that are gone, or not as it wrote them."""
        return [name for name, entry in self._entries.items() if entry.by == self._by and not self._is_unchanged(name)]

    def write_bytes(self, name: str, data: bytes) -> None:
        """Writes a file whole or not at all.

        Raises:
          UserError: a file of that name has come into the folder meanwhile.
          OSError: it cannot be written.
        """
        self._note(name, len(data), hashlib.sha256(data).hexdigest())
        files.write_bytes(self.path / name, data)

    def write_text(self, name: str, text: str) -> None:
        """Writes `text` as UTF-8, as `write_bytes` does."""
        self.write_bytes(name, text.encode("utf-8"))

    def take(self, name: str, file: pathlib.Path) -> None:
        """Moves a finished file of the same file system into the folder; errors as those of `write_bytes`."""
        self._note(name, file.stat().st_size, files.sha256(file))
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, self.path / name)

    def link(self, name: str, target: pathlib.Path) -> None:
        """Makes a symbolic link to a file elsewhere; errors as those of `write_bytes`."""
        self._note(name, 0, "", link=str(target))
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(target, self.path / name)

    def add(self, name: str) -> None:
        """Lists a file that the command has just written by itself."""
        self._written.add(name)
        self._note(name, (self.path / name).stat().st_size, files.sha256(self.path / name))

    def _note(self, name: str, size: int, checksum: str, link: str = "") -> None:
        if name not in self._written and os.path.lexists(self.path / name):
            raise UserError(f"{self.path / name}: has come into the folder meanwhile; {_ELSEWHERE}")
        self._written.add(name)
        entry = _Entry(name, size, checksum, self._by, link)
        if self._entries.get(name) == entry:
            return
        self._entries[name] = entry
        self.path.mkdir(parents=True, exist_ok=True)
        with files.naming(self.path / LIST), open(self.path / LIST, "a", encoding="utf-8") as file:
            file.write(_line(entry))

    def _earlier(self) -> list[str]:
        """What the command wrote before and is still there."""
        return [
            name for name, entry in self._entries.items() if entry.by == self._by and os.path.lexists(self.path / name)
        ]

    def _is_unchanged(self, name: str) -> bool:
        path, entry = self.path / name, self._entries[name]
        if entry.link:
            return path.is_symlink() and os.readlink(path) == entry.link
        if path.is_symlink() or not path.is_file() or path.stat().st_size != entry.bytes:
            return False
        return files.sha256(path) == entry.sha256

    def _refusal(self, problem: str) -> ArgumentError:
        return ArgumentError(self._argument, self.path, problem)


def check_file(path: str | os.PathLike, by: str, is_ours: Callable[[bytes], bool], *, argument: str = "output") -> None:
    """Looks whether a command may write its one file to a path, before the work that makes it.

    Args:
      path: of the file.
      by: name of the command.
      is_ours: whether a file that begins with these bytes is an earlier one of the command, which may go.
      argument: the caller's argument that names the file, for messages.

    Raises:
      ArgumentError: something else is there.
    """
    path = pathlib.Path(path)
    if not os.path.lexists(path):
        return
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or pipe"
        raise ArgumentError(argument, path, f"is {kind}; give the name of a file")
    if path.is_file():
        with open(path, "rb") as file:
            if is_ours(file.read(4096)):
                return
    raise ArgumentError(argument, path, f"is there and was not written by {by}; move it away, or give another name")


def _line(entry: _Entry) -> str:
    values = {name: value for name, value in dataclasses.asdict(entry).items() if name != "link" or value}
    return json.dumps(values, ensure_ascii=True) + "\n"


def _read(path: pathlib.Path) -> list[_Entry]:
    """The lines of a list that can be read; what one does not say is not ours."""
    if not path.is_file():
        return []
    entries = (_entry(line) for line in files.read_text(path).split("\n"))
    return [entry for entry in entries if entry]


def _entry(line: str) -> _Entry | None:
    try:
        values: dict[str, Any] = json.loads(line)
        entry = _Entry(**values)
        inside = not os.path.isabs(entry.file) and ".." not in pathlib.PurePath(entry.file).parts
    except Exception:  # empty, or half written when a process was killed
        return None
    return entry if inside else None
