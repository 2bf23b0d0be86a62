"""Cells: their commands parse, stand behind what they need, and a finished one is known by its flags."""

import functools
import importlib.util
import itertools
import json
import pathlib
import shlex

import made_plans
import pytest

from e2wsol import backbones, classify, config, evaluate, pseudo_masks, study, train
from e2wsol.errors import UserError
from e2wsol.localizers import LOCALIZERS
from e2wsol.methods import MethodOptions
from e2wsol.studies import cells
from e2wsol.studies.papers import CLAIMS, METHODS
from e2wsol.studies.scores import BY_KEY
from e2wsol.studies.suites import REFERENCE, ROWS, SUITES
from e2wsol.training.loop import LoopOptions
from tfrecords import build

OPTIONS = {
    "e2wsol.train": train.TrainFlags,
    "e2wsol.evaluate": evaluate.EvaluateFlags,
    "e2wsol.classify": classify.ClassifyOptions,
    "e2wsol.pseudo_masks": pseudo_masks.PseudoMaskOptions,
    "tfrecords.build": build.BuildFlags,
}
# What a trained row of the table is, by its flags.
TRAINED_METHODS = {row.name: row.name for row in ROWS if not row.of} | {
    "e2net_released": "e2net",
    "e2net_paper": "e2net",
}


def read(command):
    """{option class: instance} of a command, read as the command itself does."""
    module, *flags = command
    flags, positional, _ = config.parse([module, *flags], OPTIONS[module])
    assert not positional
    return {type(instance): instance for instance in config.instances(flags)}


@pytest.mark.parametrize("suite", SUITES)
def test_every_command_parses(suite, tmp_path):
    plan = made_plans.plan(tmp_path, suite=suite, input="pictures", backbone_weights="w.npz", more=("--momentum=0.5",))
    budgets = set()
    for cell in plan.cells():
        for command in cell.commands:
            found = read(command)
            if command[0] == "e2wsol.train":
                row, _, seed = cell.name.rpartition("-seed")
                assert found[MethodOptions].method == TRAINED_METHODS[row]
                loop, data = found[LoopOptions], found[train.pipeline.PipelineOptions]
                assert loop.seed == int(seed) and found[train.optimizers.OptimizerOptions].momentum == 0.5
                assert found[train.TrainOptions].backbone_weights == "w.npz"
                box, backbone = found[train.protocols.BoxOptions], found[train.BackboneOptions]
                budgets.add((loop.epochs, loop.batch_size, data.image_size, data.resize_size, box, backbone))
    assert len(budgets) == 1  # equal for every method


@functools.cache
def end_points_of(backbone):
    return list(backbones.build(backbones.BackboneOptions(backbone=backbone, backbone_width=0.03), 32).output)


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_layers_are_end_points_of_the_suites_network(suite):
    options = read(["e2wsol.train", f"--flagfile={made_plans.FLAGS / suite.name}.cfg"])[backbones.BackboneOptions]
    end_points = end_points_of(options.backbone)
    assert suite.last_layer == end_points[-1] and suite.middle_layer in end_points[:-1]


def test_suites_and_rows_name_what_there_is():
    assert all(set(suite.read_by) <= set(BY_KEY) for suite in SUITES.values())
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names) and REFERENCE in names
    assert {row.localizer for row in ROWS if row.of} <= set(LOCALIZERS)
    assert {name for row in ROWS for name in (row.of, row.masks_from, row.classes_from) if name} <= set(names)
    assert {row.method for row in ROWS} <= set(METHODS)
    assert {name for claim in CLAIMS for name in (claim.row, claim.than)} <= set(names)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), [row.name for row in ROWS]),
        (("cam",), ["cam"]),
        (("dgl",), ["cam", "dgl"]),
        (("spol_seg",), ["cam", "spol_cam", "spol_seg"]),
        (("layercam", "adl", "cam"), ["cam", "adl", "layercam"]),
    ],
)
def test_rows_bring_what_they_need(names, expected):
    assert [row.name for row in cells.choose_rows(names)] == expected


def test_an_unknown_row():
    with pytest.raises(UserError, match=r"rows=cam,cma: no row cma; choose among cam, has, acol"):
        cells.choose_rows(("cam", "cma"))


@pytest.mark.parametrize("given", ["", "pictures"])
def test_cells_stand_behind_what_they_need(given, tmp_path):
    plan = made_plans.plan(tmp_path, suite="animals", input=given, seeds=(0, 1, 2))
    made = plan.cells()
    names = [cell.name for cell in made]
    assert len(set(names)) == len(names) == (1 if given else 0) + 3 * (13 + 1)
    for place, cell in enumerate(made):
        assert set(cell.needs) <= set(names[:place])
        assert (cells.RECORDS in cell.needs) == bool(given and cell.name[:-1] in _trained_names())
    assert {plan.cell_of(row, seed) for row in plan.rows for seed in plan.seeds} <= set(names)
    flags = shlex.join(itertools.chain(*next(cell for cell in made if cell.name == "spol_seg-seed2").commands))
    assert f"--predictions={tmp_path}/runs/cam-seed2/test.jsonl" in flags
    assert f"--data_dir={tmp_path}/masks/spol_cam-seed2" in flags


