"""Finds the object in pictures: class, score and box of each, in a format that annotation tools read."""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import pathlib
import sys

import tqdm

from e2wsol import cli, files
from e2wsol.compute import ComputeOptions
from e2wsol.config import option
from e2wsol.data import images
from e2wsol.errors import UserError
from e2wsol.localization.protocols import BoxOptions
from e2wsol.localizers import LocalizerOptions
from e2wsol.prediction import inputs, predictors
from e2wsol.prediction.formats import FORMATS, RESERVED_STEMS, Detection, Prediction
from e2wsol.visualize import overlay

EXIT_UNREADABLE = 3
_OVERLAYS = "overlays"
_OVERLAY_SIDE = 480
_OVERLAY_QUALITY = 88


@dataclasses.dataclass(frozen=True)
class PredictOptions:
    """What to predict with, and how to write it."""

    model: str = option("", "run folder, .keras file, or SavedModel folder of e2wsol.export")
    output: str = option("predictions", "folder that the files go to")
    format: str = option(
        "json",
        "json: predictions.json; coco: annotations.json; voc: an XML a picture; yolo: a text a picture and classes.txt",
        choices=tuple(FORMATS),
    )
    top_k: int = option(1, "classes to localize for each picture, most probable first", minimum=1)
    overlays: bool = option(True, "also write overlays/*.jpg: the picture with its box beside its map")
    batch: int = option(8, "pictures that go through the network at once", minimum=1)


OPTION_CLASSES = (PredictOptions, BoxOptions, LocalizerOptions, ComputeOptions)


def main(options, box, looking, computing, arguments):
    """Finds the object in pictures: python -m e2wsol.predict --model=RUN_FOLDER --output=DIR PICTURES_OR_FOLDERS.

    --localizer=dgl --layer=conv5_1 looks for it through another localizer than the method's own; its maps want
    their own --threshold, see the result.json that e2wsol.evaluate writes for them.

    Exit status: 0 when all is well; 2 for a wrong flag or path; 3 when a picture could not be read: each
    such picture is named on standard error and left out, the others are written.
    """
    output = pathlib.Path(options.output)
    pictures = inputs.find_pictures(arguments, leave_out=output / _OVERLAYS, reserved=RESERVED_STEMS)
    predictor, names = predictors.load(options.model, box, top_k=options.top_k, looking=looking, computing=computing)
    overlay_folder = output / _OVERLAYS if options.overlays else None
    predictions = predict(predictor, names, pictures, batch=options.batch, overlay_folder=overlay_folder)
    about = {"model": options.model, **predictor.about}
    for name, text in FORMATS[options.format](predictions, names, about).items():
        files.write_text(output / name, text)
    unreadable = len(pictures) - len(predictions)
    print(f"{output}: boxes of {len(predictions)} pictures, {unreadable} unreadable")
    return EXIT_UNREADABLE if unreadable else 0


def predict(predictor, class_names, pictures, *, batch=8, overlay_folder=None):
    """Localizes the object of every picture; those that cannot be read are named on standard error.

    Args:
      predictor: a predictor of e2wsol.prediction.predictors.
      class_names: names in label order.
      pictures: list of inputs.PictureFile.
      batch: pictures per call of the predictor.
      overlay_folder: where overlay pictures go, under the pictures' stems; None writes none.

    Returns:
      list of formats.Prediction, in the order of `pictures` without the unreadable ones.
    """
    predictions = []
    with tqdm.tqdm(total=len(pictures), desc="predict", unit="picture") as bar:
        for start in range(0, len(pictures), batch):
            chunk = pictures[start : start + batch]
            predictions += _predict_batch(predictor, class_names, chunk, overlay_folder, bar)
            bar.update(len(chunk))
    return predictions


def _predict_batch(predictor, class_names, pictures, overlay_folder, bar):
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
        for file, size, small, localization in zip(readable, sizes, shown, found):
            _write_overlay(overlay_folder / f"{file.stem}.jpg", small, size, localization, class_names)
    return [_prediction(*entry, class_names) for entry in zip(readable, sizes, found)]


def _write_overlay(path, picture, size, localization, class_names):
    """Draws the first class's box; `picture` may be smaller than `size` (width, height), the box' frame."""
    scale = picture.shape[1] / size[0], picture.shape[0] / size[1]
    tile = overlay.tile(
        picture,
        localization.score_map,
        predicted=localization.boxes[:1] * (*scale, *scale),
        side=_OVERLAY_SIDE,
        caption=f"{class_names[localization.labels[0]]}  {localization.scores[0]:.2f}",
    )
    files.write_bytes(path, images.encode_jpeg(tile, _OVERLAY_QUALITY))


def _prediction(file, size, localization, class_names):
    detections = tuple(
        Detection(int(label), class_names[label], float(score), tuple(map(float, box)))
        for label, score, box in zip(localization.labels, localization.scores, localization.boxes)
    )
    return Prediction(file.path.as_posix(), file.name, file.stem, *size, detections)


if __name__ == "__main__":
    cli.run(main, *OPTION_CLASSES)
