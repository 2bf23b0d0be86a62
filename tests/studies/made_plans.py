"""Plans of studies on made-up places."""

import pathlib

from e2wsol.studies import cells
from e2wsol.studies.suites import SUITES

FLAGS = pathlib.Path(__file__).parents[2] / "flags" / "study"


def plan(folder, *, rows=(), suite="synthetic", **changes):
    """A Plan of some rows, all for none, whose study lives in `folder`."""
    suite = SUITES[suite]
    facts = {
        "suite": suite,
        "rows": cells.choose_rows(rows),
        "seeds": (0, 1),
        "folder": folder,
        "data_dir": pathlib.Path("records") / suite.name,
        "input": "",
        "flags_dir": FLAGS,
        "backbone_weights": "none",
        "middle_layer": suite.middle_layer,
        "last_layer": suite.last_layer,
        "more": (),
    }
    return cells.Plan(**facts | changes)
