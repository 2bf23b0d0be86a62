"""README's commands and every "Reproduce" section up to the first training step, with made-up weight files.

The scripts themselves run, with a Python that notes what it is called with; the commands that they give follow in this
process, in a folder with tiny records: full networks, start weights by the documented way, and no step.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from made_runs import run

from e2wsol import backbones, releases
from e2wsol.backbones import BackboneOptions
from e2wsol.releases import matching, writing
from e2wsol.training.loop import Loop

pytestmark = pytest.mark.slow
ROOT = pathlib.Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs" / "methods").glob("*.md")))
SCRIPT = r"bash scripts/((?:run_train_\w+|run_released|run_spol_cub|run_spol_ilsvrc)\.sh[^#&\n]*)"
RECORDER = "#!{python}\nimport json, sys\nopen({said!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
# Those with start weights by the script that a page names behind a command, "or mobilenet_v1, ...".
OTHERS = (
    "run_train_bas.sh resnet50 cub",
    *(f"run_train_bas.sh {name}_released cub" for name in ("vgg16", "mobilenet_v1", "inception_v3")),
    *(f"run_released.sh {name} cub" for name in ("dgl_resnet50", "dgl_resnet50_se")),
    "run_released.sh mnpo_vgg16_released ilsvrc",
)
ORIGINALS = {
    "vgg16_torchvision": ("vgg16", ".pth"),
    "resnet50_torchvision": ("resnet50", ".pth"),
    "inception_v3_torchvision": ("inception_v3", ".pth"),
    "mobilenet_v1_bas": ("mobilenet_v1", ".pth"),
    "resnet50_tensorpack": ("resnet50", ".npz"),
    "resnet50_se_tensorpack": ("resnet50_se", ".npz"),
    "vgg16_tensorpack": ("vgg16", ".npz"),
}
APPLICATIONS = ("VGG16", "MobileNet", "InceptionV3", "EfficientNetB7")


class FirstStepError(BaseException):
    """The training was about to begin."""


def documented():
    """The training scripts with their arguments, each once."""
    texts = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return list(dict.fromkeys([line.strip() for line in re.findall(SCRIPT, texts)] + list(OTHERS)))


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_records):
    """A folder from which the documented paths lead to tiny records, and, once made, to start weights."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("flags", "scripts"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "records").mkdir()
    for name in ("cub", "ilsvrc", "cub_spol", "ilsvrc_spol"):
        (folder / "records" / name).symlink_to(tiny_records)
    return folder


def commands(project, script):
    """[arguments of Python] that a script calls it with."""
    said, python = project / "said", project / "python"
    said.unlink(missing_ok=True)
    python.write_text(RECORDER.format(python=sys.executable, said=str(said)))
    python.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", f"bash {ROOT}/scripts/{script}"],
        cwd=project,
        env=os.environ | {"PYTHON": str(python)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in said.read_text().splitlines()]


def make_weights(project, name):
    """Makes weights/NAME.npz as scripts/prepare_weights.sh does, of a made-up download."""
    backbone, suffix = ORIGINALS[name]
    shapes = releases.shapes(backbones.build(BackboneOptions(backbone=backbone), 224))
    container = "pytorch" if suffix == ".pth" else "tensorflow"
    naming = next(each for each in releases.start_namings(backbone, shapes) if each.container == container)
    draw = np.random.default_rng(len(name))
    values = {path: draw.uniform(0.1, 1, shape).astype(np.float32) for path, shape in shapes.items()}
    tensors = matching.authors_tensors(naming, values)
    original = project / f"download{suffix}"
    original.unlink(missing_ok=True)
    (writing.write_pytorch if suffix == ".pth" else writing.write_npz)(original, tensors)
    ((_, module, *flags),) = commands(project, f"prepare_weights.sh {name} {original}")
    assert module == "e2wsol.convert" and run("convert", *flags) == 0
    with np.load(project / "weights" / f"{name}.npz") as archive:
        assert all(np.array_equal(archive[path], value) for path, value in values.items())


@pytest.fixture
def until_the_first_step(monkeypatch, project):
    """Runs `python -m e2wsol.train`; returns the loop as it is before its first step."""
    reached = []

    def first_step(loop):
        reached.append(loop)
        raise FirstStepError

    monkeypatch.chdir(project)
    monkeypatch.setattr(Loop, "run", first_step)
    for name in APPLICATIONS:  # in the place of downloads
        made = getattr(keras.applications, name)
        monkeypatch.setattr(keras.applications, name, lambda made=made, **options: made(**options | {"weights": None}))

    def train(*flags):
        with pytest.raises(FirstStepError):
            run("train", *flags)
        return reached.pop()

    return train


@pytest.mark.parametrize("script", documented())
def test_a_documented_training_begins(script, project, until_the_first_step, capsys):
    trainings = [flags for _, module, *flags in commands(project, script) if module == "e2wsol.train"]
    assert trainings
    for flags in trainings:
        file = next(flag for flag in flags if flag.startswith("--flagfile=")).partition("=")[2]
        needs = re.search(r"^--backbone_weights=weights/(\w+)\.npz$", (ROOT / file).read_text(), re.MULTILINE)
        if needs and not (project / "weights" / f"{needs[1]}.npz").exists():
            assert run("train", *flags) == 2
            assert f"bash scripts/prepare_weights.sh {needs[1]} makes it" in capsys.readouterr().err
            make_weights(project, needs[1])
        loop = until_the_first_step(*flags)
        assert loop.step == 0 and loop.model.num_classes == 3
        said = capsys.readouterr().out
        filled = re.search(r"start weights: (\d+) of (\d+) variables from \S+(?: \((\d+\.\d)% of the numbers\))?", said)
        assert filled and (filled[1] == filled[2] or float(filled[3]) > 95), said


def test_every_start_weight_file_of_the_flagfiles_can_be_made():
    lines = "\n".join(path.read_text() for path in (ROOT / "flags").glob("*.cfg"))
    assert set(re.findall(r"^--backbone_weights=weights/(\w+)\.npz$", lines, re.MULTILINE)) <= ORIGINALS.keys()
