"""Finds the object in pictures: class, score and box of each, in a format that annotation tools read."""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import tqdm

from e2wsol import cli, files
from e2wsol.compute import ComputeOptions
from e2wsol.config import option
from e2wsol.data import images
from e2wsol.errors import UserError
from e2wsol.localization.protocols import BoxOptions
from e2wsol.localizers import LocalizerOptions
from e2wsol.prediction import inputs
from e2wsol.prediction.formats import FORMATS, RESERVED_STEMS, AnnotatedImage, Detection
from e2wsol.prediction.saved_model import ExportedModel
from e2wsol.trained_run import load
from e2wsol.visualize import overlay

EXIT_UNREADABLE = 3
_OVERLAYS = "overlays"
_OVERLAY_SIDE = 480
_OVERLAY_QUALITY = 88


@dataclasses.dataclass(frozen=True)
class PredictOptions:
    """What to predict with, and how to write it."""

    model: str = option("", "run folder, .keras file, or SavedModel folder of e2wsol.export", aliases=("run_dir",))
    output: str = option("predictions", "folder that the files go to")
    format: str = option(
        "json",
        "json: predictions.json; coco: annotations.json; voc: an XML a picture; yolo: a text a picture and classes.txt",
        choices=tuple(FORMATS),
    )
    top_k: int = option(1, "classes to localize for each picture, most probable first", minimum=1)
    overlays: bool = option(True, "also write overlays/*.jpg: the picture with its box beside its map")
    batch_size: int = option(8, "pictures that go through the network at once", minimum=1, aliases=("batch",))


@dataclasses.dataclass(frozen=True)
class PredictFlags:
    """All flags of the command."""

    prediction: PredictOptions
    box: BoxOptions
    localizer: LocalizerOptions
    compute: ComputeOptions


def main(flags: PredictFlags, arguments: list[str]) -> int:
    """Finds the object in pictures: python -m e2wsol.predict --model=RUN_FOLDER --output=DIR PICTURES_OR_FOLDERS.

    The threshold is the one that e2wsol.evaluate chose for the run, where it was evaluated; --threshold sets another.
    --localizer=dgl --layer=conv5_1 looks for the object through another localizer than the method's own.

    Exit status: 0 when all is well; 2 for a wrong flag or path; 3 when a picture could not be read: each
    such picture is named on standard error and left out, the others are written.
    """
    options, output = flags.prediction, pathlib.Path(flags.prediction.output)
    pictures = inputs.find_pictures(arguments, leave_out=output / _OVERLAYS, reserved=RESERVED_STEMS)
    predictor = make_predictor(flags)
    overlay_folder = output / _OVERLAYS if options.overlays else None
    predictions = predict(predictor, pictures, batch_size=options.batch_size, overlay_folder=overlay_folder)
    about = {"model": options.model, **predictor.about}
    for name, text in FORMATS[options.format](predictions, predictor.class_names, about).items():
        files.write_text(output / name, text)
    unreadable = len(pictures) - len(predictions)
    print(f"{output}: boxes of {len(predictions)} pictures, {unreadable} unreadable")
    if "threshold" in predictor.about:
        print("threshold {threshold:g} ({threshold_from}), protocol {protocol}".format(**predictor.about))
    return EXIT_UNREADABLE if unreadable else 0


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
        settings["precision"] = flags.compute.precision
    return run.predictor(**settings)


def predict(
    predictor: Any,
    pictures: Sequence[inputs.PictureFile],
    *,
    batch_size: int = 8,
    overlay_folder: pathlib.Path | None = None,
) -> list[AnnotatedImage]:
    """Localizes the object of every picture; those that cannot be read are named on standard error.

    Args:
      predictor: of TrainedRun.predictor.
      pictures: list of inputs.PictureFile.
      batch_size: pictures per call of the predictor.
      overlay_folder: where overlay pictures go, under the pictures' stems; None writes none.

    Returns:
      list of formats.AnnotatedImage, in the order of `pictures` without the unreadable ones.
    """
    predictions: list[AnnotatedImage] = []
    with tqdm.tqdm(total=len(pictures), desc="predict", unit="picture") as bar:
        for start in range(0, len(pictures), batch_size):
            chunk = pictures[start : start + batch_size]
            predictions += _predict_batch(predictor, chunk, overlay_folder, bar)
            bar.update(len(chunk))
    return predictions


def _predict_batch(predictor, pictures, overlay_folder, bar):
    readable, views, sizes, shown = [], [], [], []
    for file in pictures:
        try:
            pixels, _ = images.decode(file.path.read_bytes(), file.path)
        except (UserError, PermissionError) as error:
            bar.write(f"skipped: {error}", file=sys.stderr)
            continue
        readable.append(file)
        views.append(predictor.prepare(pixels))
        sizes.append((pixels.shape[1], pixels.shape[0]))
        # Full pictures of a whole batch would fill the memory.
        shown.append(images.shrink(pixels, _OVERLAY_SIDE) if overlay_folder else None)
    if not readable:
        return []
    found = predictor(views, sizes)
    if overlay_folder:
        for file, small, localization in zip(readable, shown, found):
            tile = overlay.of_localization(small, localization, side=_OVERLAY_SIDE)
            files.write_bytes(overlay_folder / f"{file.stem}.jpg", images.encode_jpeg(tile, _OVERLAY_QUALITY))
    return [_annotated(*entry) for entry in zip(readable, found)]


def _annotated(file, found):
    detections = tuple(
        Detection(int(label), name, float(score), tuple(map(float, box)))
        for label, name, score, box in zip(found.labels, found.class_names, found.scores, found.boxes)
    )
    return AnnotatedImage(file.path.as_posix(), file.name, file.stem, *found.image_size, detections)


if __name__ == "__main__":
    cli.run(main, PredictFlags)
