"""Scores the localization of a trained run, or maps that another program made.

python -m e2wsol.evaluate --run_dir=runs/e2net_vgg_cub
python -m e2wsol.evaluate --run_dir=runs/cam_vgg_cub --localizer=gradcam,dgl --layer=all --batch=4
python -m e2wsol.evaluate --maps=DIR --data_dir=records/cub --protocol=maxboxaccv2

Prints a table and writes result.json, samples.npz for e2wsol.report and outcomes.npz, every picture's outcome: into
the run folder, or with --maps into --run_dir or, without one, into DIR. Every score is given with its bootstrap
interval, at the protocol's threshold, at the one chosen on a split that is not scored, and at the best one of the
scored split (an oracle, as most papers report it); with --maps the second needs --threshold_split.

--localizer looks at the run's network through others than its method's own maps (docs/localizers.md), on the
layers of --layer, all in one pass; results go to localizers/LOCALIZER/LAYER in the run folder.

A map is DIR/<picture id>.npy, (--map_size, --map_size) in [0, 1], as the wsolevaluation benchmark stores them;
--map_values=raw takes any size and range.

--predictions=FILE gives every picture's classes, as python -m e2wsol.classify writes them: Top-1 and Top-5 Loc of maps
and of methods that predict no class, or those of a method with another network's classes.

--strategy=multi_worker_mirrored, given to several processes (docs/scale.md): each looks at its part of the pictures,
the first writes the result, which is that of one process.
"""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import json
import os
import shutil
import time

from e2wsol import cli, files
from e2wsol.compute import ComputeOptions
from e2wsol.config import option, to_mapping
from e2wsol.data import skipped_records
from e2wsol.data.dataset import on_bad_record_option
from e2wsol.errors import UserError
from e2wsol.localization.metrics import IOU_THRESHOLDS
from e2wsol.localization.protocols import BoxOptions
from e2wsol.localizers import LocalizerOptions
from e2wsol.prediction import figures, layers, map_files, outcomes, subjects
from e2wsol.prediction.class_files import PredictedClasses
from e2wsol.prediction.evaluation import Evaluation
from e2wsol.training import strategies
from e2wsol.training.run_folder import RunFolder, git_commit, versions
from e2wsol.training.workers import Workers
from e2wsol.visualize.layer_table import layer_rows, layer_table
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
    on_bad_record: str = on_bad_record_option()
    samples: int = option(48, "pictures kept for the report: best, worst and random ones", minimum=0)


OPTION_CLASSES = (EvaluateOptions, BoxOptions, LocalizerOptions, ComputeOptions, strategies.ShardOptions)


def main(options, box, looking, computing, shards, positional):
    """Chooses thresholds on one split, scores the other, writes what came out."""
    cli.no_arguments(positional)
    looking.check()
    workers = Workers(strategies.create_for_shards(shards))
    with workers.watched(lambda: "start all workers again"):
        evaluate(options, box, looking, computing, workers)


def evaluate(options, box, looking, computing, workers):
    """What every worker does."""
    start = time.monotonic()
    if options.maps:
        if looking.localizer:
            raise UserError(f"--localizer={','.join(looking.localizer)}: --maps has no network to look into")
        subject = subjects.stored_maps(options, box)
        if workers.chief:
            subjects.prepare_folder(subject.folder, subject.info)
    else:
        subject = subjects.trained_run(options, box, looking, computing)
    if workers.chief:
        skipped_records.remember(subject.info, subject.folder)
        if not options.maps and (part := RunFolder(subject.folder).unfinished()):
            print(f"note: {subject.folder} has trained {part}")
    evaluation = Evaluation(
        subject.info,
        subject.view,
        subject.protocol,
        subject.maps,
        batch=options.batch,
        threads=options.threads or os.cpu_count(),
        predictions=PredictedClasses(options.predictions, len(subject.info.classes)) if options.predictions else None,
        workers=workers,
    )
    if looking.localizer:
        score_layers(subject, evaluation, options, looking, start)
    else:
        score_one(subject, evaluation, options, start)


