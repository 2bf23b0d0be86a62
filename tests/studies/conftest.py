"""A made-up study, for the tests of what is made of it."""

import dataclasses
import shutil

import made_plans
import made_results
import pytest

from e2wsol.studies import paired
from e2wsol.studies.summary import Summary

ROWS = ("cam", "adl", "spol_seg", "dgl", "dgl_last")
SHARES = {"cam": 0.5, "adl": 0.1, "spol_cam": 0.6, "spol_seg": 0.9, "dgl": 0.95, "dgl_last": 0.5}


@pytest.fixture(scope="module")
def few_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paired, "DRAWS", 500)
        patch.setattr(paired, "PIXEL_DRAWS", 5)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(Plan, {row: its Outcomes by seed}); ADL has one seed, SPOL's seg stage predicts no class and has no masks."""
    plan = made_plans.plan(tmp_path_factory.mktemp("made") / "study", rows=ROWS, seeds=(0, 3))
    found = {}
    for row in plan.rows:
        bare = {"classes": False, "masks": False} if row.name == "spol_seg" else {}
        seeds = plan.seeds[: 1 if row.name == "adl" else 2]
        found[row.name] = [made_results.finish(plan, row.name, seed, share=SHARES[row.name], **bare) for seed in seeds]
    return plan, found


@pytest.fixture(scope="module")
def document(made, few_draws):
    return Summary(made[0]).document()


@pytest.fixture
def copied(made, tmp_path):
    """The same Plan in a folder that may be changed."""
    shutil.copytree(made[0].folder, tmp_path / "study")
    return dataclasses.replace(made[0], folder=tmp_path / "study")
