"""Scores the localization of a trained run, or maps that another program made.

python -m e2wsol.evaluate --run_dir=runs/e2net_vgg_cub
python -m e2wsol.evaluate --run_dir=runs/cam_vgg_cub --localizer=gradcam,dgl --layer=all --batch_size=4
python -m e2wsol.evaluate --maps=DIR --data_dir=records/cub --protocol=maxboxaccv2

Prints a table and writes result.json, samples.npz for e2wsol.report and outcomes.npz, every picture's outcome: into
the run folder, or with --maps into --run_dir or, without one, into DIR. Every score is given with its bootstrap
interval, at the protocol's threshold, at the one chosen on a split that is not scored, and at the best one of the
scored split (an oracle, as most papers report it); with --maps the second needs --threshold_split.

--localizer looks at the run's network through others than its method's own maps (docs/localizers.md), on the
layers of --layer, all in one pass; results go to localizers/LOCALIZER/LAYER in the run folder.

A map is DIR/<picture id>.npy, (--map_size, --map_size) in [0, 1], as the wsolevaluation benchmark stores them;
--map_values=raw takes any size and range.

--refine=auto, or grabcut, scores the boxes that colours move (docs/refinement.md) in rows of their own.

--predictions=FILE gives every picture's classes, as python -m e2wsol.classify writes them: Top-1 and Top-5 Loc of maps
and of methods that predict no class, or those of a method with another network's classes.

--strategy=multi_worker_mirrored, given to several processes (docs/scale.md): each looks at its part of the pictures,
the first writes the result, which is that of one process.
"""

import e2wsol.on_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import json
import pathlib

from e2wsol import cli, files, terminal
from e2wsol.compute import ComputeOptions
from e2wsol.config import option
from e2wsol.errors import UserError
from e2wsol.evaluation.maps import OWN_MAPS
from e2wsol.evaluation.of_run import CLASSIFICATION, EvaluateOptions, StoredMapOptions, evaluate_maps, evaluate_run
from e2wsol.localization import refine
from e2wsol.localization.protocols import BoxOptions
from e2wsol.localization.refine import RefineOptions
from e2wsol.localizers import LocalizerOptions
from e2wsol.trained_run import TrainedRun
from e2wsol.training import strategies
from e2wsol.training.run_folder import RunFolder
from e2wsol.training.workers import Workers
from e2wsol.visualize.text_tables import layer_rows, layer_table, score_table


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Which run."""

    run_dir: str = option("", "run folder of python -m e2wsol.train; with --maps: folder for the result")
    checkpoint: str = option("", "a .keras file; empty for the run's best checkpoint, or its last without validation")


@dataclasses.dataclass(frozen=True)
class EvaluateFlags:
    """All flags of the command."""

    run: RunOptions
    stored: StoredMapOptions
    evaluation: EvaluateOptions
    box: BoxOptions
    refine: RefineOptions
    localizer: LocalizerOptions
    compute: ComputeOptions
    shards: strategies.ShardOptions


def main(flags: EvaluateFlags, positional: list[str]) -> None:
    """Chooses thresholds on one split, scores the other, writes what came out."""
    cli.no_arguments(positional)
    flags.localizer.check()
    workers = Workers(strategies.create_for_shards(flags.shards))
    with workers.watched(lambda: "start all workers again"):
        if flags.stored.maps:
            _maps(flags, workers)
        else:
            _run(flags, workers)


def _maps(flags, workers):
    if flags.localizer.localizer:
        raise UserError(f"--localizer={','.join(flags.localizer.localizer)}: --maps has no network to look into")
    if flags.refine.refine != refine.NONE:
        raise UserError(f"--refine={flags.refine.refine}: --maps has no network's view of the pictures to look at")
    for result in evaluate_maps(flags.stored, flags.evaluation, flags.box, flags.run.run_dir, workers):
        terminal.say(*score_table(result).split("\n"))
        terminal.say(f"wrote {RunFolder(flags.run.run_dir or flags.stored.maps).result_file}")


def _run(flags, workers):
    if not flags.run.run_dir:
        raise UserError("--run_dir is missing: give a run folder of python -m e2wsol.train, or maps by --maps")
    run = TrainedRun.in_folder(flags.run.run_dir, checkpoint=flags.run.checkpoint, computing=flags.compute)
    if workers.chief and (part := run.run_folder.unfinished()):
        terminal.say(f"note: {run.run_folder.path} has trained {part}")
    found = evaluate_run(run, flags.evaluation, flags.box, flags.localizer, flags.compute, workers, flags.refine)
    if not found:
        return
    if not found[-1]["scores"]:
        _say_classes(found, run.run_folder)
        return
    if not flags.localizer.localizer:
        terminal.say(*score_table(found[0]).split("\n"))
        terminal.say(f"wrote {run.run_folder.result_file}")
        return
    by_name = {result["method"]: result for result in found}
    folder, rows = run.run_folder.path / "localizers", layer_rows(by_name, OWN_MAPS)
    write_tables(folder, rows, by_name[OWN_MAPS])
    terminal.say(*layer_table(rows, by_name[OWN_MAPS]).split("\n"))
    terminal.say(f"wrote {len(found) - 1} results under {folder}")


def _say_classes(found: list, folder: RunFolder) -> None:
    """What could be said of records without any box, and how to go on."""
    data, classes = found[-1]["dataset"], found[-1]["classification"]
    terminal.say("the records have no box: no localization is scored")
    if classes["top1"] is not None:
        five = f", among the first five of {classes['top5']:.1%}" if data["classes"] > 5 else ""
        terminal.say(
            f"split {data['split']}: the class of {classes['top1']:.1%} of {data['pictures']} pictures is right{five}"
        )
    for result in found:
        threshold, split = result["thresholds"]["agreement"], result["threshold_split"]
        if threshold is not None:
            terminal.say(f"{result['method']}: threshold {threshold:g}, by agreement with colours on split {split}")
    terminal.say(f"wrote {folder.path / CLASSIFICATION}")
    terminal.say(
        "predict takes this threshold; records with boxes of some pictures (boxes.csv) let evaluate choose and score"
    )


def write_tables(folder: pathlib.Path, rows: list, result: dict) -> None:
    """Writes layers.json of each localizer that has several rows: they, those of other maps, and what was scored."""
    about = {key: result[key] for key in ("dataset", "trained_method", "protocol", "threshold_split")}
    others = [row for row in rows if row["layer"] is None]
    for localizer in dict.fromkeys(row["localizer"] for row in rows if row["layer"]):
        own = [row for row in rows if row["layer"] and row["localizer"] == localizer]
        if len(own) > 1:
            text = json.dumps({**about, "rows": own + others}, indent=1) + "\n"
            files.write_text(folder / localizer / "layers.json", text)


if __name__ == "__main__":
    cli.run(main, EvaluateFlags, description=__doc__)
