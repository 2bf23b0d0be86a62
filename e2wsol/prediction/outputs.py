"""What predict writes: files in annotation tools' formats, maps, overlays, and copies of pictures or links to them."""

import dataclasses
import errno
import io
from collections.abc import Callable, Sequence

import numpy as np

from e2wsol import terminal
from e2wsol.config import option
from e2wsol.data import images, picture_files
from e2wsol.errors import ArgumentError, UserError
from e2wsol.owned_files import OwnedFolder
from e2wsol.prediction.formats import FORMATS, AnnotatedImage, Common, Format
from e2wsol.prediction.formats.base import check_apart
from e2wsol.prediction.inputs import PictureFile
from e2wsol.visualize import overlay

OVERLAYS, MAPS = "overlays", "maps"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_OVERLAY_QUALITY = 88


@dataclasses.dataclass(frozen=True)
class OutputOptions:
    """How predictions are written."""

    output: str = option("predictions", "folder that the files go to")
    replace: bool = option(False, "remove the earlier result of this command in --output first")
    format: tuple[str, ...] = option(
        ("json",),
        "one or several of json: predictions.json; coco: annotations.json; voc: an XML a picture; yolo: a text a "
        "picture and classes.txt; labelstudio: labelstudio.json and .xml; cvat: annotations.xml; ultralytics: "
        "data.yaml, labels/ and images/; fiftyone: labels.json and data/. Several go into a folder each, called as the "
        "format",
        choices=tuple(FORMATS),
    )
    maps: str = option(
        "none",
        "also write each picture's localization map to maps/: npy, the score map that python -m e2wsol.evaluate --maps "
        "reads; png, 8-bit gray of the picture's size",
        choices=("none", "npy", "png"),
    )
    overlays: bool = option(True, "also write overlays/*.jpg: the picture with its box beside its map")
    copy_pictures: bool = option(False, "copy the pictures into the folder of a format that has them beside the labels")
    link_pictures: bool = option(False, "the same with symbolic links, which lead to where the pictures are now")
    picture_url: str = option(
        "/data/local-files/?d=",
        "labelstudio: what stands before a picture's path in its address, such as /data/local-files/?d=photos/",
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """What was found in one picture.

    Attributes:
      image: AnnotatedImage.
      file: the picture.
      map: (S, S) float in [0, 1], the score map of its first class over the whole picture.
      overlay: uint8 RGB (h, w, 3), the picture with its box beside its map; None where none was asked for.
    """

    image: AnnotatedImage
    file: PictureFile
    map: np.ndarray
    overlay: np.ndarray | None


class Layout:
    """Which files go where below the output folder.

    Args:
      options: OutputOptions.

    Attributes:
      formats: {folder of a format, empty or with a slash at its end: Format}.

    Raises:
      ArgumentError: options that do not go together.

    Example:
      >>> list(Layout(OutputOptions(format=("coco", "voc"))).formats)
      ['coco/', 'voc/']
    """

    def __init__(self, options: OutputOptions):
        self.options = options
        names = tuple(dict.fromkeys(options.format))
        if not names:
            raise ArgumentError("format", "", f"unknown; choose one of {', '.join(FORMATS)}")
        self.formats = {f"{name}/" if len(names) > 1 else "": FORMATS[name] for name in names}
        self._check_pictures(names)

    def _check_pictures(self, names: Sequence[str]) -> None:
        options = self.options
        if options.copy_pictures and options.link_pictures:
            raise ArgumentError("link_pictures", None, "is set beside copy_pictures; choose one of them")
        with_pictures = [name for name in names if FORMATS[name].picture_folder]
        chosen = "copy_pictures" if options.copy_pictures else "link_pictures" if options.link_pictures else ""
        if with_pictures and not chosen:
            raise ArgumentError(
                "format",
                options.format,
                f"{with_pictures[0]} has the pictures beside the labels; add copy_pictures=true or link_pictures=true",
            )
        if chosen and not with_pictures:
            able = " and ".join(name for name, form in FORMATS.items() if form.picture_folder)
            raise ArgumentError(chosen, None, f"is set, but no format of {', '.join(names)} has pictures; {able} have")

    def names(self, pictures: Sequence[PictureFile]) -> list[str]:
        """The names of all files that may be written.

        Raises:
          UserError: two pictures would share a file.
        """
        names = [folder + name for folder, form in self.formats.items() for name in form.names(pictures)]
        if self.options.maps != "none":
            check_apart(pictures, lambda picture: picture.copy, "map")
            names += map(self.map_name, pictures)
        return names + [overlay_name(picture) for picture in pictures if self.options.overlays]

    def map_name(self, picture: PictureFile) -> str:
        """The name of a picture's map, as `evaluation.maps.StoredMaps` looks for it."""
        return f"{MAPS}/{picture.copy}.{self.options.maps}"


class Writer:
    """Writes what is found as it comes: files of single pictures at once, documents of all pictures at the end.

    Args:
      folder: where files go, checked and cleared.
      layout: which files.
      common: what files say beside the pictures.

    Attributes:
      images: the AnnotatedImages so far.
      unwritten: number of files that could not be written; each is named on standard error.
    """

    def __init__(self, folder: OwnedFolder, layout: Layout, common: Common):
        self._folder, self._layout, self._common = folder, layout, common
        self._documents: set[str] = set()
        self.images: list[AnnotatedImage] = []
        self.unwritten = 0

    def add(self, found: Found) -> None:
        """Writes one picture's files; an OSError where no more can be written at all."""
        self.images.append(found.image)
        for folder, form in self._layout.formats.items():
            if form.label_suffix:
                self._write(folder, form, [found.image])
            if form.picture_folder:
                self._picture(folder + form.copy_name(found.file), found.file)
        if self._layout.options.maps != "none":
            self._file(self._layout.map_name(found.file), _map_file(found, self._layout.options.maps))
        if found.overlay is not None:
            self._file(overlay_name(found.file), images.encode_jpeg(found.overlay, _OVERLAY_QUALITY))

    def finish(self) -> None:
        """Writes the documents of the formats that have any."""
        for folder, form in self._layout.formats.items():
            if not form.label_suffix:
                self._write(folder, form, self.images)
            elif not self._documents.issuperset(folder + name for name in form.documents):
                self._write(folder, form, [])

    def _write(self, folder: str, form: Format, predictions: Sequence[AnnotatedImage]) -> None:
        for name, text in form.files(predictions, self._common).items():
            is_document = name in form.documents
            if is_document and folder + name in self._documents:
                continue
            self._file(folder + name, text.encode("utf-8"))
            if is_document:
                self._documents.add(folder + name)

    def _picture(self, name: str, picture: PictureFile) -> None:
        if self._layout.options.link_pictures:
            self._attempt(name, lambda: self._folder.link(name, picture.path.resolve()))
        else:
            self._attempt(name, lambda: self._folder.write_bytes(name, picture_files.read(picture.path)))

    def _file(self, name: str, data: bytes) -> None:
        self._attempt(name, lambda: self._folder.write_bytes(name, data))

    def _attempt(self, name: str, write: Callable[[], None]) -> None:
        try:
            write()
        except (OSError, UserError) as error:
            if getattr(error, "errno", None) in _NO_SPACE:
                raise
            self.unwritten += 1
            reason = error if isinstance(error, UserError) else f"{self._folder.path / name}: {error.strerror}"
            terminal.note(f"not written: {reason}")


def overlay_name(picture: PictureFile) -> str:
    """The name of a picture's overlay."""
    return f"{OVERLAYS}/{picture.stem}.jpg"


def _map_file(found: Found, kind: str) -> bytes:
    if kind == "png":
        return images.encode_png(overlay.gray_levels(found.map, (found.image.width, found.image.height)))
    stream = io.BytesIO()
    np.save(stream, found.map)
    return stream.getvalue()
