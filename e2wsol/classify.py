"""Predicts the classes of a split's pictures and writes them to a file.

python -m e2wsol.classify --run_dir=runs/spol_cls_cub --input_size=685
python -m e2wsol.evaluate --run_dir=runs/spol_seg_cub --predictions=runs/spol_cls_cub/test.jsonl

One JSON line a picture: its id, the five best classes, best first, and their probabilities. The file gets its name
when it is whole; a run that was stopped starts again from the first picture and ends with the same file. Where it is
there already, made by the same checkpoint from the same records, there is nothing to do. FILE.about.json says
what it was made with.
"""

import e2wsol.on_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from e2wsol import cli, files, folder_lock, terminal
from e2wsol.config import option
from e2wsol.data import bad_records, dataset, pipeline
from e2wsol.data.dataset import Dataset
from e2wsol.data.views import BILINEAR
from e2wsol.errors import UserError
from e2wsol.evaluation import predicted_classes
from e2wsol.evaluation.of_run import crops_to_take
from e2wsol.prediction.classifier import Classifier, ranking
from e2wsol.trained_run import TrainedRun

FORMAT = "e2wsol-classes/1"


@dataclasses.dataclass(frozen=True)
class ClassifyOptions:
    """Whose classes of which pictures."""

    run_dir: str = option("", "run folder of python -m e2wsol.train, of any method that classifies")
    checkpoint: str = option("", "a .keras file; empty for the run's best checkpoint, or its last without validation")
    data_dir: str = option("", "records to classify; empty for those of the training")
    split: str = option("test", "split to classify")
    output: str = option("", "the .jsonl file; empty for SPLIT.jsonl in the run folder")
    input_size: int = option(
        0, "whole pictures are resized to this for the network; 0 for the run's evaluation view", minimum=0
    )
    batch_size: int = option(32, "pictures a batch", minimum=1, aliases=("batch",))
    on_bad_record: str = bad_records.on_bad_record_option()
    crops: str = option(
        "auto",
        "views that a class is predicted from: 1, or the mean over 10 crops; auto as the run's protocol says",
        choices=("auto", "1", "10"),
    )


def main(options: ClassifyOptions, positional: list[str]) -> None:
    """Looks whether it is done, else classifies picture by picture."""
    cli.no_arguments(positional)
    if not options.run_dir:
        raise UserError("--run_dir is missing: give a run folder of python -m e2wsol.train")
    run = TrainedRun.in_folder(options.run_dir, checkpoint=options.checkpoint)
    view, info, folder = run.view, run.records(options.data_dir, options.on_bad_record), run.run_folder.path
    output = pathlib.Path(options.output or folder / f"{options.split}.jsonl")
    if output.suffix != ".jsonl":
        raise UserError(f"--output={output}: give a name that ends in .jsonl")
    info = info.without_bad_records((options.split,), folder)
    info.save_bad_records(folder)
    model, protocol = run.model, run.box_protocol()
    if options.input_size:
        model = model.resized(options.input_size)
        view = whole_pictures(options, view.resize_filter)
    crops = crops_to_take(options.crops, protocol, view)
    about = made_with(options, info, pathlib.Path(run.model_file or ""), view, crops, protocol.ten_crop_mean)
    with folder_lock.held(output.parent, "output", of=output.name):
        files.remove_leftovers(output.parent, output.name)
        if finished(output, about):
            terminal.say(f"{output}: classes by this checkpoint are there already, nothing to do")
            return
        classifier = Classifier(model, protocol.ten_crop_mean or "probabilities")
        hits, count = write(output, about, predicted(classifier, info, view, options, crops))
    top1, top5 = 100 * hits / count
    terminal.say(f"wrote {output}: {count} pictures, Top-1 {top1:.1f} %, Top-5 {top5:.1f} % right")


