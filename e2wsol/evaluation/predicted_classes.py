"""Files of predicted classes: JSON lines as python -m e2wsol.classify writes them, or CSV of any program.

{"picture": "001/a.jpg", "classes": [3, 7, 0, 1, 9], "probabilities": [0.81, ...]}, the best five, best first; or
001/a.jpg,3,7,0,1,9 without a header. Pictures are named by their ids in the records, classes by number from 0.
"""

import csv
import io
import json
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

import numpy as np

from e2wsol import files, reading
from e2wsol.errors import ArgumentError

_KEPT = 5


def line(source_id: str, classes: Iterable[int], probabilities: Iterable[float]) -> str:
    """One line of a .jsonl file; probabilities are rounded to six decimals."""
    entry = {
        "picture": source_id,
        "classes": [int(label) for label in classes],
        "probabilities": [round(float(value), 6) for value in probabilities],
    }
    return json.dumps(entry, ensure_ascii=False) + "\n"


class PredictedClasses:
    """The predicted classes of a file, by picture.

    Args:
      path: a .csv or .jsonl file.
      num_classes: number of classes; numbers run from 0.

    Raises:
      UserError: no such file, or a line of it is not as it should be; the message gives its number.
    """

    def __init__(self, path: str | pathlib.Path, num_classes: int):
        self.path, self._num_classes = str(path), num_classes
        readers = {".csv": _csv_entries, ".jsonl": _json_entries}
        entries = readers.get(pathlib.Path(path).suffix)
        if entries is None:
            raise ArgumentError("predictions", path, f"unknown kind of file; give {' or '.join(readers)}")
        self._classes: dict[str, np.ndarray] = {}
        if not pathlib.Path(path).exists():
            raise ArgumentError("predictions", path, "cannot be read (No such file or directory)")
        with reading.guarded(path, "cannot be read", argument="predictions"):
            for number, entry in entries(io.StringIO(files.read_text(path))):
                self._add(number, *entry)

    def of(self, source_id: str) -> np.ndarray:
        """Int array of up to five classes, best first; a UserError where the file has no line for the picture."""
        if source_id not in self._classes:
            raise ArgumentError(
                "predictions", self.path, f"no line for picture {source_id}; give one for every picture of the split"
            )
        return self._classes[source_id]

    def _add(self, number: int, source_id: Any, classes: Any) -> None:
        def wrong(problem: str) -> ArgumentError:
            return ArgumentError("predictions", self.path, f"line {number}{problem}")

        if not isinstance(source_id, str) or not isinstance(classes, list):
            raise wrong(': expected {"picture": ID, "classes": [NUMBERS, best first]}')
        if source_id in self._classes:
            raise wrong(f": picture {source_id} once more; expected one line a picture")
        if not classes or not all(_is_class(label, self._num_classes) for label in classes):
            given = ", ".join(map(str, classes))
            raise wrong(f": classes [{given}]; expected numbers from 0 to {self._num_classes - 1}, best first")
        self._classes[source_id] = np.array(classes[:_KEPT])


def _is_class(label: Any, num_classes: int) -> bool:
    return isinstance(label, int) and not isinstance(label, bool) and 0 <= label < num_classes


def _csv_entries(file: TextIO) -> Iterator[tuple[int, tuple[Any, Any]]]:
    for number, row in enumerate(csv.reader(file), start=1):
        if row:
            yield number, (row[0], [_number(word) for word in row[1:]])


def _number(word: str) -> int | str:
    try:
        return int(word)
    except ValueError:
        return word


def _json_entries(file: TextIO) -> Iterator[tuple[int, tuple[Any, Any]]]:
    for number, text in enumerate(file, start=1):
        if text.strip():
            try:
                entry = json.loads(text)
            except (ValueError, RecursionError):
                entry = None
            found = entry if isinstance(entry, dict) else {}
            yield number, (found.get("picture"), found.get("classes"))
