import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from made_sources import decode_mask, read_split, run_build, save_picture

from e2wsol import cli
from e2wsol.data import images, synthetic
from e2wsol.errors import UserError
from tfrecords.build import BuildFlags

ROOT = pathlib.Path(__file__).parents[2]


def command(*arguments):
    call = [sys.executable, "-m", "tfrecords.build", *map(str, arguments)]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})


def test_workers_stay_free_of_tensorflow():
    script = "import sys, tfrecords.build, tfrecords.prepare; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0


@pytest.mark.slow
def test_command_with_two_workers(tmp_path):
    options = ["--synthetic_train=16", "--synthetic_val=0", "--synthetic_test=8", "--synthetic_side=64"]
    result = command("--source=synthetic", f"--output={tmp_path}/out", "--workers=2", "--holdout=0.5", *options)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[:3] == [
        "train: 8 pictures in 1 shards",
        "val: 8 pictures in 1 shards",
        "test: 8 pictures in 1 shards",
    ]


@pytest.mark.slow
def test_errors_of_workers_are_one_line_and_status_two(tmp_path):
    for number in range(4):
        save_picture(tmp_path / f"in/ant/{number}.jpg", seed=number)
    (tmp_path / "in/ant/2.jpg").write_bytes(b"cut")
    result = command("--source=folder", f"--input={tmp_path}/in", f"--output={tmp_path}/out", "--workers=2")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    message = "error: ant/2.jpg: not a readable picture (unknown format); mend it, or leave such pictures out by "
    assert result.stderr.splitlines()[-1].startswith(message)


def test_synthetic_source(tmp_path):
    options = synthetic.SyntheticOptions(synthetic_train=8, synthetic_val=8, synthetic_test=9, synthetic_side=48)
    info = run_build(tmp_path / "out", source="synthetic", source_options=options)
    assert info.has_boxes and info.has_masks and info.classes == tuple(synthetic.class_names(options))
    assert {name: split.count for name, split in info.splits.items()} == {"train": 8, "val": 8, "test": 9}
    for index in range(9):
        record = read_split(info, "test")[f"test/{index:06d}"]
        made = synthetic.render(options, "test", index)
        assert record["label"] == made.label and record["filename"].decode() == f"test_{index:06d}.jpg"
        np.testing.assert_array_equal(record["boxes"], made.boxes)
        np.testing.assert_array_equal(decode_mask(record), made.mask)
        assert record["jpeg"] == images.encode_jpeg(made.image, 95)


def test_holdout_needs_a_free_split(tmp_path):
    options = synthetic.SyntheticOptions(synthetic_train=8, synthetic_val=8, synthetic_side=32)
    with pytest.raises(UserError, match=r"^holdout=0.2: the source has a split val already; use holdout=0$") as error:
        run_build(tmp_path / "out", source="synthetic", source_options=options, holdout=0.2)
    assert cli.in_flags(error.value, BuildFlags).startswith("--holdout=0.2: the source has a split val already")


def test_name_and_expected_counts(tmp_path):
    for number in range(4):
        save_picture(tmp_path / f"in/train/ant/{number}.jpg", seed=number)
    given = {"source": "folder", "input": tmp_path / "in"}
    info = run_build(tmp_path / "out", **given, name="mine", expect_counts=("train:4",), holdout=0.25)
    assert info.name == "mine" and info.split("val").count == 1
    with pytest.raises(UserError, match=r"^expect_counts=train:5: split train has 4 pictures"):
        run_build(tmp_path / "out2", **given, expect_counts=("train:5",))
    with pytest.raises(UserError, match=r"made with name=mine, now name=;"):
        run_build(tmp_path / "out", **given, holdout=0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "folder"}, "^input: missing; source=folder needs a folder"),
        ({"source": "folder", "input": "/nowhere"}, "^input=/nowhere: no such folder"),
        ({"source": "cub", "input": "/nowhere"}, "^input=/nowhere: not found"),
        ({"source": "ilsvrc", "input": "/nowhere"}, "^input=/nowhere: not found"),
    ],
)
def test_missing_input(tmp_path, options, message):
    with pytest.raises(UserError, match=message) as error:
        run_build(tmp_path / "out", **options)
    assert cli.in_flags(error.value, BuildFlags).startswith(message.replace("^", "--"))


def test_missing_output():
    with pytest.raises(UserError, match=r"^output: missing; name the folder"):
        run_build("", source="synthetic")
