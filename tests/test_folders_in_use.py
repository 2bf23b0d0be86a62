"""Every command that writes to a folder says who holds it; training and evaluating a run do not exclude each other."""

import json
import os
import re
import shutil

import pytest
from made_runs import TINY, run
from PIL import Image

from e2wsol import folder_lock


@pytest.fixture(scope="module")
def own_run(tiny_run, tmp_path_factory):
    """A copy of the tiny run that may be written to."""
    folder = tmp_path_factory.mktemp("own") / "run"
    shutil.copytree(tiny_run, folder, symlinks=True)
    return folder


# {command: (flag that names the folder, what of it is locked, further flags)}
WRITERS = {
    "train": ("run_dir", "", ("--data_dir={records}", *TINY)),
    "build": ("output", "", ("--source=synthetic", "--synthetic_train=3")),
    "evaluate": ("run_dir", "evaluate", ()),
    "export": ("output", "export", ("--run_dir={run}",)),
    "predict": ("output", "predict", ("--model={run}", "{photo}")),
    "pseudo_masks": ("output", "", ("--run_dir={run}",)),
}


@pytest.mark.parametrize("command", WRITERS)
def test_a_folder_in_use_is_named_with_its_holder_and_left_alone(command, own_run, tiny_records, tmp_path, capsys):
    flag, of, more = WRITERS[command]
    folder = own_run if command == "evaluate" else tmp_path / "folder"
    photo = tmp_path / "photo.png"
    Image.new("RGB", (8, 8)).save(photo)
    arguments = [each.format(records=tiny_records, run=own_run, photo=photo) for each in more]
    with folder_lock.held(folder, flag, of=of):
        before = sorted(folder.rglob("*"))
        assert run(command, f"--{flag}={folder}", *arguments) == 2
        assert sorted(folder.rglob("*")) == before
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    # xdist's workers are started by `python -c`.
    place, pid = re.escape(f"error: --{flag}={folder}"), os.getpid()
    assert len(lines) == 1 and re.match(rf"{place}: in use by (python -m pytest|-c), process {pid} on host ", lines[0])
    assert lines[0].endswith("; wait for its end, stop it, or give another folder")


def test_classes_of_two_splits_may_be_made_at_once(own_run, tmp_path, capsys):
    flags = (f"--run_dir={own_run}", f"--output={tmp_path / 'a.jsonl'}")
    with folder_lock.held(tmp_path, "output", of="b.jsonl"):
        assert run("classify", *flags) == 0
    with folder_lock.held(tmp_path, "output", of="a.jsonl"):
        assert run("classify", *flags) == 2
    assert f"--output={tmp_path}: in use by" in capsys.readouterr().err


def test_a_run_in_training_is_evaluated_and_keeps_the_description_of_its_data(own_run, tiny_records, tmp_path):
    """On other records of the same classes, too: a training that goes on compares with its own."""
    other = tmp_path / "records"
    shutil.copytree(tiny_records, other)
    document = json.loads((other / "dataset.json").read_text())
    (other / "dataset.json").write_text(json.dumps(document | {"name": "another"}))
    before = (own_run / "dataset.json").read_bytes()
    with folder_lock.held(own_run, "run_dir"):
        assert run("evaluate", f"--run_dir={own_run}", f"--data_dir={other}", "--samples=2") == 0
    assert json.loads((own_run / "result.json").read_text())["dataset"]["name"] == "another"
    assert (own_run / "dataset.json").read_bytes() == before
