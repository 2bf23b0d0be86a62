"""Writes the HTML report of an evaluated run, or of two side by side: one page with scores, curves and pictures."""

import dataclasses
import pathlib

import cv2

from e2wsol import cli, files, owned_files, terminal
from e2wsol.config import option
from e2wsol.errors import ArgumentError
from e2wsol.visualize import results
from e2wsol.visualize.comparison import EvaluatedRun, check_comparable, comparison_page
from e2wsol.visualize.document import is_page
from e2wsol.visualize.overlay import PSEUDO_MASK_SHEET
from e2wsol.visualize.report_page import report_page


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """Where the results are and where the page goes."""

    run_dir: str = option("", "run folder, or the result.json in it, that e2wsol.evaluate wrote", aliases=("result",))
    compare: str = option("", "another run's folder or result.json: the page shows the two side by side")
    output: str = option(
        "", "the page's file; empty means report/index.html, or report/compare-NAME.html, beside result.json"
    )
    pictures: int = option(48, "pictures on the page at most: a third each best, worst and random ones", minimum=0)


def write_report(
    result_file: str | pathlib.Path, output: str | pathlib.Path | None = None, *, pictures: int = 48
) -> pathlib.Path:
    """Writes the page of a result.json, with the pictures of the samples.npz beside it.

    Args:
      result_file: path of result.json; class names come from the dataset.json beside it.
      output: the page's path; None means report/index.html beside the result.
      pictures: how many pictures the page shows at most.

    Returns:
      The page's path.

    Raises:
      UserError: a file is missing or malformed.
    """
    page = _page_file(output, pathlib.Path(result_file), "index.html")
    run = _run(pathlib.Path(result_file), "")
    document = report_page(run.result, run.samples, run.classes, pictures=pictures, pseudo_masks=_sheet(run.result))
    files.write_text(page, document)
    return page


def write_comparison(
    result_file: str | pathlib.Path,
    other_file: str | pathlib.Path,
    output: str | pathlib.Path | None = None,
    *,
    pictures: int = 48,
) -> pathlib.Path:
    """Writes the page of two results side by side; arguments as in `write_report`.

    Raises:
      UserError: a file is missing or malformed, or the two were not scored on the same pictures.
    """
    paths = pathlib.Path(result_file), pathlib.Path(other_file)
    names = run_names(*paths)
    page = _page_file(output, paths[0], f"compare-{names[1].replace('/', '-')}.html")
    first, second = map(_run, paths, names)
    check_comparable(first, second)
    document = comparison_page(first, second, pictures=pictures)
    files.write_text(page, document)
    return page


def run_names(first: pathlib.Path, second: pathlib.Path) -> tuple[str, str]:
    """What to call the runs of two result files: the end of the folder's path that tells them apart."""
    ours, theirs = (path.resolve().parent.parts for path in (first, second))
    if ours == theirs:
        return first.name, second.name
    length = next(length for length in range(1, max(len(ours), len(theirs)) + 1) if ours[-length:] != theirs[-length:])
    return "/".join(ours[-length:]), "/".join(theirs[-length:])


def _run(result_file, name):
    folder = result_file.parent
    result = results.load_result(result_file)
    return EvaluatedRun(name, result, results.load_samples(folder / "samples.npz"), results.class_names(folder))


def _sheet(result):
    """The sheet of pseudo masks beside the records that the run learned from; None where there is none."""
    folder = (result.get("flags") or {}).get("data_dir")
    file = pathlib.Path(folder if isinstance(folder, str) else "") / PSEUDO_MASK_SHEET
    sheet = cv2.imread(str(file)) if file.is_file() else None
    return None if sheet is None else sheet[..., ::-1]


def _page_file(output: str | pathlib.Path | None, result_file: pathlib.Path, name: str) -> pathlib.Path:
    """Where the page goes; an ArgumentError where something that is no such page is there."""
    output = pathlib.Path(output) if output else result_file.parent / "report" / name
    if output.is_dir():
        raise ArgumentError("output", output, f"is a folder; name the page's file, such as {output / name}")
    owned_files.check_file(output, "report", is_page)
    return output


def main(options: ReportOptions, positional: list[str]) -> None:
    """Writes report/index.html of a run: python -m e2wsol.report --run_dir=RUN_FOLDER [--compare=OTHER_RUN]."""
    cli.no_arguments(positional)
    first = results.result_path(options.run_dir, "run_dir")
    if options.compare:
        second = results.result_path(options.compare, "compare")
        terminal.say(write_comparison(first, second, options.output, pictures=options.pictures))
    else:
        terminal.say(write_report(first, options.output, pictures=options.pictures))


if __name__ == "__main__":
    cli.run(main, ReportOptions)
