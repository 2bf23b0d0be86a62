"""Every file that a command reads is damaged in every way: one line at most, nothing lost, no traceback.

Few examples by default; E2WSOL_FUZZ_EXAMPLES=500 draws more.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_runs import TINY, run, train_run
from PIL import Image

from e2wsol import config, load
from e2wsol.study import StudyOptions, make_plan

pytestmark = pytest.mark.slow
EXAMPLES = int(os.environ.get("E2WSOL_FUZZ_EXAMPLES", "24"))
HUGE = 200 << 30
NEWEST = "run/checkpoints/step-00000004"
RECORDS = ("records/dataset.json", "records/train-00000-of-00003.tfrecord", "records/test-00000-of-00001.tfrecord")
MODEL = ("run/flags.json", "run/dataset.json", f"{NEWEST}/model.keras")

VARIABLES = "variables/variables.data-00000-of-00001"
STUDY = ("--suite=cub10", "--data_dir=records", "--output=study", "--rows=cam", "--seeds=4", "--backbone_weights=none")


@dataclasses.dataclass(frozen=True)
class Case:
    """A command, its arguments, and the files that it reads."""

    command: str
    arguments: tuple[str, ...]
    reads: tuple[str, ...]


CASES = (
    Case(
        "train",
        ("--data_dir=records", "--run_dir=run", *TINY, "--method=cam", "--epochs=1", "--log_every=1"),
        (*RECORDS[:2], "run/flags.json", "run/dataset.json", "run/metrics.jsonl"),
    ),
    Case(
        "train",
        ("--data_dir=records", "--run_dir=run", "--flagfile=run.cfg"),
        ("run.cfg", *(f"{NEWEST}/{name}" for name in ("model.keras", "optimizer.npz", "state.json"))),
    ),
    Case(
        "train",
        ("--data_dir=records", "--run_dir=new", "--flagfile=run.cfg", "--on_bad_record=skip"),
        (*RECORDS[:2], "run.cfg"),
    ),
    Case(
        "train",
        ("--data_dir=records", "--run_dir=new", "--flagfile=run.cfg", "--backbone_weights=start.npz"),
        ("start.npz",),
    ),
    Case("evaluate", ("--run_dir=run", "--samples=2"), (*MODEL, RECORDS[0], RECORDS[2])),
    Case("evaluate", ("--run_dir=run", "--on_bad_record=skip", "--samples=2"), (RECORDS[2], "run/bad_records.json")),
    Case("evaluate", ("--maps=maps", "--data_dir=records", "--map_values=raw"), ("maps/{test}.npy", RECORDS[0])),
    Case("evaluate", ("--run_dir=run", "--predictions=classes.jsonl", "--samples=0"), ("classes.jsonl",)),
    Case("evaluate", ("--run_dir=run", "--predictions=classes.csv", "--samples=0"), ("classes.csv",)),
    Case("predict", ("--model=run", "--output=boxes", "photos"), (*MODEL, "run/result.json", "photos/0.png")),
    Case("predict", (f"--model={NEWEST}/model.keras", "--output=boxes", "photos/0.png"), (f"{NEWEST}/model.keras",)),
    Case(
        "predict",
        ("--model=exported", "--output=boxes", "photos"),
        tuple(f"exported/{name}" for name in ("saved_model.pb", "e2wsol.json", "variables/variables.index", VARIABLES)),
    ),
    Case("export", ("--run_dir=run", "--output=out"), (*MODEL, "run/result.json")),
    Case("convert", ("--from=run", "--to=out.pth"), MODEL),
    Case("classify", ("--run_dir=run", "--output=new.jsonl"), (*MODEL, RECORDS[0], RECORDS[2])),
    Case("pseudo_masks", ("--run_dir=run", "--data_dir=records", "--output=masked"), (*MODEL, *RECORDS[:2])),
    Case("report", ("--run_dir=run",), ("run/result.json", "run/samples.npz", "run/dataset.json")),
    Case(
        "study",
        ("--report_only", *STUDY),
        ("study/cells/cam-seed4.json", *(f"study/runs/cam-seed4/{name}" for name in ("result.json", "samples.npz"))),
    ),
    Case(
        "build",
        ("--source=folder", "--input=source", "--output=built", "--workers=1"),
        ("source/ant/0.png", "source/boxes.csv", "source/contours.json"),
    ),
)


def cut(path, draw):
    data = path.read_bytes()
    path.write_bytes(data[: draw(st.integers(0, max(len(data) - 1, 0)))])


def flip(path, draw):
    data = bytearray(path.read_bytes())
    for _ in range(draw(st.integers(1, 3)) if data else 0):
        data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
    path.write_bytes(data)


def other_kind(path, draw):
    kinds = (
        b"[]",
        b"{}",
        b"null",
        b"[" * 100_000,
        b"PK\x03\x04",
        b"\xff\xfe\0",
        b"\x89PNG\r\n\x1a\n",
        b"\x93NUMPY\1\0v\0{}",
    )
    path.write_bytes(draw(st.sampled_from(kinds)))


def huge(path, draw):
    os.truncate(path, HUGE)


def folder(path, draw):
    path.unlink()
    path.mkdir()


def pipe(path, draw):
    path.unlink()
    os.mkfifo(path)


def dangling(path, draw):
    path.unlink()
    path.symlink_to("nowhere")


def loop(path, draw):
    path.unlink()
    path.symlink_to(path.name)


def removed(path, draw):
    path.unlink()


DAMAGES = (cut, flip, other_kind, huge, folder, pipe, dangling, loop, removed)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with all that the commands of CASES read."""
    root = tmp_path_factory.mktemp("sound")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        sizes = ("--synthetic_train=24", "--synthetic_val=4", "--synthetic_test=4", "--synthetic_classes=3")
        flags = ("--output=records", *sizes, "--synthetic_side=48", "--shard_pictures=10", "--workers=1")
        assert run("build", "--source=synthetic", *flags) == 0
        flags = (*TINY, "--method=cam", "--epochs=1", "--tensorboard_pictures=0")
        pathlib.Path("run.cfg").write_text("\n".join(flags) + "\n")
        assert train_run("records", "run", *flags[len(TINY) :]) == 0
        assert run("evaluate", "--run_dir=run", "--samples=2") == 0
        assert run("classify", "--run_dir=run", "--output=classes.jsonl") == 0
        assert run("export", "--run_dir=run", "--output=exported") == 0
        lines = [json.loads(line) for line in pathlib.Path("classes.jsonl").read_text().splitlines()]
        pathlib.Path("classes.csv").write_text("".join(f"{each['picture']},{each['classes'][0]}\n" for each in lines))
        pathlib.Path("run/bad_records.json").write_text("{}")
        for each in lines:
            path = pathlib.Path("maps", f"{each['picture']}.npy")
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.random.default_rng(0).random((8, 8)))
        finish_study()
        np.savez("start.npz", **{value.path: value.numpy() for value in load("run").model.backbone.weights})
        draw = np.random.default_rng(0)
        for name in ("photos/0", "photos/1", "source/ant/0", "source/ant/1", "source/bee/0", "source/bee/1"):
            pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(f"{name}.png")
        pathlib.Path("source/boxes.csv").write_text("path,x0,y0,x1,y1\nant/0.png,1,1,9,9\n")
        pathlib.Path("source/contours.json").write_text('{"bee/0.png": [[1, 1], [9, 1], [9, 9]]}')
    return root


