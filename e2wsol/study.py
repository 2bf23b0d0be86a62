"""Trains and evaluates every method on one data set with several seeds, and says what came out.

python -m e2wsol.study --suite=synthetic --backbone_weights=mobilenet_v1_imagenet.npz
python -m e2wsol.study --suite=animals --input=photos/animals --backbone_weights=mobilenet_v1_imagenet.npz --jobs=2
python -m e2wsol.study --suite=cub --input=CUB_200_2011.tgz --backbone_weights=imagenet

Every row and seed is a cell: commands of this project with a run folder of their own, printed by --dry_run. All have
the same start weights, budget, size and box protocol, those of flags/study/SUITE.cfg, and their own
flags/study/methods/ROW.cfg. What follows "--" goes to every training: `... -- --epochs=3 --image_size=96`.

Started again with the same flags it goes on where it was stopped; SIGTERM and Ctrl-C let trainings save first, and end
it with status 4. A cell that fails is named, and the others go on. OUTPUT gets results.csv (every score), papers.csv
(the published ones), study.json, table.md and the page index.html; --report_only writes them from the cells that are
finished.
"""

import dataclasses
import json
import os
import pathlib
import shlex
import shutil
from collections.abc import Mapping, Sequence

from e2wsol import cli, files, flagfiles, folder_lock, terminal
from e2wsol.config import option
from e2wsol.data import dataset
from e2wsol.errors import ArgumentError, UserError
from e2wsol.owned_files import OwnedFolder
from e2wsol.stop_signals import EXIT_STOPPED
from e2wsol.studies import cells, papers, tables
from e2wsol.studies.runner import Runner, StoppedError
from e2wsol.studies.suites import SUITES
from e2wsol.studies.summary import Summary
from e2wsol.visualize.document import is_page
from e2wsol.visualize.results import class_names, load_samples
from e2wsol.visualize.study_page import study_page

_FAILED = 1
# Flags of e2wsol.train that the study gives, by its own.
_GIVEN_BY = {
    "method": "rows",
    "data_dir": "data_dir",
    "run_dir": "output",
    "seed": "seeds",
    "backbone_weights": "backbone_weights",
}


_WRITTEN = ("study.json", "results.csv", "table.md", "papers.csv", "index.html")


@dataclasses.dataclass(frozen=True)
class StudyOptions:
    """Which study, of what size, and where it goes."""

    suite: str = option("", f"the data set: {', '.join(SUITES)}")
    input: str = option("", "folder or archive of the suite's pictures; not needed once --data_dir holds them")
    backbone_weights: str = option(
        "imagenet", "start weights of every training, as of e2wsol.train", aliases=("start_weights",)
    )
    output: str = option("", "the study's folder; empty for runs/study/SUITE")
    data_dir: str = option("", "folder for the suite's records; empty for records/SUITE", aliases=("records",))
    flags_dir: str = option(
        "flags/study", "folder of the suites' flagfiles, with methods/ in it; those that it lacks are the library's"
    )
    rows: tuple[str, ...] = option((), "rows of the table, comma-separated, and what they need; empty for all")
    seeds: tuple[int, ...] = option((0, 1, 2), "seeds of every training, comma-separated", minimum=0)
    jobs: int = option(1, "cells at a time, which share the processor's cores; 1 where they train on a GPU", minimum=1)
    middle_layer: str = option("", "end point of DGL and LayerCAM; empty for the suite's")
    last_layer: str = option("", "end point of Grad-CAM and of DGL at the last layer; empty for the suite's")
    dry_run: bool = option(False, "print every cell's commands and whether it is finished, and run nothing")
    pictures: int = option(12, "pictures on the page at most; 0 for a page that shows no photo to others", minimum=0)
    report_only: bool = option(False, "run nothing, write tables and page of the cells that are finished")


def main(options: StudyOptions, more: list[str]) -> int | None:
    """Runs the cells, then writes what came out."""
    plan = make_plan(options, tuple(more))
    if options.dry_run:
        show(plan)
        return None
    check_output(plan)
    runner = Runner(plan, options.jobs)
    if not options.report_only:
        check_input(plan)
        try:
            runner.run()
        except StoppedError:
            terminal.say("stopped; the same command goes on")
            return EXIT_STOPPED
    write(plan, runner.failed, options.pictures)
    return _FAILED if runner.failed else None


