"""Evaluating a trained run, or maps of another program: thresholds on one split, scores of another, and the files.

Every score is given with its bootstrap interval, at the protocol's threshold, at the one chosen on a split that is not
scored, and at the best one of the scored split (an oracle, as most papers report it).
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from e2wsol import files, folder_lock, terminal
from e2wsol.compute import ComputeOptions
from e2wsol.config import option, to_mapping
from e2wsol.data import dataset, pipeline
from e2wsol.data.bad_records import on_bad_record_option
from e2wsol.errors import ArgumentError, UserError
from e2wsol.evaluation import outcomes, results
from e2wsol.evaluation.agreement import AgreementKeeper
from e2wsol.evaluation.maps import OWN_MAPS, VALUES, FlatMapCounter, MapSource, NetworkMaps, StoredMaps
from e2wsol.evaluation.predicted_classes import PredictedClasses
from e2wsol.evaluation.refined import RefinedKeeper
from e2wsol.evaluation.scoring import Evaluation
from e2wsol.localization import parallel, protocols, refine
from e2wsol.localization.metrics import IOU_THRESHOLDS
from e2wsol.localization.protocols import BoxOptions, BoxProtocol
from e2wsol.localization.refine import RefineOptions
from e2wsol.localizers import LocalizerOptions
from e2wsol.owned_files import OwnedFolder
from e2wsol.training.run_folder import RunFolder, git_commit, versions
from e2wsol.training.thresholds import ThresholdChoice
from e2wsol.training.workers import Workers
from e2wsol.visualize.results import load_result
from e2wsol.visualize.samples import SampleKeeper

if TYPE_CHECKING:
    from e2wsol.trained_run import TrainedRun


CLASSIFICATION = "classification.json"  # of records without boxes
_RESULT_FILES = ("result.json", "samples.npz", outcomes.FILE_NAME, dataset.FILE_NAME)


@dataclasses.dataclass(frozen=True)
class EvaluateOptions:
    """What is scored, on which data."""

    data_dir: str = option("", "records to score; empty for those of the training")
    predictions: str = option(
        "",
        "predicted classes for Top-1 and Top-5 Loc: .jsonl of e2wsol.classify, or .csv of picture id and class "
        "numbers, best first; empty for the run's own",
    )
    split: str = option("test", "split to score")
    threshold_split: str = option("", "split that the threshold is chosen on; empty for val, or train without val")
    threshold_limit: int = option(2000, "pictures of it to use at most; 0 for all", minimum=0)
    limit: int = option(0, "score the first pictures only; 0 for all", minimum=0)
    batch_size: int = option(32, "pictures a batch", minimum=1, aliases=("batch",))
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


@dataclasses.dataclass(frozen=True)
class StoredMapOptions:
    """Maps of another program."""

    maps: str = option("", "score the maps in this folder, .npy by picture id, instead of a run's")
    map_values: str = option(
        "scores",
        "what the files of --maps hold: scores, in [0, 1] and of --map_size, taken as they are; or raw, any numbers of "
        "any size, resized and normalised as the protocol does",
        choices=VALUES,
    )
    map_size: int = option(224, "with --maps: side of the square that is scored, in pixels", minimum=1)


@dataclasses.dataclass(frozen=True)
class _Target:
    """What is scored.

    Attributes:
      name: how scores call the method or the folder of maps.
      folder: where the result goes.
      info: Dataset.
      view: PipelineOptions.
      protocol: BoxProtocol.
      maps: MapSource.
      crops: views that a class is predicted from, 1 or 10; None where none is predicted here.
      chooser_split: split that thresholds are chosen on, or None.
      facts: what else result.json says of it.
      refine: how colours move the boxes that are scored beside the protocol's, one of refine.MODES.
    """

    name: str
    folder: pathlib.Path
    info: dataset.Dataset
    view: pipeline.PipelineOptions
    protocol: BoxProtocol
    maps: MapSource
    crops: int | None
    chooser_split: str | None
    facts: dict[str, Any]
    refine: str = refine.NONE


def evaluate_run(
    run: "TrainedRun",
    options: EvaluateOptions,
    box: BoxOptions | None = None,
    localizer: LocalizerOptions | None = None,
    computing: ComputeOptions | None = None,
    workers: Workers | None = None,
    refining: RefineOptions | None = None,
) -> list[dict[str, Any]]:
    """Scores a run's maps and writes what came out into its folder.

    Args:
      run: TrainedRun with a folder.
      options: EvaluateOptions.
      box: protocol and threshold instead of the run's.
      localizer: with a localizer its maps are scored beside the method's own, each by itself.
      computing: how the network computes.
      workers: Workers that share the images out, all of which call this.
      refining: how colours move boxes, which are then scored beside the protocol's.

    Returns:
      What result.json holds, one for each localizer and layer, the method's own last; empty in workers that are not
      the first.

    Raises:
      UserError: an option, the run or the data is wrong.
    """
    start = time.monotonic()
    box, localizer = box or BoxOptions(), localizer or LocalizerOptions()
    computing, workers = computing or ComputeOptions(), workers or Workers()
    with _alone(run.run_folder.path, "run_dir", workers):
        target = _target_of_run(run, options, box, localizer, computing)
        target = dataclasses.replace(target, refine=(refining or RefineOptions()).refine)
        if not (target.info.has_boxes or target.info.has_masks):
            return _without_boxes(target, run.run_folder, options, workers, start)
        found = _evaluate(target, options, workers, start)
        _keep_thresholds(run.run_folder, found)
        return found


def _without_boxes(
    target: _Target, folder: RunFolder, options: EvaluateOptions, workers: Workers, start: float
) -> list[dict[str, Any]]:
    """Scores the classes of records without any true box, and chooses the threshold by agreement with colours."""
    evaluation = _evaluation(target, options, workers)
    split = target.chooser_split or options.split
    keepers = {name: [AgreementKeeper(name)] for name in target.maps.names}
    scorers, _ = evaluation.score(
        split, limit=options.threshold_limit, classify=False, keepers=keepers, without_boxes=True
    )
    chosen = {name: keepers[name][0].threshold(scorer) for name, scorer in scorers.items()}
    scorers, _ = evaluation.score(options.split, limit=options.limit, crops=target.crops or 1, without_boxes=True)
    if not workers.chief:
        return []
    documents = []
    for name, scorer in scorers.items():
        thresholds = {"protocol": target.protocol.default_threshold, "validation": None, "agreement": chosen[name]}
        scored = {"thresholds": thresholds, "scores": [], "classification": results.classification(scorer)}
        documents.append(_document(target, options, name, scorer.pictures, scored, start) | {"threshold_split": split})
    files.write_text(folder.path / CLASSIFICATION, json.dumps(documents[-1], indent=1) + "\n")
    _keep_thresholds(folder, documents)
    return documents


def _keep_thresholds(folder: RunFolder, found: Sequence[dict[str, Any]]) -> None:
    """Notes the thresholds that an evaluation chose, so that predicting takes them after later evaluations too."""
    by_maps = {}
    for result in found:
        maps = result["method"] if "trained_method" in result and result["method"] != OWN_MAPS else ""
        thresholds, split = result["thresholds"], result["threshold_split"]
        if thresholds["validation"]:
            by_maps[maps] = ThresholdChoice(thresholds["validation"]["0.5"], f"chosen on split {split}")
        elif thresholds.get("agreement") is not None:
            by_maps[maps] = ThresholdChoice(thresholds["agreement"], f"by agreement with colours on split {split}")
    if by_maps:
        folder.thresholds.add(found[0]["protocol"], by_maps)


def _target_of_run(
    run: "TrainedRun",
    options: EvaluateOptions,
    box: BoxOptions,
    localizer: LocalizerOptions,
    computing: ComputeOptions,
) -> _Target:
    """What `evaluate_run` scores."""
    folder = run.run_folder.path
    view, info = run.view, run.records(options.data_dir, options.on_bad_record)
    chooser_split = threshold_split(info, options)
    info = info.without_bad_records((options.split, chooser_split), folder)
    parallel.start_warm_up()
    model, protocol = run.model, run.box_protocol(box)
    name, mean = run.flags["method"], protocol.ten_crop_mean or "probabilities"
    facts = {
        "backbone": run.flags["backbone"],
        "checkpoint": str(run.model_file),
        "precision": computing.precision,
        "flags": run.flags,
    }
    other_maps = run.localizer(localizer) if localizer.localizer else None
    crops = None
    if model.classifies and not options.predictions:
        crops = crops_to_take(options.crops, protocol, view)
        facts |= {"crops": crops, "protocol_crops": protocol_crops(protocol)}
    if other_maps:
        facts |= {"trained_method": name, "localizer_flags": to_mapping(localizer)}
    return _Target(
        name=name,
        folder=folder,
        info=info,
        view=view,
        protocol=dataclasses.replace(protocol, skip_empty=options.skip_empty),
        maps=NetworkMaps(model, name, mean, localizer=other_maps, jit=computing.jit),
        crops=crops,
        chooser_split=chooser_split,
        facts=facts,
    )


def evaluate_maps(
    stored: StoredMapOptions,
    options: EvaluateOptions,
    box: BoxOptions | None = None,
    folder: str = "",
    workers: Workers | None = None,
) -> list[dict[str, Any]]:
    """Scores the maps that another program left in files; result as in `evaluate_run`.

    Args:
      stored: where the maps are, and what they hold.
      options: EvaluateOptions.
      box: protocol and threshold instead of MaxBoxAcc's.
      folder: where the result goes; empty for beside the maps.
      workers: as in `evaluate_run`.

    Raises:
      UserError: an option, the maps' folder or the data is wrong.
    """
    start, box, workers = time.monotonic(), box or BoxOptions(), workers or Workers()
    if not options.data_dir:
        raise ArgumentError("data_dir", None, "is missing: with maps give the records of the pictures they belong to")
    info = dataset.load(options.data_dir, on_bad_record=options.on_bad_record)
    info.split(options.split)
    rules = protocols.get(box.protocol or "maxboxacc")
    protocol = rules if box.threshold < 0 else dataclasses.replace(rules, default_threshold=box.threshold)
    parallel.start_warm_up()
    maps = StoredMaps(stored.maps, size=stored.map_size, values=stored.map_values)
    result_folder = pathlib.Path(folder or stored.maps)
    if RunFolder(result_folder).flags_file.exists():
        raise ArgumentError("run_dir", result_folder, "a training run, which keeps its own result; give another folder")
    argument = "run_dir" if folder else "maps"
    with _alone(result_folder, argument, workers):
        owned = OwnedFolder(result_folder, "evaluate", argument=argument)
        if workers.chief:
            owned.check(_RESULT_FILES, replace=True, known=_earlier_result(result_folder, info))
        splits = tuple(dict.fromkeys(name for name in (options.split, options.threshold_split) if name))
        info = info.without_bad_records(splits, result_folder)
        unmatched = maps.check(names for split in splits for names in pipeline.picture_names(info, split))
        if unmatched and workers.chief:
            where = f"no picture of split {' or '.join(splits)}, such as {unmatched[0]}"
            terminal.say(f"note: {len(unmatched)} .npy files in {maps.folder} belong to {where}")
        target = _Target(
            name=maps.names[0],
            folder=result_folder,
            info=info,
            view=pipeline.PipelineOptions(
                image_size=stored.map_size, resize_size=protocol.frame(stored.map_size).resize
            ),
            protocol=dataclasses.replace(protocol, skip_empty=options.skip_empty),
            maps=maps,
            crops=None,
            chooser_split=options.threshold_split or None,
            facts={
                "checkpoint": None,
                "maps": stored.maps,
                "unmatched_maps": len(unmatched),
                "flags": to_mapping(stored, options, box),
            },
        )
        if workers.chief:
            _prepare_folder(result_folder, info)
        found = _evaluate(target, options, workers, start)
        if workers.chief:
            for name in _RESULT_FILES:
                owned.add(name)
        return found


def _alone(folder: pathlib.Path, argument: str, workers: Workers) -> contextlib.AbstractContextManager[Any]:
    """Keeps other evaluations from writing to the folder; the run in it may be trained meanwhile."""
    return folder_lock.held(folder, argument, of="evaluate") if workers.chief else contextlib.nullcontext()


def _earlier_result(folder: pathlib.Path, info: dataset.Dataset) -> Sequence[str]:
    """Names of the files in a folder of maps that an evaluation left there before it listed its files."""
    described = folder / dataset.FILE_NAME
    if described.is_file() and files.sha256(described) == info.description_sha256:
        try:
            load_result(RunFolder(folder).result_file)
            return _RESULT_FILES
        except (OSError, UserError):  # none yet, or not ours
            return (dataset.FILE_NAME,)
    return ()


def _evaluate(target: _Target, options: EvaluateOptions, workers: Workers, start: float) -> list[dict[str, Any]]:
    """Chooses thresholds on one split, scores the other, writes what came out."""
    if workers.chief:
        files.remove_leftovers(target.folder, *_RESULT_FILES[:3])
        target.info.save_bad_records(target.folder)
    evaluation = _evaluation(target, options, workers)
    chosen = _chosen_thresholds(evaluation, target, options)
    keepers = {name: _keepers(target, options, name, chosen[name]) for name in target.maps.names}
    refined = {name: _refined(target, name, chosen[name]) for name in target.maps.names}
    scorers, baselines = evaluation.score(
        options.split,
        limit=options.limit,
        crops=target.crops or 1,
        thresholds=[threshold for each in chosen.values() for threshold in results.all_thresholds(each)],
        keepers={name: [*keepers[name], *refined[name]] for name in keepers},
    )
    if not workers.chief:
        return []
    documents = {}
    for name, scorer in scorers.items():
        beside = {keeper.name: keeper.scorer for keeper in refined[name] if keeper.scorer}
        scored = results.summarize(name, scorer, baselines, chosen[name], beside)
        flat = keepers[name][-1].count
        if flat:
            terminal.say(f"note: {flat} of {scorer.pictures} maps ({name}) have no contrast: their boxes say nothing")
        documents[name] = _document(target, options, name, scorer.pictures, scored, start) | {"flat_maps": flat}
    for name, document in documents.items():
        if folder := _folder_of(target, name):
            _write(folder, document, keepers[name], scorers[name])
            _prepare_folder(folder, target.info)
    return list(documents.values())


def _evaluation(target: _Target, options: EvaluateOptions, workers: Workers) -> Evaluation:
    return Evaluation(
        target.info,
        target.view,
        target.protocol,
        target.maps,
        batch=options.batch_size,
        threads=options.threads or os.cpu_count(),
        predictions=PredictedClasses(options.predictions, len(target.info.classes)) if options.predictions else None,
        workers=workers,
    )


def _folder_of(target: _Target, name: str) -> pathlib.Path | None:
    """Where the result of maps called `name` goes; None for the method's own beside those of localizers."""
    if len(target.maps.names) == 1:
        return target.folder
    return None if name == OWN_MAPS else target.folder / "localizers" / name


