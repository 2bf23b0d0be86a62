"""Scores the localization of a trained run, or maps that another program made.

python -m e2wsol.evaluate --run_dir=runs/e2net_vgg_cub
python -m e2wsol.evaluate --maps=DIR --data_dir=records/cub --protocol=maxboxaccv2

Prints a table and writes result.json and samples.npz for e2wsol.report: into the run folder, or with
--maps into --run_dir or, without one, into DIR. Every score is given with its bootstrap interval, at the
protocol's threshold, at the one chosen on a split that is not scored, and at the best one of the scored
split (an oracle, as most papers report it); with --maps the second needs --threshold_split.

A map is DIR/<picture id>.npy, (--map_size, --map_size) in [0, 1], as the wsolevaluation benchmark stores them;
--map_values=raw takes any size and range.

--predictions=FILE gives every picture's classes, as python -m e2wsol.classify writes them: Top-1 and Top-5 Loc of maps
and of methods that predict no class, or those of a method with another network's classes.
"""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import json
import os
import pathlib
import shutil
import time

from e2wsol import cli, files
from e2wsol.config import from_mapping, option, to_mapping
from e2wsol.data import dataset, pipeline
from e2wsol.errors import UserError
from e2wsol.localization import parallel, protocols
from e2wsol.prediction import figures, map_files
from e2wsol.prediction.class_files import PredictedClasses
from e2wsol.prediction.evaluation import Evaluation, ModelMaps
from e2wsol.prediction.models import box_protocol, load_model
from e2wsol.training.run_folder import RunFolder, git_commit, versions
from e2wsol.visualize.samples import SampleKeeper
from e2wsol.visualize.table import score_table


