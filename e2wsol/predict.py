"""Finds the object in pictures: class, score and box of each, in a format that annotation tools read."""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import errno
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from e2wsol import cli, terminal
from e2wsol.compute import ComputeOptions
from e2wsol.config import option
from e2wsol.data import images, picture_files
from e2wsol.errors import ArgumentError, UserError
from e2wsol.localization.protocols import BoxOptions
from e2wsol.localization.refine import RefineOptions
from e2wsol.localizers import LocalizerOptions
from e2wsol.owned_files import OwnedFolder
from e2wsol.prediction import inputs
from e2wsol.prediction.formats import FORMATS, AnnotatedImage, Detection, Format
from e2wsol.prediction.known_labels import known_labels
from e2wsol.prediction.saved_model import ExportedModel
from e2wsol.trained_run import load
from e2wsol.visualize import overlay

EXIT_UNREADABLE = 3
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_OVERLAYS = "overlays"
_NAMED = 5
_OVERLAY_SIDE = 480
_OVERLAY_QUALITY = 88


@dataclasses.dataclass(frozen=True)
class PredictOptions:
    """What to predict with, and how to write it."""

    model: str = option("", "run folder, .keras file, or SavedModel folder of e2wsol.export", aliases=("run_dir",))
    output: str = option("predictions", "folder that the files go to")
    replace: bool = option(False, "remove the earlier result of this command in --output first")
    format: str = option(
        "json",
        "json: predictions.json; coco: annotations.json; voc: an XML a picture; yolo: a text a picture and classes.txt",
        choices=tuple(FORMATS),
    )
    labels: str = option(
        "",
        "class and map of the label that is known: folder for the name of the folder a picture lies in, or a .csv with "
        "columns path and class; empty for the most probable class",
    )
    top_k: int = option(1, "classes to localize for each picture, most probable first", minimum=1)
    overlays: bool = option(True, "also write overlays/*.jpg: the picture with its box beside its map")
    batch_size: int = option(8, "pictures that go through the network at once", minimum=1, aliases=("batch",))


@dataclasses.dataclass(frozen=True)
class PredictFlags:
    """All flags of the command."""

    prediction: PredictOptions
    box: BoxOptions
    refine: RefineOptions
    localizer: LocalizerOptions
    compute: ComputeOptions


def main(flags: PredictFlags, arguments: list[str]) -> int:
    """Finds the object in pictures: python -m e2wsol.predict --model=RUN_FOLDER --output=DIR PICTURES_OR_FOLDERS.

    The threshold is the one that e2wsol.evaluate chose for the run, where it was evaluated; --threshold sets another.
    --refine=auto lets the picture's colours move the box where that is likely to help (docs/refinement.md).
    --labels=folder, or --labels=FILE.csv, says what is in each picture: its map makes the box, its probability is the
    score. --localizer=dgl --layer=conv5_1 looks for the object through another localizer than the method's own.

    An earlier result in DIR is replaced with --replace alone, and files that this command did not write, or that were
    changed since, stay: labels corrected by hand are not lost.

    Exit status: 0 when all is well; 2 for a wrong flag or path; 3 when a picture could not be read, or a file not
    be written: each is named on standard error and left out, the others are written.
    """
    options, output = flags.prediction, pathlib.Path(flags.prediction.output)
    pictures, passed_over = inputs.find_pictures(arguments, leave_out=output / _OVERLAYS)
    form, folder = FORMATS[options.format], OwnedFolder(output, "predict")
    overlays = [_overlay_name(file.stem) for file in pictures if options.overlays]
    folder.check([*form.names(pictures), *overlays], replace=options.replace)
    predictor = make_predictor(flags)
    labels = _labels(options, pictures, predictor)
    about = {"model": options.model, **predictor.about, **({"labels": options.labels} if options.labels else {})}
    folder.clear()
    writer = Writer(folder, form, predictor.class_names, about)
    try:
        settings: dict[str, Any] = {"batch_size": options.batch_size, "overlays": options.overlays, "labels": labels}
        for found in predict(predictor, pictures, **settings):
            writer.add(found)
    finally:  # also of a run that ends early, what was found is kept
        writer.finish()
    unreadable = len(pictures) - len(writer.images)
    unwritten = f", {writer.unwritten} files not written" if writer.unwritten else ""
    terminal.say(f"{output}: boxes of {len(writer.images)} pictures, {unreadable} unreadable{unwritten}")
    flat = [image.name for image in writer.images if image.flat_map]
    if flat:
        terminal.say(f"note: {len(flat)} maps have no contrast, their boxes say nothing: {', '.join(flat[:_NAMED])}")
    if passed_over:
        terminal.say(f"passed over: {picture_files.summary(passed_over)}")
    if "threshold" in predictor.about:
        terminal.say("threshold {threshold:g} ({threshold_from}), protocol {protocol}".format(**predictor.about))
    return EXIT_UNREADABLE if unreadable or writer.unwritten else 0


def _labels(options: PredictOptions, pictures: Sequence[inputs.PictureFile], predictor: Any) -> list[int] | None:
    if not options.labels:
        return None
    if options.top_k > 1:
        raise ArgumentError("top_k", options.top_k, "with labels there is one class a picture")
    return known_labels(options.labels, pictures, predictor.class_names)


