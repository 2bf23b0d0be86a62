"""What was found in pictures, and what a file format for it is."""

import dataclasses
import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from e2wsol.errors import UserError, some
from e2wsol.prediction.inputs import PictureFile, copy_name

_NAMED = 5  # groups of pictures that a message names
SCORE = "probability of the class; it says nothing of the box"
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Polygon = Sequence[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Detection:
    """One class found in a picture.

    Attributes:
      label: class index from 0.
      class_name: the class's name, or its index as text.
      score: softmax probability of the class.
      box: x0, y0, x1, y1 in pixels of the picture, right and bottom edges exclusive.
      outline: the object's outline as polygons of (x, y) in pixels of the picture, each of three points or more; None
        where the box alone is known.
      quality: in [0, 1], an estimate of the box's IoU with the object; None where there is none.
    """

    label: int
    class_name: str
    score: float
    box: tuple
    outline: Sequence[Polygon] | None = None
    quality: float | None = None

    @property
    def has_area(self) -> bool:
        """Whether it is more than a line or a point."""
        x0, y0, x1, y1 = self.box
        return x1 > x0 and y1 > y0


@dataclasses.dataclass(frozen=True)
class AnnotatedImage:
    """What was found in one picture, the most probable class first.

    Attributes:
      path: the picture's file.
      name, label: see `inputs.PictureFile`.
      width, height: pixels of the upright picture.
      detections: tuple of Detection, not empty.
      flat_map: whether the first class's map has no contrast, so that its box says nothing.
    """

    path: str
    name: str
    label: str
    width: int
    height: int
    detections: tuple
    flat_map: bool = False

    @property
    def boxes(self) -> tuple[Detection, ...]:
        """The detections that annotation tools get: those with a box that says something."""
        return () if self.flat_map else tuple(detection for detection in self.detections if detection.has_area)

    @property
    def copy(self) -> str:
        """The name of the picture's copy, as `inputs.PictureFile.copy`."""
        return copy_name(self.label, self.name)


Predictions = Sequence[AnnotatedImage]


@dataclasses.dataclass(frozen=True)
class Common:
    """What files say beside the pictures.

    Attributes:
      class_names: names of the classes in label order.
      about: JSON-ready; how the boxes were made, such as {"model": "runs/x", "protocol": "bas"}.
      picture_url: for tools that load pictures from a server: what stands before a picture's name there.
    """

    class_names: Sequence[str]
    about: dict[str, Any]
    picture_url: str = ""


@dataclasses.dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
      files: makes the texts of predictions by their names below the output folder, of all predictions at once or, where
        each picture has a file, of some.
      documents: names of the files that are written once.
      label_suffix: suffix of the file that each picture has; empty where they have none.
      label_folder: folder of those files, with a slash at its end; empty for the output folder itself.
      picture_folder: folder that copies of the pictures belong in, likewise; empty where none do.
      picture_suffixes: those that the format's tool reads; empty where it does not matter.
    """

    files: Callable[[Predictions, Common], dict[str, str]]
    documents: tuple[str, ...] = ()
    label_suffix: str = ""
    label_folder: str = ""
    picture_folder: str = ""
    picture_suffixes: tuple[str, ...] = ()

    def names(self, pictures: Sequence[PictureFile]) -> list[str]:
        """The names of all files, copies of the pictures included, below the output folder.

        Raises:
          UserError: several pictures would share a label file, which tools find by a picture's name without suffix, or
            a copy; or the format's tool does not read a picture of that suffix.
        """
        names = list(self.documents)
        self._check_suffixes(pictures)
        if self.label_suffix:
            check_apart(pictures, lambda picture: picture.label, "label file")
            for picture in pictures:
                if folded(self.label_name(picture)) in self.documents:
                    raise UserError(
                        f"{picture.path}: its label file would be {folded(self.label_name(picture))}, the list of "
                        "classes; rename it"
                    )
            names += map(self.label_name, pictures)
        if self.picture_folder:
            check_apart(pictures, lambda picture: picture.copy, "copy")
            names += map(self.copy_name, pictures)
        return names

    def label_name(self, picture: PictureFile) -> str:
        """The name of a picture's own file."""
        return f"{self.label_folder}{picture.label}{self.label_suffix}"

    def copy_name(self, picture: PictureFile) -> str:
        """The name of a picture's copy."""
        return f"{self.picture_folder}{picture.copy}"

    def _check_suffixes(self, pictures: Sequence[PictureFile]) -> None:
        if not self.picture_suffixes:
            return
        others = [p.name for p in pictures if not p.copy.lower().endswith(self.picture_suffixes)]
        if others:
            raise UserError(
                f"the format's tool passes over pictures of other suffixes than {', '.join(self.picture_suffixes)}: "
                f"{some(others, _NAMED)}; convert them, or predict them apart"
            )


def check_apart(pictures: Sequence[PictureFile], name_of: Callable[[PictureFile], str], what: str) -> None:
    """Raises a UserError where two pictures would have a file of one name, capitals and accents' writing aside."""
    groups: dict[str, list[str]] = {}
    for picture in pictures:
        groups.setdefault(folded(name_of(picture)), []).append(picture.name)
    shared = [" and ".join(names) for names in groups.values() if len(names) > 1]
    if shared:
        count = f"{len(shared)} pairs" if len(shared) > 1 else "a pair"
        shown = ", ".join(shared[:_NAMED]) + (", ..." if len(shared) > _NAMED else "")
        raise UserError(f"{count} of pictures would share a {what}: {shown}; rename one of each, or predict them apart")


def folded(name: str) -> str:
    """The name as file systems see it that know no capitals, or write accents another way."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def rounded(values: Iterable[float]) -> list[float]:
    """Coordinates to a thousandth of a pixel."""
    return [round(float(value), 3) for value in values]


def to_json(document: Any) -> str:
    """The text of a JSON file."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def add_elements(parent: ET.Element, **texts: Any) -> None:
    """Adds a child of each name with its text."""
    for tag, text in texts.items():
        ET.SubElement(parent, tag).text = xml_text(text)


def xml_text(text: Any) -> str:
    """The text without characters that XML does not have."""
    return _NOT_XML.sub("\ufffd", str(text))


def to_xml(root: ET.Element) -> str:
    """The text of an XML file."""
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"
