"""Makes SPOL's pseudo masks: copies records and puts a mask into every training picture.

python -m e2wsol.pseudo_masks --run_dir=runs/spol_cam_cub --data_dir=records/cub --output=records/cub_spol

The run's map of the true class becomes the picture's foreground and Gaussian prior (see
e2wsol.localization.pseudo_mask). The copy's other splits are those of --data_dir; OUTPUT/pseudo_masks.png shows
some masks. The same command again goes on where it was stopped. Any method with class maps will do.
"""

import e2wsol.on_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import os
import pathlib
from typing import Any

import cv2
import tensorflow as tf

from e2wsol import cli, files, folder_lock, terminal
from e2wsol.config import option
from e2wsol.data import bad_records, dataset, pipeline, schema
from e2wsol.data.dataset import Dataset
from e2wsol.data.masked_records import MaskedRecords
from e2wsol.data.views import BILINEAR
from e2wsol.errors import UserError
from e2wsol.localization import pseudo_mask
from e2wsol.prediction.mask_maker import MaskMaker
from e2wsol.trained_run import TrainedRun
from e2wsol.visualize.overlay import PSEUDO_MASK_SHEET, pseudo_mask_sheet

SPLIT = "train"


@dataclasses.dataclass(frozen=True)
class PseudoMaskOptions:
    """Which maps of which pictures, and how they become masks."""

    run_dir: str = option("", "run folder of python -m e2wsol.train whose maps are used")
    checkpoint: str = option("", "a .keras file; empty for the run's best checkpoint, or its last without validation")
    data_dir: str = option("", "records to copy; empty for those of the training")
    output: str = option("", "folder for the records with masks, such as records/cub_spol")
    mask_input_size: int = option(
        0,
        "whole pictures are resized to this for the network; 0 for the run's --resize_size (released: 256)",
        minimum=0,
    )
    mask_size: int = option(256, "side of the frame in which contours are looked for, pixels", minimum=8)
    mask_band_low: float = option(
        pseudo_mask.BAND[0], "lowest foreground of the pixels that make contours", minimum=0.0, maximum=1.0
    )
    mask_band_high: float = option(
        pseudo_mask.BAND[1], "highest foreground of the pixels that make contours", minimum=0.0, maximum=1.0
    )
    mask_min_area: float = option(
        pseudo_mask.MIN_AREA, "contours of a smaller area give no Gaussian, square pixels of --mask_size", minimum=0.5
    )
    batch_size: int = option(32, "pictures a batch", minimum=1, aliases=("batch",))
    on_bad_record: str = bad_records.on_bad_record_option()
    threads: int = option(0, "threads that make and encode masks; 0 for one a core", minimum=0)
    samples: int = option(12, f"masks that {PSEUDO_MASK_SHEET} shows", minimum=1)

    def __post_init__(self):
        if self.mask_band_low > self.mask_band_high:
            raise UserError(
                f"--mask_band_low={self.mask_band_low}: must be at most --mask_band_high={self.mask_band_high}"
            )


def main(options: PseudoMaskOptions, positional: list[str]) -> None:
    """Looks at what is done, then makes the masks that are missing."""
    cli.no_arguments(positional)
    for flag in ("run_dir", "output"):
        if not getattr(options, flag):
            raise UserError(f"--{flag} is missing: see python -m e2wsol.pseudo_masks --help")
    run = TrainedRun.in_folder(options.run_dir, checkpoint=options.checkpoint)
    info = run.records(options.data_dir, options.on_bad_record)
    info = info.without_bad_records((SPLIT,), run.run_folder.path)
    info.save_bad_records(run.run_folder.path)
    if not info.split(SPLIT).count:
        raise UserError(f"--data_dir={info.folder}: split '{SPLIT}' holds no picture")
    input_size = options.mask_input_size or run.view.resize_size
    with folder_lock.held(options.output, "output"):
        _make(options, run, info, input_size)


def _make(options: PseudoMaskOptions, run: TrainedRun, info: Dataset, input_size: int) -> None:
    """Makes the masks that are missing, while no other process writes to the folder."""
    copy = MaskedRecords(
        info,
        options.output,
        made_with(options, input_size, pathlib.Path(run.model_file or ""), run.resize_filter),
        (SPLIT,),
    )
    if copy.finished:
        terminal.say(f"{options.output}: pseudo masks of this checkpoint are there already, nothing to do")
        return
    maker = MaskMaker(
        run.model,
        info,
        input_size=input_size,
        resize_filter=run.resize_filter,
        batch=options.batch_size,
        threads=options.threads or os.cpu_count() or 1,
        size=options.mask_size,
        band=(options.mask_band_low, options.mask_band_high),
        min_area=options.mask_min_area,
    )
    write(copy, maker, info, options.samples)
    terminal.say(
        f"wrote {options.output}: {info.split(SPLIT).count} pseudo masks, {copy.without_prior} without a prior"
    )


def made_with(
    options: PseudoMaskOptions, input_size: int, model_file: pathlib.Path, resize_filter: str = BILINEAR
) -> dict[str, Any]:
    """What decides the masks, as it is recorded with them.

    Raises:
      UserError: there is no such checkpoint.
    """
    if not model_file.is_file():
        raise UserError(f"--checkpoint={model_file}: no such file; give a .keras file")
    names = ("mask_size", "mask_band_low", "mask_band_high", "mask_min_area")
    rules = {name: getattr(options, name) for name in names}
    of_filter = {} if resize_filter == BILINEAR else {"resize_filter": resize_filter}  # older copies name none
    return {"model_sha256": dataset.sha256(model_file), "mask_input_size": input_size, **rules, **of_filter}


def write(copy: MaskedRecords, maker: MaskMaker, info: Dataset, samples: int) -> None:
    """Writes the records that are missing, then the sheet of samples."""
    count = info.split(SPLIT).count
    with terminal.ProgressBar(count, "pseudo masks", "picture", initial=copy.pictures_done) as bar:

        def records(split, file):
            for result in maker.records(info.split(split), str(file)):
                yield result
                bar.update()

        copy.write(records, lambda made: write_sheet(made, samples))


def write_sheet(info: Dataset, count: int) -> None:
    """Writes PSEUDO_MASK_SHEET into the folder of records: the first `count` pictures of its training split."""
    stored = tf.data.TFRecordDataset(list(info.split(SPLIT).files)).take(count).map(schema.parse)
    samples = [
        (pipeline.decode(record["jpeg"]).numpy(), pipeline.decode_pseudo_mask(record["pseudo_mask"]).numpy())
        for record in stored
    ]
    png = cv2.imencode(".png", pseudo_mask_sheet(samples)[..., ::-1])[1].tobytes()
    files.write_bytes(pathlib.Path(info.folder) / PSEUDO_MASK_SHEET, png)


if __name__ == "__main__":
    tf.config.experimental.enable_op_determinism()  # on a GPU too, a run that was stopped ends with the same bits
    cli.run(main, PseudoMaskOptions, description=__doc__)