def whole_pictures(options: ClassifyOptions, resize_filter: str) -> pipeline.PipelineOptions:
    """The PipelineOptions of --input_size, resized as the run's pictures are.

    Raises:
      UserError: ten crops are asked for.
    """
    if options.crops == "10":
        raise UserError(f"--input_size={options.input_size}: whole pictures, not crops; give --crops=1")
    size = options.input_size
    return pipeline.PipelineOptions(image_size=size, resize_size=size, eval_crop="none", resize_filter=resize_filter)


def made_with(
    options: ClassifyOptions,
    info: Dataset,
    model_file: pathlib.Path,
    view: pipeline.PipelineOptions,
    crops: int,
    ten_crop_mean: str | None,
) -> dict[str, Any]:
    """What decides the classes, as FILE.about.json says it."""
    skipped = info.split(options.split).skipped
    return {
        "format": FORMAT,
        "model_sha256": dataset.sha256(model_file),
        "data": info.name,
        "data_sha256": dataset.sha256(pathlib.Path(info.folder) / dataset.FILE_NAME),
        "split": options.split,
        "pictures": info.split(options.split).count,
        "image_size": view.image_size,
        "resize_size": view.resize_size,
        "eval_crop": view.eval_crop,
        "crops": crops,
        "mean_of": ten_crop_mean if crops == 10 else None,
        **({} if view.resize_filter == BILINEAR else {"resize_filter": view.resize_filter}),  # older files name none
        **({"skipped_records": skipped} if skipped else {}),
    }


def about_file(output: pathlib.Path) -> pathlib.Path:
    """Where it is said what the file of classes was made with."""
    return output.with_name(f"{output.name}.about.json")


def finished(output: pathlib.Path, about: dict[str, Any]) -> bool:
    """Whether `output` is whole and was made as `about` says.

    Raises:
      UserError: there is a file of that name, or of that of its about.json, that this command did not make.
    """
    if not os.path.lexists(output) and not os.path.lexists(about_file(output)):
        return False
    try:
        found = json.loads(files.read_text(about_file(output)))
        written, is_ours = found.pop("sha256"), found["format"] == FORMAT
    except Exception:  # whatever a file of another program makes it meet
        is_ours = False
    if not is_ours or (os.path.lexists(output) and not output.is_file()):
        raise UserError(
            f"--output={output}: exists and has no valid {about_file(output).name}; delete it, or give another name"
        )
    return output.is_file() and found == about and dataset.sha256(output) == written


def predicted(
    classifier: Classifier, info: Dataset, view: pipeline.PipelineOptions, options: ClassifyOptions, crops: int
) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:
    """Yields (picture id, label, five best classes, their probabilities) in the order of the records."""
    batches = pipeline.eval_dataset(info, view, split=options.split, batch=options.batch_size, crops=crops)
    count = info.split(options.split).count
    with info.reading(options.split), terminal.ProgressBar(count, "classify", "picture") as bar:
        for batch in batches:
            probabilities = classifier.probabilities(batch)
            best = ranking(probabilities)
            for index, source_id in enumerate(batch["source_id"].numpy()):
                own = best[index]
                yield source_id.decode(errors="replace"), int(batch["label"][index]), own, probabilities[index, own]
            bar.update(len(best))


def write(
    output: pathlib.Path, about: dict[str, Any], predictions: Iterable[tuple[str, int, np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, int]:
    """Writes the file and what it was made with; returns (right among the first 1 and 5: (2,) int, pictures)."""
    hits, count = np.zeros(2, int), 0
    output.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(output) as temporary:
        with open(temporary, "w", encoding="utf-8") as file:
            for source_id, label, classes, probabilities in predictions:
                file.write(predicted_classes.line(source_id, classes, probabilities))
                hits += (classes[0] == label, label in classes)
                count += 1
        # First what it was made with: stopped between the two, the file is not yet there, or not the one described.
        record = about | {"sha256": dataset.sha256(temporary)}
        files.write_text(about_file(output), json.dumps(record, indent=1) + "\n")
    return hits, count


if __name__ == "__main__":
    tf.config.experimental.enable_op_determinism()  # on a GPU too, a run that was stopped ends with the same bits
    cli.run(main, ClassifyOptions, description=__doc__)
