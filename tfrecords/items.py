"""What a source hands to the builder: light descriptions of pictures that worker processes can read.

Nothing here imports TensorFlow, so that worker processes start fast and stay small.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from e2wsol.data import picture_files
from e2wsol.data.picture_files import PassedOver
from e2wsol.errors import UserError
from tfrecords import frames
from tfrecords.frames import Frame


@dataclasses.dataclass(frozen=True)
class Location:
    """Where a file's bytes are: a whole file, or `size` bytes at `offset` in an archive."""

    path: str
    offset: int = 0
    size: int = -1

    def read(self) -> bytes:
        """The bytes.

        Raises:
          UserError: no such file, or one too large to be a picture, a mask or an annotation.
        """
        return picture_files.read(self.path, self.offset, self.size)


def read_text(path: str | pathlib.Path) -> str:
    """The text of a table of annotations; a UserError where it is not there or is no UTF-8."""
    try:
        return Location(str(path)).read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error})") from None


@dataclasses.dataclass(frozen=True, eq=False)
class RawPicture:
    """One picture as its source has it.

    Attributes:
      content: bytes of a picture file, or (H, W, 3) uint8 RGB pixels.
      boxes: (n, 4) x0, y0, x1, y1, ends exclusive; not yet checked.
      mask: None, or a function of (height, width) that gives uint8 of that shape with 0, 1 and 255.
      place: None where the boxes are in pixels of the upright picture, else a function of (boxes, `Frame`) that
        gives them so.
    """

    content: bytes | np.ndarray
    boxes: np.ndarray
    mask: Callable[[int, int], np.ndarray] | None = None
    place: Callable[[np.ndarray, Frame], np.ndarray] | None = None


@dataclasses.dataclass(frozen=True)
class Item:
    """One picture of a split. Sources derive from it and add what `read` needs.

    An item's repr says what its record depends on, but for the content of files: fields that only say where a file
    lies have repr=False, and `inputs` names them.

    Attributes:
      source_id: unique name of the picture in its data set.
      label: class index from 0.
    """

    source_id: str
    label: int

    @property
    def filename(self) -> str:
        """Name of the picture's file, for display."""
        return pathlib.PurePosixPath(self.source_id).name

    @property
    def inputs(self) -> tuple[Location, ...]:
        """The files that `read` reads: a record is made again where their content has changed."""
        return ()

    def read(self) -> RawPicture:
        """The `RawPicture`; runs in a worker process."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class FileItem(Item):
    """A picture file with the boxes and the mask that its source has for it.

    Attributes:
      location: the picture's bytes.
      boxes: tuples x0, y0, x1, y1 in pixels, ends exclusive.
      mask: None, or an object with `render(height, width)`, and with `location` where it is a file.
      annotated_size: None, or (height, width) that the annotation claims; another size is an error.
    """

    location: Location = dataclasses.field(repr=False)
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    mask: Any = None
    annotated_size: tuple[int, int] | None = None

    @property
    def inputs(self) -> tuple[Location, ...]:
        """The picture's file, and the mask's where it has one."""
        return tuple(each for each in (self.location, getattr(self.mask, "location", None)) if each)

    def read(self) -> RawPicture:
        """Reads the file; decoding is left to the builder."""
        render = self.mask.render if self.mask is not None else None
        place = self.annotated_size and functools.partial(frames.same_size, size=self.annotated_size)
        return RawPicture(self.location.read(), np.asarray(self.boxes, np.float32).reshape(-1, 4), render, place)


@dataclasses.dataclass(frozen=True)
class Listing:
    """All pictures of a source.

    Attributes:
      name: name of the data set.
      classes: class names in label order.
      splits: split name to its items.
      shuffled: the items' order is random already and must be kept.
      fetch: turns a run of items of one split into the same items ready for `read`, in the builder's
        process; for sources that can only be read in sequence.
      slack: pixels that a box may stick out of its picture before it counts as an error.
      passed_over: files that lie among the pictures and are not used.
      notes: lines that a user should read at the end.
      resolved: options that were left to the source, with the values that it took.
    """

    name: str
    classes: tuple[str, ...]
    splits: Mapping[str, Sequence[Item]]
    shuffled: bool = False
    fetch: Callable[[Sequence[Item]], Iterable[Item]] = iter
    slack: float = 1.0
    passed_over: tuple[PassedOver, ...] = ()
    notes: tuple[str, ...] = ()
    resolved: Mapping[str, Any] = dataclasses.field(default_factory=dict)