def _chosen_thresholds(evaluation: Evaluation, target: _Target, options: EvaluateOptions) -> dict[str, Any]:
    """{name of maps: `results.best_thresholds` on the split that they are chosen on, or None}."""
    if not target.chooser_split:
        return dict.fromkeys(target.maps.names)
    scorers, baselines = evaluation.score(
        target.chooser_split, limit=options.threshold_limit, classify=target.protocol.best_by_metric
    )
    return {name: results.best_thresholds(name, scorer, baselines) for name, scorer in scorers.items()}


def _document(target, options, name, images, scored, start) -> dict[str, Any]:
    """What result.json holds of the maps called `name`."""
    info = target.info
    return {
        "dataset": {"name": info.name, "split": options.split, "pictures": images, "classes": len(info.classes)},
        "method": name,
        "image_size": target.view.image_size,
        "protocol": target.protocol.name,
        "average": target.protocol.average,
        "skip_empty": target.protocol.skip_empty,
        "every_contour": target.protocol.every_contour,
        "threshold_split": target.chooser_split,
        "skipped_records": info.skipped((options.split, target.chooser_split)),
        "predictions": options.predictions or None,
        **target.facts,
        **scored,
        "versions": versions(),
        "git_commit": git_commit(),
        "seconds": round(time.monotonic() - start, 1),
    }