def score_one(subject, evaluation, options, start):
    """Scores the method's own maps or stored ones; writes the result into the subject's folder."""
    validation = None
    if subject.chooser_split:
        chosen = evaluation.score(
            subject.chooser_split, limit=options.threshold_limit, classify=subject.protocol.best_by_metric
        )
        validation = figures.best_thresholds(subject.name, *chosen)
    keepers = keepers_of(subject, options, validation and validation[subject.name])
    scorer, baselines = evaluation.score(
        options.split,
        limit=options.limit,
        crops=subject.crops or 1,
        thresholds=figures.all_thresholds(validation),
        keepers=keepers,
    )
    if not evaluation.workers.chief:
        return
    scored = figures.figures(subject.name, scorer, baselines, validation)
    result = document(subject, options, subject.name, scorer.pictures, scored, start)
    file = write(subject.folder, result, keepers, scorer)
    print(score_table(result))
    print(f"wrote {file}")


def score_layers(subject, evaluation, options, looking, start):
    """Scores all maps of --localizer and --layer; writes a result for each, and a table for each localizer."""
    maps = evaluation.maps
    validation = layers.best_thresholds(evaluation, subject.chooser_split, limit=options.threshold_limit)
    keepers = {name: keepers_of(subject, options, validation[name][name]) for name in maps.names}
    scorers, baselines = layers.score(
        evaluation,
        options.split,
        limit=options.limit,
        crops=subject.crops or 1,
        keepers=keepers,
    )
    if not evaluation.workers.chief:
        return
    results = {}
    for name, scorer in scorers.items():
        scored = {"trained_method": subject.name, "localizer_flags": to_mapping(looking)}
        scored |= figures.figures(name, scorer, baselines, validation[name])
        results[name] = document(subject, options, name, scorer.pictures, scored, start)
    folder = subject.folder / "localizers"
    for name in maps.names:
        write(folder / name, results[name], keepers[name], scorers[name])
        shutil.copyfile(RunFolder(subject.folder).dataset_file, RunFolder(folder / name).dataset_file)
    rows = layer_rows(results, maps.own)
    write_tables(folder, rows, results[maps.own])
    print(layer_table(rows, results[maps.own]))
    print(f"wrote {len(maps.names)} results under {folder}")


def write_tables(folder, rows, result):
    """Writes layers.json of each localizer that has several rows: they, those of other maps, and what was scored."""
    about = {key: result[key] for key in ("dataset", "trained_method", "protocol", "threshold_split")}
    others = [row for row in rows if row["layer"] is None]
    for localizer in dict.fromkeys(row["localizer"] for row in rows if row["layer"]):
        own = [row for row in rows if row["layer"] and row["localizer"] == localizer]
        if len(own) > 1:
            text = json.dumps({**about, "rows": own + others}, indent=1) + "\n"
            files.write_text(folder / localizer / "layers.json", text)


def document(subject, options, name, pictures, scored, start):
    """What result.json holds of the localizer called `name`."""
    info = subject.info
    return {
        "dataset": {"name": info.name, "split": options.split, "pictures": pictures, "classes": len(info.classes)},
        "method": name,
        "image_size": subject.view.image_size,
        "protocol": subject.protocol.name,
        "average": subject.protocol.average,
        "skip_empty": subject.protocol.skip_empty,
        "every_contour": subject.protocol.every_contour,
        "threshold_split": subject.chooser_split,
        "skipped_records": skipped_records.counts(info, (options.split, subject.chooser_split)),
        "predictions": options.predictions or None,
        **subject.facts,
        **scored,
        "versions": versions(),
        "git_commit": git_commit(),
        "seconds": round(time.monotonic() - start, 1),
    }


def keepers_of(subject, options, chosen):
    """What notes single pictures: (SampleKeeper, OutcomeKeeper).

    Args:
      chosen: the localizer's best thresholds on the split that they are chosen on, as `figures.best_thresholds` has
        them, or None for the protocol's.
    """
    shown_at = dict.fromkeys(IOU_THRESHOLDS, subject.protocol.default_threshold)
    if chosen:
        shown_at = {float(iou): threshold for iou, threshold in chosen[figures.GT_KNOWN].items()}
    return SampleKeeper(options.samples, shown_at[0.5]), outcomes.OutcomeKeeper(shown_at)


def write(folder, result, keepers, scorer):
    """Writes result.json, samples.npz and outcomes.npz into a folder, made where it is missing; returns the first."""
    file, (samples, each) = RunFolder(folder).result_file, keepers
    files.write_text(file, json.dumps(result, indent=1) + "\n")
    samples.save(folder / "samples.npz")
    each.outcomes(scorer).save(folder / outcomes.FILE_NAME)
    return file


if __name__ == "__main__":
    cli.run(main, *OPTION_CLASSES, description=__doc__)
