"""What the methods' papers say: their published scores (papers.csv), and their claims.

papers.csv has what each row's source prints, and nothing that we computed or remember. E2Net, MNPO, MNPOs, DGL,
Grad-CAM and Grad-CAM++ have no row: no absolute score of theirs was found in a source that could be read.
"""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Sequence

from e2wsol import files
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
class PublishedScores:
    """A row of papers.csv; scores in per cent at IoU 0.5, None where the source has none.

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


_COLUMNS = [field.name for field in dataclasses.fields(PublishedScores)]
SCORES = ("top1_loc", "top5_loc", "gt_known", "top1_class")


def load(path: pathlib.Path = PATH) -> list[PublishedScores]:
    """The rows of a file like papers.csv, in its order.

    Raises:
      UserError: other columns, an unknown method or data set, no backbone or source, a score that is no number from 0
        to 100, or no score at all; names file, line and value.
    """
    reader = csv.DictReader(io.StringIO(files.read_text(path)))
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
    return PublishedScores(**{**values, **scores})


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


# A loss smaller than this counts as none: a share of all pictures.
MARGIN = 0.01


@dataclasses.dataclass(frozen=True)
class Claim:
    """A row's score is above another's, or not below it.

    Attributes:
      row, than: names of StudyRows.
      text: the claim in words.
      score: key of a score; empty for those that the suite is read by.
      not_below: whether it is enough to lose less than MARGIN.
    """

    row: str
    than: str
    text: str
    score: str = ""
    not_below: bool = False

    def verdict(self, interval: Sequence[float], by_seed: Sequence[float] = ()) -> tuple[str, str]:
        """What a study says of it: ("yes", "no" or "open", why).

        Args:
          interval: 95% interval of the difference, over pictures.
          by_seed: the difference of each seed; where they are on both sides the interval alone decides nothing.
        """
        low, high = interval
        bound = -MARGIN if self.not_below else 0
        if low <= bound <= high:
            return "open", f"the interval contains {100 * bound:.0f}"
        above = low > bound
        if any((each > bound) != above for each in by_seed):
            return "open", "by seed: " + ", ".join(f"{100 * each:+.1f}" for each in by_seed)
        return ("yes", "") if above else ("no", "")


_ABOVE_CAM = ("has", "acol", "spg", "adl", "cutmix", "e2net_released", "e2net_paper", "bas", "mnpo", "mnpos")

CLAIMS = (
    *(Claim(row, "cam", "localizes better than CAM") for row in _ABOVE_CAM),
    *(
        Claim(row, "cam", "classifies no worse than CAM", score="top1_class", not_below=True)
        for row in ("e2net_released", "e2net_paper")
    ),
    Claim("spol_seg", "cam", "localizes better than CAM"),
    Claim("spol_seg", "spol_cam", "the seg stage localizes better than the cam stage"),
    Claim("dgl", "dgl_last", "a middle layer localizes better than the last"),
    Claim("dgl", "cam", "localizes better than CAM"),
    Claim("gradcam", "cam", "localizes better than CAM"),
    Claim("layercam", "cam", "localizes better than CAM"),
)
