"""Finds the object in pictures: class, score and box of each, in a format that annotation tools read."""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

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
from e2wsol.prediction.formats import AnnotatedImage, Common, Detection
from e2wsol.prediction.known_labels import known_labels
from e2wsol.prediction.outputs import OVERLAYS, Found, Layout, OutputOptions, Writer
from e2wsol.prediction.saved_model import ExportedModel
from e2wsol.trained_run import load
from e2wsol.visualize import overlay

EXIT_UNREADABLE = 3
_NAMED = 5
_OVERLAY_SIDE = 480


@dataclasses.dataclass(frozen=True)
class PredictOptions:
    """What to predict, and with what."""

    model: str = option("", "run folder, .keras file, or SavedModel folder of e2wsol.export", aliases=("run_dir",))
    labels: str = option(
        "",
        "class and map of the label that is known: folder for the name of the folder a picture lies in, or a .csv with "
        "columns path and class; empty for the most probable class",
    )
    top_k: int = option(1, "classes to localize for each picture, most probable first", minimum=1)
    batch_size: int = option(8, "pictures that go through the network at once", minimum=1, aliases=("batch",))


@dataclasses.dataclass(frozen=True)
class PredictFlags:
    """All flags of the command."""

    prediction: PredictOptions
    output: OutputOptions
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
    layout, folder = Layout(flags.output), OwnedFolder(flags.output.output, "predict")
    leave_out = [folder.path / OVERLAYS, *folder.earlier_files()]
    pictures, passed_over = inputs.find_pictures(arguments, leave_out=leave_out)
    with folder.held():
        folder.check(layout.names(pictures), replace=flags.output.replace)
        predictor = make_predictor(flags)
        writer = _write(flags, predictor, pictures, folder, layout)
    unreadable = len(pictures) - len(writer.images)
    unwritten = f", {writer.unwritten} files not written" if writer.unwritten else ""
    terminal.say(f"{folder.path}: boxes of {len(writer.images)} pictures, {unreadable} unreadable{unwritten}")
    flat = [image.name for image in writer.images if image.flat_map]
    if flat:
        terminal.say(f"note: {len(flat)} maps have no contrast, their boxes say nothing: {', '.join(flat[:_NAMED])}")
    if passed_over:
        terminal.say(f"passed over: {picture_files.summary(passed_over)}")
    if "threshold" in predictor.about:
        terminal.say("threshold {threshold:g} ({threshold_from}), protocol {protocol}".format(**predictor.about))
    return EXIT_UNREADABLE if unreadable or writer.unwritten else 0


def _write(
    flags: PredictFlags,
    predictor: Any,
    pictures: Sequence[inputs.PictureFile],
    folder: OwnedFolder,
    layout: Layout,
) -> Writer:
    """Localizes the pictures and writes what is found; returns the Writer, which knows what was written."""
    options = flags.prediction
    labels = _labels(options, pictures, predictor)
    about = {"model": options.model, **predictor.about, **({"labels": options.labels} if options.labels else {})}
    settings: dict[str, Any] = {"batch_size": options.batch_size, "overlays": flags.output.overlays, "labels": labels}
    folder.clear()
    writer = Writer(folder, layout, Common(predictor.class_names, about, flags.output.picture_url))
    try:
        for found in predict(predictor, pictures, **settings):
            writer.add(found)
    finally:  # also of a run that ends early, what was found is kept
        writer.finish()
    return writer


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
        yield Found(_annotated(file, localization), file, localization.map, tile)


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
