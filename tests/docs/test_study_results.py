"""What study.md and README say of a suite is what docs/studies has: results.csv the scores, table.md the claims."""

import csv
import pathlib
import re
import statistics

import pytest

from e2wsol.studies.suites import ROWS

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
SUITES = sorted(path.name for path in (DOCS / "studies").iterdir())
SCORES = {
    "GT-known 0.5": ("GT-known Loc", "0.5", "validation"),
    "GT-known 0.5, best t": ("GT-known Loc", "0.5", "best"),
    "GT-known 0.7": ("GT-known Loc", "0.7", "validation"),
    "GT-known 0.7, best t": ("GT-known Loc", "0.7", "best"),
    "PxAP": ("PxAP", "", ""),
    "Top-1 Loc 0.5": ("Top-1 Loc", "0.5", "validation"),
    "Top-1 class": ("top1 classification", "", ""),
}
CENTRE = "centre "  # results.csv has no such rows: a baseline has no seeds


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(text):
    """Every table in a text as a list of lines of cells."""
    found = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    return [[cells(line) for line in table.splitlines() if not re.match(r"^\|[-|]+$", line)] for table in found]


def section(file, heading):
    """The part of a file under a heading."""
    return file.read_text().split(f"\n{heading}\n")[1].split("\n##")[0]


def measured(suite):
    """{(row, metric, IoU, threshold from): the values of its seeds}."""
    found = {}
    with open(DOCS / "studies" / suite / "results.csv", encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            key = line["row"], line["metric"], line["iou"], line["threshold_from"]
            found.setdefault(key, []).append(100 * float(line["value"]))
    return found


def numbers(cell):
    """The numbers of a cell "14.2 ± 3.1", as they are given: with one digit behind the point."""
    assert re.fullmatch(r"(\d+\.\d( ± \d+\.\d)?)?", cell), cell
    return [float(number) for number in cell.split(" ± ") if number]


PLACES = [(suite, DOCS / "study.md", f"### `{suite}`") for suite in SUITES]


@pytest.mark.parametrize(("suite", "file", "heading"), [*PLACES, ("cub10", DOCS.parent / "README.md", "## Results")])
def test_the_scores_are_those_of_the_results(suite, file, heading):
    found, names = measured(suite), {row.title: row.name for row in ROWS}
    for row in ROWS:
        if row.classes_from:  # another row's classifier, which that row has
            found.pop((row.name, *SCORES["Top-1 class"]), None)
    heads, *lines = tables(section(file, heading))[0]
    lines = [line for line in lines if not line[0].startswith(CENTRE)]
    assert [line[0] for line in lines] == [title for title, name in names.items() if name in {key[0] for key in found}]
    for title, *shown in lines:
        for head, cell in zip(heads[1:], shown, strict=True):
            values = found.get((names[title], *SCORES[head]), [])
            expected = [statistics.mean(values), *([statistics.stdev(values)] if values[1:] else [])] if values else []
            # Not as text: 14.25 may round either way.
            assert numbers(cell) == pytest.approx(expected, abs=0.05 + 1e-9), (title, head)


@pytest.mark.parametrize("suite", SUITES)
def test_the_claims_are_those_of_the_study(suite):
    verdicts = {}
    for claim, score, difference, _, holds in tables((DOCS / "studies" / suite / "table.md").read_text())[1][1:]:
        verdicts[claim, score] = f"{holds.split(' ')[0]}, {difference}" if difference else holds
    heads, *lines = next(table for table in tables((DOCS / "study.md").read_text()) if table[0][0] == "claim")
    columns = {head: head.split(", ")[1] for head in heads[1:] if head.split(", ")[0] == f"`{suite}`"}
    assert columns
    for head, score in columns.items():
        column = heads.index(head)
        keys = {line[0]: (line[0], "top1_class" if "classifies" in line[0] else score) for line in lines}
        assert {line[0]: line[column] for line in lines} == {claim: verdicts[key] for claim, key in keys.items()}
        assert len(lines) == len({claim for claim, _ in verdicts})