def finish_study():
    """Makes the run the only one of a study whose cells are finished."""
    values, _, _ = config.parse(["study", *STUDY], StudyOptions)
    plan = make_plan(values, ())
    shutil.copytree("run", plan.run_dir("cam", 4))
    for cell in plan.cells():
        plan.finish(cell, 1.0)


def contents(root):
    """{path: checksum} of the user's small files below a folder; what commands write is left out."""
    written = (
        "run/metrics.jsonl",
        "run/result.json",
        "run/samples.npz",
        "run/outcomes.npz",
        "run/flags.json",
        "run/bad_records.json",
    )
    found = {}
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        ours = name in written or "checkpoints" in name or "tensorboard" in name or path.parent == root / "study"
        if path.is_file() and not ours and path.stat().st_size < HUGE:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def check(world, folder, case, name, damage, draw, capsys):
    """Runs a command in a copy of the world in which one file is damaged."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(world, folder, symlinks=True)
    name = name.format(
        test=next(iter(sorted((world / "maps").rglob("*.npy")))).relative_to(world / "maps").as_posix()[:-4]
    )
    path = folder / name
    damage(path, draw)
    before, results = contents(folder), (folder / "run" / "result.json").is_file()
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        status = run(case.command, *case.arguments)
    said = capsys.readouterr()
    text = said.out + said.err
    lines = [line for line in said.err.replace("\r", "\n").splitlines() if line.startswith("error:")]
    assert status in (0, 2, 3) and len(lines) == (status == 2), (status, text)
    assert "Traceback" not in text and "internal error" not in text
    after = contents(folder)
    assert {each: after.get(each) for each in before} == before
    assert (folder / "run" / "result.json").is_file() >= results
    return status, lines


PLACES = [(case, name) for case in CASES for name in case.reads]


def can_be(name, damage):
    """Whether a damage is drawn for a file: checksums of a checkpoint are read whole, which takes minutes of 200 GB."""
    return damage is not huge or not (name.startswith(NEWEST))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_commands_on_damaged_files(world, tmp_path_factory, capsys, data):
    case, name = data.draw(st.sampled_from(PLACES))
    damage = data.draw(st.sampled_from([each for each in DAMAGES if can_be(name, each)]))
    check(world, tmp_path_factory.getbasetemp() / "damaged", case, name, damage, data.draw, capsys)


def test_the_commands_are_right_without_damage(world, tmp_path_factory, capsys):
    """Otherwise the test above would see nothing but the first refusal. No authors' format is known for CAM."""
    folder = tmp_path_factory.getbasetemp() / "whole"
    found = {case: check(world, folder, case, case.reads[0], lambda path, draw: None, None, capsys) for case in CASES}
    refused = [lines for status, lines in found.values() if status]
    assert len(refused) == 1 and "cam" in refused[0][0] and "released" in refused[0][0]