def make_plan(options: StudyOptions, more: tuple[str, ...]) -> cells.Plan:
    """The Plan that the flags mean.

    Raises:
      UserError: no suite or row, no such flagfile, or an argument that is no flag.
    """
    if options.suite not in SUITES:
        wrong = "unknown" if options.suite else "is missing"
        raise ArgumentError("suite", options.suite or None, f"{wrong}; choose one of {', '.join(SUITES)}")
    check_more(more)
    if not options.seeds or len(set(options.seeds)) < len(options.seeds):
        raise ArgumentError("seeds", options.seeds, "give at least one, each once")
    suite, rows, flags_dir = SUITES[options.suite], cells.choose_rows(options.rows), pathlib.Path(options.flags_dir)
    for name in (f"{suite.name}.cfg", *(f"methods/{row.name}.cfg" for row in rows if not row.of)):
        if not os.path.isfile(flagfiles.find(str(flags_dir / name))):
            raise ArgumentError(
                "flags_dir", flags_dir, f"{flags_dir / name} does not exist; give the project's flags/study"
            )
    return cells.Plan(
        suite=suite,
        rows=rows,
        seeds=options.seeds,
        folder=pathlib.Path(options.output or f"runs/study/{suite.name}"),
        data_dir=pathlib.Path(options.data_dir or f"records/{suite.name}"),
        input=options.input,
        flags_dir=flags_dir,
        backbone_weights=options.backbone_weights,
        middle_layer=options.middle_layer or suite.middle_layer,
        last_layer=options.last_layer or suite.last_layer,
        more=more,
    )


def check_more(more: Sequence[str]) -> None:
    """Raises a UserError where what follows "--" is no flag, or one that the study itself gives."""
    for argument in more:
        if not argument.startswith("--"):
            raise UserError(f'{argument}: unexpected argument; what follows "--" are --FLAG=VALUE of e2wsol.train')
        name = argument[2:].partition("=")[0]
        if name in _GIVEN_BY:
            raise UserError(f"{argument}: the study gives it to each training; see --{_GIVEN_BY[name]}")


def check_input(plan: cells.Plan) -> None:
    """Raises a UserError where there are neither records nor pictures to make them from."""
    if plan.input and not os.path.exists(plan.input):
        raise ArgumentError("input", plan.input, "not found")
    if plan.suite.needs_input and not plan.input and not (plan.data_dir / dataset.FILE_NAME).exists():
        raise ArgumentError(
            "input", None, f"is missing: {plan.data_dir} holds no records yet; give the pictures of {plan.suite.title}"
        )
    weights = plan.backbone_weights
    if weights not in ("none", "imagenet") and not os.path.exists(weights):
        raise ArgumentError("backbone_weights", weights, "not found; give a file, imagenet or none")


def check_output(plan: cells.Plan) -> OwnedFolder:
    """The study's folder; an ArgumentError where a file that the study did not write has the name of one of its own."""
    folder = OwnedFolder(plan.folder, "study")
    page = plan.folder / "index.html"
    is_study = page.is_file() and is_page(_begin(page))  # of an earlier version, which kept no list
    folder.check(_WRITTEN, replace=True, known=_WRITTEN if is_study else ())
    return folder


def _begin(file: pathlib.Path) -> bytes:
    with files.open_regular(file) as stream:
        return stream.read(4096)


def show(plan: cells.Plan) -> None:
    """Prints every cell: finished or not, and its commands."""
    for cell in plan.cells():
        terminal.say(f"# {cell.name}: {'finished' if plan.is_done(cell) else 'to do'}")
        for module, *flags in cell.commands:
            terminal.say(f"python -m {module} {shlex.join(flags)}")


def write(plan: cells.Plan, failed: Mapping[str, str], pictures: int = 12) -> None:
    """Writes tables and page of the finished cells, and prints the table.

    Raises:
      UserError: there is none.
    """
    with folder_lock.held(plan.folder, "output"):
        _write(plan, failed, pictures)


def _write(plan: cells.Plan, failed: Mapping[str, str], pictures: int) -> None:
    summary = Summary(plan, failed)
    if not summary.found:
        first = "".join(f"; {cell} {why}" for cell, why in list(failed.items())[:1])
        more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
        raise ArgumentError("output", plan.folder, f"no finished cell in it{first}{more}")
    folder, study = check_output(plan), summary.document()
    table = tables.markdown(study)
    files.write_text(plan.folder / "study.json", json.dumps(study, indent=1) + "\n")
    files.write_text(plan.folder / "results.csv", tables.results_csv(summary))
    files.write_text(plan.folder / "table.md", table)
    with files.replacing(plan.folder / "papers.csv") as temporary:
        shutil.copyfile(papers.PATH, temporary)
    page = study_page(study, *_samples(plan, summary), pictures=pictures)
    files.write_text(plan.folder / "index.html", page)
    for name in _WRITTEN:
        folder.add(name)
    terminal.say(*table.split("\n"))
    terminal.say(f"wrote {plan.folder / 'index.html'}, results.csv, papers.csv, study.json and table.md")


def _samples(plan, summary):
    """({row: its samples of its first seed}, class names) for the page."""
    samples, folder = {}, None
    for row in plan.rows:
        if row.name in summary.found:
            folder = plan.result_dir(row, next(iter(summary.found[row.name])))
            samples[row.name] = load_samples(folder / "samples.npz")
    return samples, class_names(folder)


if __name__ == "__main__":
    cli.run(main, StudyOptions, description=__doc__)