def make_predictor(flags: PredictFlags) -> Any:
    """The predictor that PredictFlags ask for.

    Raises:
      UserError: no such model, or an option that the model cannot follow.
    """
    if not flags.prediction.model:
        raise UserError("--model is missing: give a run folder, a .keras file or an exported SavedModel folder")
    flags.localizer.check()
    run = load(flags.prediction.model, precision=flags.compute.precision)
    settings: dict[str, Any] = {
        "protocol": flags.box.protocol,
        "threshold": flags.box.threshold,
        "top_k": flags.prediction.top_k,
        "localizer": flags.localizer,
        "refine": flags.refine.refine,
        "jit": flags.compute.jit,
    }
    if isinstance(run, ExportedModel):
        terminal.note("note: a SavedModel is a program that can read and write files; load only those that you trust")
        settings["precision"] = flags.compute.precision
    return run.predictor(**settings)


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """What was found in one picture.

    Attributes:
      image: AnnotatedImage.
      stem: of the picture's overlay, see inputs.PictureFile.
      overlay: uint8 RGB (h, w, 3), the picture with its box beside its map; None where none was asked for.
    """

    image: AnnotatedImage
    stem: str
    overlay: np.ndarray | None


def predict(
    predictor: Any,
    pictures: Sequence[inputs.PictureFile],
    *,
    batch_size: int = 8,
    overlays: bool = False,
    labels: Sequence[int] | None = None,
) -> Iterator[Found]:
    """Localizes the object of every picture; those that cannot be read are named on standard error.

    Args:
      predictor: of TrainedRun.predictor.
      pictures: list of inputs.PictureFile.
      batch_size: pictures per call of the predictor.
      overlays: whether to draw overlays.
      labels: the class to localize in each picture; None for the most probable ones.

    Yields:
      Found, in the order of `pictures` without the unreadable ones.
    """
    with terminal.ProgressBar(len(pictures), "predict", "picture") as bar:
        for start in range(0, len(pictures), batch_size):
            chunk = pictures[start : start + batch_size]
            wanted = None if labels is None else labels[start : start + batch_size]
            yield from _predict_batch(predictor, chunk, wanted, overlays)
            bar.update(len(chunk))


def _predict_batch(predictor, pictures, labels, overlays):
    readable, views, sizes, shown = [], [], [], []
    wanted = None if labels is None else []
    for index, file in enumerate(pictures):
        try:
            pixels, _ = images.decode(picture_files.read(file.path), file.path)
        except UserError as error:
            terminal.note(f"skipped: {error}")
            continue
        readable.append(file)
        if wanted is not None:
            wanted.append(labels[index])
        views.append(predictor.prepare(pixels))
        sizes.append((pixels.shape[1], pixels.shape[0]))
        # Full pictures of a whole batch would fill the memory.
        shown.append(images.shrink(pixels, _OVERLAY_SIDE) if overlays else None)
    localizations = predictor(views, sizes, wanted) if readable else []
    for file, small, localization in zip(readable, shown, localizations):
        tile = overlay.of_localization(small, localization, side=_OVERLAY_SIDE) if overlays else None
        yield Found(_annotated(file, localization), file.stem, tile)


class Writer:
    """Writes what is found as it comes: label files and overlays at once, documents of all pictures at the end.

    Args:
      folder: where files go, checked and cleared.
      form: their format.
      class_names: names in label order.
      about: what documents say of the model.

    Attributes:
      images: the AnnotatedImages so far.
      unwritten: number of files that could not be written; each is named on standard error.
    """

    def __init__(self, folder: OwnedFolder, form: Format, class_names: Sequence[str], about: dict[str, Any]):
        self._folder, self._form, self._class_names, self._about = folder, form, class_names, about
        self._document_is_written = False
        self.images: list[AnnotatedImage] = []
        self.unwritten = 0

    def add(self, found: Found) -> None:
        """Writes one picture's files; an OSError where no more can be written at all."""
        self.images.append(found.image)
        if self._form.label_suffix:
            self._write([found.image])
        if found.overlay is not None:
            self._file(_overlay_name(found.stem), images.encode_jpeg(found.overlay, _OVERLAY_QUALITY))

    def finish(self) -> None:
        """Writes the document, where the format has one."""
        if not self._form.label_suffix:
            self._write(self.images)
        elif not self._document_is_written:
            self._write([])

    def _write(self, predictions: Sequence[AnnotatedImage]) -> None:
        for name, text in self._form.files(predictions, self._class_names, self._about).items():
            if name != self._form.document or not self._document_is_written:
                self._file(name, text.encode("utf-8"))
            self._document_is_written |= name == self._form.document

    def _file(self, name: str, data: bytes) -> None:
        try:
            self._folder.write_bytes(name, data)
        except (OSError, UserError) as error:
            if getattr(error, "errno", None) in _NO_SPACE:
                raise
            self.unwritten += 1
            reason = error if isinstance(error, UserError) else f"{self._folder.path / name}: {error.strerror}"
            terminal.note(f"not written: {reason}")


def _overlay_name(stem: str) -> str:
    return f"{_OVERLAYS}/{stem}.jpg"


def _annotated(file, found):
    qualities = [None] * len(found.boxes) if found.qualities is None else found.qualities.tolist()
    detections = tuple(
        Detection(int(label), name, float(score), tuple(map(float, box)), outline, quality)
        for label, name, score, box, outline, quality in zip(
            found.labels, found.class_names, found.scores, found.boxes, found.outlines, qualities
        )
    )
    return AnnotatedImage(file.path.as_posix(), file.name, file.label, *found.image_size, detections, found.is_flat)


if __name__ == "__main__":
    cli.run(main, PredictFlags)
