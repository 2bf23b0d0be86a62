"""Finds the object in pictures: class, score and box of each, in a format that annotation tools read."""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from e2wsol import cli, terminal
from e2wsol.compute import ComputeOptions
from e2wsol.config import option
from e2wsol.data import images, picture_files
from e2wsol.errors import UserError
from e2wsol.localization.protocols import BoxOptions
from e2wsol.localizers import LocalizerOptions
from e2wsol.owned_files import OwnedFolder
from e2wsol.prediction import inputs
from e2wsol.prediction.formats import AnnotatedImage, Common, Detection
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
    top_k: int = option(1, "classes to localize for each picture, most probable first", minimum=1)
    batch_size: int = option(8, "pictures that go through the network at once", minimum=1, aliases=("batch",))


@dataclasses.dataclass(frozen=True)
class PredictFlags:
    """All flags of the command."""

    prediction: PredictOptions
    output: OutputOptions
    box: BoxOptions
    localizer: LocalizerOptions
    compute: ComputeOptions


def main(flags: PredictFlags, arguments: list[str]) -> int:
    """Finds the object in pictures: python -m e2wsol.predict --model=RUN_FOLDER --output=DIR PICTURES_OR_FOLDERS.

    The threshold is the one that e2wsol.evaluate chose for the run, where it was evaluated; --threshold sets another.
    --localizer=dgl --layer=conv5_1 looks for the object through another localizer than the method's own.

    An earlier result in DIR is replaced with --replace alone, and files that this command did not write, or that were
    changed since, stay: labels corrected by hand are not lost.

    Exit status: 0 when all is well; 2 for a wrong flag or path; 3 when a picture could not be read, or a file not
    be written: each is named on standard error and left out, the others are written.
    """
    options, output = flags.prediction, pathlib.Path(flags.output.output)
    layout, folder = Layout(flags.output), OwnedFolder(output, "predict")
    pictures, passed_over = inputs.find_pictures(arguments, leave_out=[output / OVERLAYS, *folder.earlier_files()])
    folder.check(layout.names(pictures), replace=flags.output.replace)
    predictor = make_predictor(flags)
    about = {"model": options.model, **predictor.about}
    folder.clear()
    writer = Writer(folder, layout, Common(predictor.class_names, about, flags.output.picture_url))
    try:
        for found in predict(predictor, pictures, batch_size=options.batch_size, overlays=flags.output.overlays):
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
        "jit": flags.compute.jit,
    }
    if isinstance(run, ExportedModel):
        terminal.note("note: a SavedModel is a program that can read and write files; load only those that you trust")
        settings["precision"] = flags.compute.precision
    return run.predictor(**settings)


def predict(
    predictor: Any, pictures: Sequence[inputs.PictureFile], *, batch_size: int = 8, overlays: bool = False
) -> Iterator[Found]:
    """Localizes the object of every picture; those that cannot be read are named on standard error.

    Args:
      predictor: of TrainedRun.predictor.
      pictures: list of inputs.PictureFile.
      batch_size: pictures per call of the predictor.
      overlays: whether to draw overlays.

    Yields:
      Found, in the order of `pictures` without the unreadable ones.
    """
    with terminal.ProgressBar(len(pictures), "predict", "picture") as bar:
        for start in range(0, len(pictures), batch_size):
            chunk = pictures[start : start + batch_size]
            yield from _predict_batch(predictor, chunk, overlays, bar)
            bar.update(len(chunk))


def _predict_batch(predictor, pictures, overlays, bar):
    readable, views, sizes, shown = [], [], [], []
    for file in pictures:
        try:
            pixels, _ = images.decode(picture_files.read(file.path), file.path)
        except UserError as error:
            terminal.note(f"skipped: {error}")
            continue
        readable.append(file)
        views.append(predictor.prepare(pixels))
        sizes.append((pixels.shape[1], pixels.shape[0]))
        # Full pictures of a whole batch would fill the memory.
        shown.append(images.shrink(pixels, _OVERLAY_SIDE) if overlays else None)
    localizations = predictor(views, sizes) if readable else []
    for file, small, localization in zip(readable, shown, localizations):
        tile = overlay.of_localization(small, localization, side=_OVERLAY_SIDE) if overlays else None
        yield Found(_annotated(file, localization), file, localization.map, tile)


def _annotated(file, found):
    detections = tuple(
        Detection(int(label), name, float(score), tuple(map(float, box)))
        for label, name, score, box in zip(found.labels, found.class_names, found.scores, found.boxes)
    )
    return AnnotatedImage(file.path.as_posix(), file.name, file.label, *found.image_size, detections, found.is_flat)


if __name__ == "__main__":
    cli.run(main, PredictFlags)
