"""Writes the HTML report of an evaluated run: one page with scores, curves and pictures."""

import dataclasses
import pathlib

from e2wsol import cli, files
from e2wsol.config import option
from e2wsol.visualize import results
from e2wsol.visualize.page import page


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """Where the result is and where the page goes."""

    result: str = option("", "run folder, or the result.json in it, that e2wsol.evaluate wrote")
    output: str = option("", "the page's file; empty means report/index.html beside result.json")


def write_report(result_file, output=None):
    """Writes the page of a result.json, with the pictures of the samples.npz beside it.

    Args:
      result_file: path of result.json; class names come from the dataset.json beside it.
      output: the page's path; None means report/index.html beside the result.

    Returns:
      The page's path.

    Raises:
      UserError: a file is missing or malformed.
    """
    result_file = pathlib.Path(result_file)
    folder = result_file.parent
    result = results.load_result(result_file)
    samples = results.load_samples(folder / "samples.npz")
    document = page(result, samples, results.class_names(folder))
    output = pathlib.Path(output) if output else folder / "report" / "index.html"
    files.write_text(output, document)
    return output


def main(options, positional):
    """Writes report/index.html of a run: python -m e2wsol.report --result=RUN_FOLDER."""
    cli.no_arguments(positional)
    print(write_report(results.result_path(options.result), options.output))


if __name__ == "__main__":
    cli.run(main, ReportOptions)