def _keepers(target, options, name, chosen):
    """What notes single images of the maps called `name`: (SampleKeeper, OutcomeKeeper, FlatMapCounter).

    They do so at the thresholds that `chosen` has, as `results.best_thresholds` gives them on the split that they are
    chosen on, or at the protocol's where that is None.
    """
    shown_at = dict.fromkeys(IOU_THRESHOLDS, target.protocol.default_threshold)
    if chosen and chosen[name]:
        shown_at = {float(iou): threshold for iou, threshold in chosen[name][results.GT_KNOWN].items()}
    return SampleKeeper(options.samples, shown_at[0.5]), outcomes.OutcomeKeeper(shown_at), FlatMapCounter(name)


def _refined(target: _Target, name: str, chosen: results.Chosen | None) -> list[RefinedKeeper]:
    """What scores the boxes that colours moved, where that was asked for."""
    if target.refine == refine.NONE:
        return []
    threshold = chosen[name][results.GT_KNOWN]["0.5"] if chosen else target.protocol.default_threshold
    return [RefinedKeeper(name, target.refine, threshold)]


def _write(folder, document, keepers, scorer) -> None:
    """Writes result.json, samples.npz and outcomes.npz into a folder, made where it is missing."""
    samples, each, _ = keepers
    files.write_text(RunFolder(folder).result_file, json.dumps(document, indent=1) + "\n")
    samples.save(folder / "samples.npz")
    each.outcomes(scorer).save(folder / outcomes.FILE_NAME)


