"""The installed package alone: built from its source archive, in a clean environment, used from an empty folder."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

import e2wsol

ROOT = pathlib.Path(__file__).parents[2]
SOURCES = (
    "e2wsol",
    "tfrecords",
    "flags",
    "scripts",
    "setup.py",
    "pyproject.toml",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
)
PIP = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
TINY = (
    *("--image_size=32", "--resize_size=36", "--backbone_width=0.03", "--shuffle_buffer=8", "--data_threads=1"),
    *("--batch_size=8", "--epochs=1", "--steps_per_epoch=2", "--tensorboard_pictures=1"),
)

pytestmark = pytest.mark.slow


def call(*command, cwd):
    """Runs a command outside the checkout; returns what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    environment["CUDA_VISIBLE_DEVICES"] = ""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the source tree: what a build leaves behind stays out of the checkout."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def environment(folder, package):
    """A new environment that has the dependencies of this one and, first, `package`; returns its scripts' folder."""
    venv.create(folder)
    scheme = {"base": str(folder), "platbase": str(folder)}
    own, scripts = (pathlib.Path(sysconfig.get_path(name, "posix_prefix", scheme)) for name in ("purelib", "scripts"))
    # The folders of a .pth file do not have theirs read: an editable e2wsol of this environment stays out.
    others = [path for path in sys.path if path.endswith("site-packages")]
    (own / "dependencies.pth").write_text("\n".join(others) + "\n")
    call(sys.executable, "-m", "pip", "--python", scripts / "python", "install", *PIP, *package, cwd=folder)
    return scripts


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    """The wheel that is built from the source archive."""
    folder = tmp_path_factory.mktemp("wheel")
    script = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    call(sys.executable, "-c", script, folder, cwd=source)
    (archive,) = folder.glob("*.tar.gz")
    call(sys.executable, "-m", "pip", "wheel", *PIP, f"--wheel-dir={folder}", archive, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    return environment(tmp_path_factory.mktemp("environment"), [wheel])


def test_what_is_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    flags = {f"e2wsol/flags/{file.relative_to(ROOT / 'flags').as_posix()}" for file in ROOT.glob("flags/**/*.cfg")}
    assert {name for name in names if name.endswith(".cfg")} == flags and len(flags) > 60
    assert {"e2wsol/py.typed", "tfrecords/py.typed", "e2wsol/studies/papers.csv"} <= set(names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"e2wsol", "tfrecords"}
    assert f"Version: {e2wsol.__version__}\n" in metadata and "Provides-Extra: notebook\n" in metadata


def test_from_an_empty_folder(installed, tmp_path):
    """Records, training, scores, boxes and a study's plan, by names of flagfiles alone."""

    def run(*command):
        return call(installed / command[0], *command[1:], cwd=tmp_path)

    file = run("python", "-c", "import e2wsol; print(e2wsol.__file__)").strip()
    assert pathlib.Path(file).is_relative_to(installed.parent)
    assert run("e2wsol", "--version") == f"e2wsol {e2wsol.__version__}\n"

    sizes = [f"--synthetic_{name}" for name in ("train=16", "val=4", "test=4", "classes=2", "side=48")]
    run("e2wsol", "build", "--source=synthetic", "--output=records/synthetic", "--workers=2", *sizes)
    run("e2wsol", "train", "--flagfile=quickstart", "--run_dir=run", *TINY)
    record = json.loads((tmp_path / "run/flags.json").read_text())
    assert record["git_commit"] is None and record["versions"]["e2wsol"] == e2wsol.__version__
    assert record["flags"]["method"] == "e2net" and record["flags"]["data_dir"] == "records/synthetic"

    assert "GT-known Loc" in run("e2wsol", "evaluate", "--run_dir=run")
    assert json.loads((tmp_path / "run/result.json").read_text())["scores"]
    call(installed / "python", "-c", PHOTO, tmp_path / "photo.png", cwd=tmp_path)
    run("e2wsol", "predict", "--model=run", "--output=boxes", "photo.png")
    assert len(json.loads((tmp_path / "boxes/predictions.json").read_text())["pictures"]) == 1
    assert any((tmp_path / "boxes/overlays").iterdir())

    plan = run("e2wsol", "study", "--suite=synthetic", "--dry_run", "--rows=cam", "--seeds=0")
    assert "# cam-seed0: to do" in plan and "--flagfile=flags/study/methods/cam.cfg" in plan
    assert "--compare" in run("python", "-m", "e2wsol", "report", "--help")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["boxes", "photo.png", "records", "run"]


PHOTO = "import sys, cv2, numpy; cv2.imwrite(sys.argv[1], numpy.random.default_rng(0).integers(0, 255, (40, 60, 3)))"


def test_of_an_editable_installation(source, tmp_path_factory, tmp_path):
    """Its flagfiles are those of the source tree."""
    scripts = environment(tmp_path_factory.mktemp("editable"), ["--editable", source])
    script = "from e2wsol import flagfiles; print(flagfiles.find('study/methods/cam'))"
    assert call(scripts / "python", "-c", script, cwd=tmp_path).strip() == str(source / "flags/study/methods/cam.cfg")
    assert "pseudo-masks" in call(scripts / "e2wsol", "--help", cwd=tmp_path)