@dataclasses.dataclass(frozen=True)
class EvaluateOptions:
    """What is scored, on which data."""

    run_dir: str = option("", "run folder of python -m e2wsol.train; with --maps: folder for the result")
    checkpoint: str = option("", "a .keras file; empty for the run's best checkpoint, or its last without validation")
    maps: str = option("", "score the maps in this folder, .npy by picture id, instead of a run's")
    map_values: str = option(
        "scores",
        "what the files of --maps hold: scores, in [0, 1] and of --map_size, taken as they are; or raw, any numbers of "
        "any size, resized and normalised as the protocol does",
        choices=map_files.VALUES,
    )
    map_size: int = option(224, "with --maps: side of the square that is scored, in pixels", minimum=1)
    predictions: str = option(
        "",
        "predicted classes for Top-1 and Top-5 Loc: .jsonl of e2wsol.classify, or .csv of picture id and class "
        "numbers, best first; empty for the run's own",
    )
    data_dir: str = option("", "records to score; empty for those of the training")
    split: str = option("test", "split to score")
    threshold_split: str = option("", "split that the threshold is chosen on; empty for val, or train without val")
    threshold_limit: int = option(2000, "pictures of it to use at most; 0 for all", minimum=0)
    limit: int = option(0, "score the first pictures only; 0 for all", minimum=0)
    batch: int = option(32, "pictures a batch", minimum=1)
    threads: int = option(0, "threads that look for boxes in maps; 0 for one a core", minimum=0)
    crops: str = option(
        "auto",
        "views that a class is predicted from: 1, or the mean over 10 crops; auto as the protocol says",
        choices=("auto", "1", "10"),
    )
    skip_empty: bool = option(
        False,
        "leave pictures without a pixel above the threshold out of the scores, as SPOL's release does, instead of "
        "counting them as misses",
    )
    samples: int = option(48, "pictures kept for the report: best, worst and random ones", minimum=0)


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is scored, a run or a folder of maps.

    Attributes:
      name: how scores call the localizer.
      folder: where the result goes.
      info: DatasetInfo.
      view: PipelineOptions.
      protocol: BoxProtocol.
      maps: ModelMaps or StoredMaps.
      crops: views that a class is predicted from, 1 or 10; None where none is predicted here.
      chooser_split: split that thresholds are chosen on, or None.
      facts: what else result.json says of it.
    """

    name: str
    folder: pathlib.Path
    info: dataset.DatasetInfo
    view: pipeline.PipelineOptions
    protocol: protocols.BoxProtocol
    maps: object
    crops: int | None
    chooser_split: str | None
    facts: dict


def main(options, box, positional):
    """Chooses thresholds on one split, scores the other, writes what came out."""
    cli.no_arguments(positional)
    start = time.monotonic()
    subject = stored_maps(options, box) if options.maps else trained_run(options, box)
    keeper = SampleKeeper(options.samples)
    scorer, scored = score(subject, options, keeper)
    info = subject.info
    data = {"name": info.name, "split": options.split, "pictures": scorer.pictures, "classes": len(info.classes)}
    result = {
        "dataset": data,
        "method": subject.name,
        "image_size": subject.view.image_size,
        "protocol": subject.protocol.name,
        "average": subject.protocol.average,
        "skip_empty": subject.protocol.skip_empty,
        "every_contour": subject.protocol.every_contour,
        "threshold_split": subject.chooser_split,
        "predictions": options.predictions or None,
        **subject.facts,
        **scored,
        "versions": versions(),
        "git_commit": git_commit(),
        "seconds": round(time.monotonic() - start, 1),
    }
    keeper.save(subject.folder / "samples.npz")
    result_file = RunFolder(subject.folder).result_file
    files.write_text(result_file, json.dumps(result, indent=1) + "\n")
    print(score_table(result))
    print(f"wrote {result_file}")


def score(subject, options, keeper):
    """Scores the subject; returns (LocalizationScorer, the figures of result.json)."""
    threads = options.threads or os.cpu_count()
    evaluation = Evaluation(
        subject.info,
        subject.view,
        subject.protocol,
        subject.maps,
        batch=options.batch,
        threads=threads,
        predictions=PredictedClasses(options.predictions, len(subject.info.classes)) if options.predictions else None,
    )
    validation = None
    if subject.chooser_split:
        chosen = evaluation.score(
            subject.chooser_split, limit=options.threshold_limit, classify=subject.protocol.best_by_metric
        )
        validation = figures.best_thresholds(subject.name, *chosen)
    shown_at = subject.protocol.default_threshold
    scorer, baselines = evaluation.score(
        options.split,
        limit=options.limit,
        crops=subject.crops or 1,
        thresholds=figures.all_thresholds(validation),
        keeper=keeper,
        shown_at=validation[subject.name][figures.GT_KNOWN]["0.5"] if validation else shown_at,
    )
    return scorer, figures.figures(subject.name, scorer, baselines, validation)


def trained_run(options, box):
    """The Subject of --run_dir, its model loaded.

    Raises:
      UserError: a flag, the run or the data is wrong.
    """
    if not options.run_dir:
        raise UserError("--run_dir is missing: give a run folder of python -m e2wsol.train, or maps by --maps")
    run = RunFolder(options.run_dir)
    flags = run.flags()
    view = from_mapping(pipeline.PipelineOptions, flags)
    info = dataset.load(options.data_dir or view.data_dir)
    if list(info.classes) != run.classes():
        raise UserError(f"--data_dir={info.folder}: other classes than those of the run ({run.dataset_file})")
    model_file = options.checkpoint or str(run.model_file())
    parallel.start_warm_up()
    model = load_model(model_file)
    protocol = box_protocol(box, flags, model)
    facts = {"backbone": flags["backbone"], "checkpoint": model_file, "flags": flags}
    crops = None
    if model.classifies and not options.predictions:
        crops = crops_to_take(options.crops, protocol, view)
        facts |= {"crops": crops, "protocol_crops": protocol_crops(protocol)}
    return Subject(
        name=flags["method"],
        folder=run.path,
        info=info,
        view=view,
        protocol=dataclasses.replace(protocol, skip_empty=options.skip_empty),
        maps=ModelMaps(model, protocol.ten_crop_mean or "probabilities"),
        crops=crops,
        chooser_split=threshold_split(info, options),
        facts=facts,
    )


def stored_maps(options, box):
    """The Subject of --maps.

    Raises:
      UserError: a flag, the maps' folder or the data is wrong.
    """
    if not options.data_dir:
        raise UserError("--data_dir is missing: with --maps give the records of the pictures that the maps belong to")
    info = dataset.load(options.data_dir)
    info.split(options.split)
    rules = protocols.get(box.protocol or "maxboxacc")
    protocol = rules if box.threshold < 0 else dataclasses.replace(rules, default_threshold=box.threshold)
    resize = protocol.frame(options.map_size).resize
    parallel.start_warm_up()
    maps = map_files.StoredMaps(options.maps, size=options.map_size, values=options.map_values)
    return Subject(
        name=maps.folder.resolve().name,
        folder=result_folder(options, info),
        info=info,
        view=pipeline.PipelineOptions(image_size=options.map_size, resize_size=resize),
        protocol=dataclasses.replace(protocol, skip_empty=options.skip_empty),
        maps=maps,
        crops=None,
        chooser_split=options.threshold_split or None,
        facts={"checkpoint": None, "maps": options.maps, "flags": to_mapping(options, box)},
    )


def result_folder(options, info):
    """Where the result of --maps goes: made where needed, with the data set's description for the report.

    Raises:
      UserError: it is the folder of a training run, whose result.json is its model's.
    """
    folder = pathlib.Path(options.run_dir or options.maps)
    if RunFolder(folder).flags_file.exists():
        raise UserError(f"--run_dir={folder}: a training run, which keeps its own result; give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    source = pathlib.Path(info.folder) / dataset.FILE_NAME
    if source.resolve() != (folder / dataset.FILE_NAME).resolve():
        with files.replacing(folder / dataset.FILE_NAME) as temporary:
            shutil.copyfile(source, temporary)
    return folder


def threshold_split(info, options):
    """The split that thresholds are chosen on: never the scored one unless asked for by name."""
    if options.threshold_split:
        return options.threshold_split
    has_val = "val" in info.splits and info.split("val").count and options.split != "val"
    return "val" if has_val else "train"


def protocol_crops(protocol):
    """The views of a picture that the protocol predicts its class from."""
    return 10 if protocol.ten_crop_mean else 1


def crops_to_take(crops, protocol, view):
    """The views of a picture to predict its class from, 1 or 10.

    Args:
      crops: "1", "10", or "auto" for the protocol's number; where the run leaves no margin to crop
        from, auto takes 1 and the printed table and result.json say so.
      protocol: BoxProtocol.
      view: PipelineOptions of the run.

    Raises:
      UserError: ten were asked for by number and there is no margin.
    """
    has_margin = view.resize_size > view.image_size
    if crops == "auto":
        return protocol_crops(protocol) if has_margin else 1
    if crops == "10" and not has_margin:
        raise UserError(
            f"--crops=10: ten crops need a margin, but the run has --resize_size={view.resize_size} and "
            f"--image_size={view.image_size}; train with a larger --resize_size, or evaluate with --crops=1"
        )
    return int(crops)


if __name__ == "__main__":
    cli.run(main, EvaluateOptions, protocols.BoxOptions, description=__doc__)
