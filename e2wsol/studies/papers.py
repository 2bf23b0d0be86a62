"""The published scores, papers.csv: what each row's source prints, and nothing that we computed or remember.

E2Net, MNPO, MNPOs, DGL, Grad-CAM and Grad-CAM++ have no row: no absolute score of theirs was found in a source that
could be read.
"""

import csv
import dataclasses
import pathlib

from e2wsol.errors import UserError

PATH = pathlib.Path(__file__).with_name("papers.csv")
# As the study calls them: methods, localizers, and SPOL, whose stages are two methods.
METHODS = (
    "cam",
    "has",
    "acol",
    "spg",
    "adl",
    "cutmix",
    "e2net",
    "bas",
    "spol",
    "mnpo",
    "mnpos",
    "dgl",
    "gradcam",
    "gradcampp",
    "layercam",
)
DATASETS = ("cub", "ilsvrc")


@dataclasses.dataclass(frozen=True)
class Row:
    """One published row; scores in per cent at IoU 0.5, None where the source has none.

    Attributes:
      method: one of METHODS.
      backbone: ours where we have it, else the source's; "not given" where it says none.
      dataset: one of DATASETS.
      top1_loc, top5_loc, gt_known: localization.
      top1_class: classification.
      protocol_note: threshold, layer or classifier, where that is known.
      source: paper and table, or repository and file.
    """

    method: str
    backbone: str
    dataset: str
    top1_loc: float | None
    top5_loc: float | None
    gt_known: float | None
    top1_class: float | None
    protocol_note: str
    source: str


_COLUMNS = [field.name for field in dataclasses.fields(Row)]
SCORES = ("top1_loc", "top5_loc", "gt_known", "top1_class")


def load(path=PATH):
    """The rows of a file like papers.csv, in its order.

    Raises:
      UserError: other columns, an unknown method or data set, no backbone or source, a score that is no number from 0
        to 100, or no score at all; names file, line and value.
    """
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != _COLUMNS:
            raise UserError(f"{path}: columns {reader.fieldnames}: must be {', '.join(_COLUMNS)}")
        return [_row(values, f"{path}, line {reader.line_num}") for values in reader]


def _row(values, where):
    if None in values or None in values.values():
        raise UserError(f"{where}: must have {len(_COLUMNS)} columns")
    for name, choices in (("method", METHODS), ("dataset", DATASETS)):
        if values[name] not in choices:
            raise UserError(f"{where}: {name}={values[name]}: unknown; choose one of {', '.join(choices)}")
    for name in ("backbone", "source"):
        if not values[name].strip():
            raise UserError(f"{where}: {name} is empty")
    scores = {name: _score(name, values[name], where) for name in SCORES}
    if all(score is None for score in scores.values()):
        raise UserError(f"{where}: no score; give at least one of {', '.join(SCORES)}")
    return Row(**{**values, **scores})


def _score(name, text, where):
    if not text:
        return None
    try:
        score = float(text)
    except ValueError:
        score = float("nan")
    if not 0 <= score <= 100:  # NaN is not either
        raise UserError(f"{where}: {name}={text}: expected per cent from 0 to 100, or nothing")
    return score