def _trained_names():
    return {f"{row.name}-seed" for row in ROWS if not row.of}


def test_other_localizers_do_not_depend_on_the_rows_of_the_table(tmp_path):
    """So a study of some rows can be given more of them later."""
    of_all, of_some = (made_plans.plan(tmp_path, rows=rows) for rows in ((), ("dgl",)))
    found = {cell.name: cell for cell in of_all.cells()}
    assert {cell.name for cell in of_some.cells()} < set(found)
    assert all(cell == found[cell.name] for cell in of_some.cells())
    looks = found["cam_localizers-seed0"].commands[0]
    assert "--localizer=gradcam,layercam,dgl" in looks and "--layer=block13,block10" in looks


def test_a_finished_cell_is_known_by_its_flags(tmp_path):
    """Those of its flagfiles too, of which comments do not count."""
    flags = tmp_path / "flags"
    (flags / "methods").mkdir(parents=True)
    (flags / "synthetic.cfg").write_text("# size\n--epochs=3\n")
    (flags / "methods" / "cam.cfg").write_text("--method=cam\n")
    plan = made_plans.plan(tmp_path / "study", rows=["cam"], seeds=[0], flags_dir=flags)
    _, cell = plan.cells()
    assert not plan.is_done(cell) and plan.seconds(cell.name) is None
    plan.finish(cell, 12.345)
    assert plan.is_done(cell) and plan.seconds(cell.name) == 12.345
    (flags / "synthetic.cfg").write_text("# another comment\n\n--epochs=3\n")
    assert plan.is_done(cell)

    for changes, expected in (
        ({"backbone_weights": "imagenet"}, "the difference is --backbone_weights=imagenet; give the flags"),
        ({"more": ("--epochs=9",)}, "the difference is --epochs=9; give"),
        ({"data_dir": pathlib.Path("other")}, "the difference is --data_dir=other; give"),
    ):
        other = made_plans.plan(tmp_path / "study", rows=["cam"], seeds=[0], **{"flags_dir": flags} | changes)
        with pytest.raises(UserError, match=rf"cells/cam-seed0.json: was made by another command, {expected}"):
            other.is_done(other.cells()[1])
    more = cells.Cell(cell.name, (*cell.commands, ("e2wsol.classify", "--run_dir=x")))
    with pytest.raises(UserError, match=r"the difference is e2wsol\.classify --run_dir=x;"):
        plan.is_done(more)
    (flags / "synthetic.cfg").write_text("--epochs=4\n")
    with pytest.raises(UserError, match="the difference is --epochs=4;"):
        plan.is_done(cell)


def test_a_cell_whose_training_was_stopped_alone_is_not_finished(tmp_path):
    """Its training ended well, as after SIGTERM, with one of two epochs; what looks at a network trains none."""
    plan = made_plans.plan(tmp_path, rows=("cam", "dgl"), seeds=(0,))
    trained, looking = plan.cells()[-2:]
    run = plan.run_dir("cam", 0)
    run.mkdir(parents=True)
    (run / "flags.json").write_text(json.dumps({"flags": {"epochs": 2}}))
    (run / "metrics.jsonl").write_text('{"kind": "epoch", "epoch": 1}\n')
    assert plan.unfinished(trained) == f"{run}: 1 of 2 epochs" and plan.unfinished(looking) is None
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"kind": "epoch", "epoch": 2}\n')
    assert plan.unfinished(trained) is None


def test_dry_run_prints_commands_for_a_shell(tmp_path, capsys):
    """Every one can be copied, whatever is in its names."""
    plan = made_plans.plan(
        tmp_path / "it's a study", rows=["spol_seg"], more=("--learning_rate_multipliers=(a|b).*:2",)
    )
    plan.finish(plan.cells()[0], 1)
    study.show(plan)
    lines = capsys.readouterr().out.splitlines()
    heads = [line for line in lines if line.startswith("# ")]
    states = ["finished", *["to do"] * (len(heads) - 1)]
    assert heads == [f"# {cell.name}: {state}" for cell, state in zip(plan.cells(), states, strict=True)]
    expected = [["python", "-m", *command] for cell in plan.cells() for command in cell.commands]
    assert [shlex.split(line) for line in lines if not line.startswith("# ")] == expected
    for _, _, module, *_ in expected:
        assert importlib.util.find_spec(module)