def _prepare_folder(folder, info) -> None:
    """Makes the folder of a result where it is missing, and puts the data set's description in it for the report.

    A run keeps its own: the data that it was trained on, with the same classes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if RunFolder(folder).flags_file.exists() and RunFolder(folder).dataset_file.exists():
        return
    source, target = pathlib.Path(info.folder) / dataset.FILE_NAME, folder / dataset.FILE_NAME
    if source.resolve() != target.resolve():
        with files.replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def threshold_split(info, options) -> str:
    """The split that thresholds are chosen on: never the scored one unless asked for by name."""
    if options.threshold_split:
        return options.threshold_split
    has_val = "val" in info.splits and info.split("val").count and options.split != "val"
    return "val" if has_val else "train"


def protocol_crops(protocol: BoxProtocol) -> int:
    """The views of an image that the protocol predicts its class from."""
    return 10 if protocol.ten_crop_mean else 1


def crops_to_take(crops: str, protocol: BoxProtocol, view: pipeline.PipelineOptions) -> int:
    """The views of an image to predict its class from, 1 or 10.

    Args:
      crops: "1", "10", or "auto" for the protocol's number; where the run leaves no margin to crop
        from, auto takes 1 and the printed table and result.json say so.
      protocol: BoxProtocol.
      view: PipelineOptions of the run.

    Raises:
      ArgumentError: ten were asked for by number and there is no margin.
    """
    has_margin = view.resize_size > view.image_size
    if crops == "auto":
        return protocol_crops(protocol) if has_margin else 1
    if crops == "10" and not has_margin:
        raise ArgumentError(
            "crops",
            crops,
            f"ten crops need a margin, but the run has resize_size={view.resize_size} and "
            f"image_size={view.image_size}; train with a larger resize_size, or evaluate with crops=1",
        )
    return int(crops)
