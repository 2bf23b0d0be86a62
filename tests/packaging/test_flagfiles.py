"""Flagfiles are found by path and by name, from any folder."""

import pathlib

import pytest

from e2wsol import cli, config, flagfiles
from e2wsol.errors import UserError
from e2wsol.methods import MethodOptions
from e2wsol.train import TrainFlags

FLAGS = pathlib.Path(__file__).parents[2] / "flags"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("e2net_vgg", "e2net_vgg.cfg"),
        ("e2net_vgg.cfg", "e2net_vgg.cfg"),
        ("flags/e2net_vgg", "e2net_vgg.cfg"),
        ("flags/e2net_vgg.cfg", "e2net_vgg.cfg"),
        ("study/cub10", "study/cub10.cfg"),
        ("study/methods/cam", "study/methods/cam.cfg"),
        ("flags/study/methods/cam.cfg", "study/methods/cam.cfg"),
    ],
)
def test_the_librarys_by_path_and_by_name(name, file):
    assert pathlib.Path(flagfiles.find(name)).samefile(FLAGS / file)


def test_a_file_of_the_folder_comes_first(elsewhere):
    for name in ("e2net_vgg", "e2net_vgg.cfg", "flags/e2net_vgg.cfg"):
        (elsewhere / name).parent.mkdir(exist_ok=True)
        (elsewhere / name).touch()
        assert flagfiles.find(name) == name
    (elsewhere / "quickstart").mkdir()
    assert pathlib.Path(flagfiles.find("quickstart")).samefile(FLAGS / "quickstart.cfg")


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "/", "flags", "study", "flags/study", "nowhere", "nowhere.cfg", "e2net_vgg.txt", "a" * 999, "a\0b"),
        *("../flags/e2net_vgg", "flags/../e2net_vgg.cfg", "study/../e2net_vgg", "/e2net_vgg.cfg", "/flags/e2net_vgg"),
    ],
)
def test_other_names_stay_as_they_are(name):
    """No name leads out of the library's folder."""
    assert flagfiles.find(name) == name


def test_all_names_are_found():
    names = flagfiles.names()
    assert len(names) == len(list(FLAGS.glob("**/*.cfg"))) > 60
    for name in names:
        assert pathlib.Path(flagfiles.find(name)).samefile(FLAGS / f"{name}.cfg")


def methods(*arguments):
    return config.parse(["train", *arguments], TrainFlags)[0].method


def test_a_command_takes_names_in_flagfiles_too(elsewhere):
    assert methods("--flagfile=bas_vgg16") == MethodOptions(method="bas")
    (elsewhere / "mine").write_text("--flagfile=study/methods/adl\n--flagfile=inner.cfg\n")
    (elsewhere / "inner.cfg").write_text("--flagfile=flags/study/methods/spg.cfg\n")
    assert methods("--flagfile=mine") == MethodOptions(method="spg")
    assert config.without_flagfiles(["--seed=1", "--flagfile=study/methods/adl"]) == [
        *("--seed=1", "--method=adl", "--adl_threshold=0.9")
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("e2net_vg", "--flagfile=e2net_vg: No such file or directory; near ones of the library: e2net_vgg, "),
        ("flags/bas_vgg61.cfg", "; near ones of the library: bas_vgg16, bas_vgg16_ilsvrc"),
        ("study/method/cam", "; near ones of the library: study/methods/cam, "),
    ],
)
def test_a_missing_one_is_named_with_those_near(name, expected):
    with pytest.raises(UserError) as caught:
        methods(f"--flagfile={name}")
    assert expected in cli.in_flags(caught.value, TrainFlags)


def test_nothing_is_added_where_nothing_is_near():
    with pytest.raises(UserError, match=r"^--flagfile=/tmp/zzz\.cfg: No such file or directory$"):
        methods("--flagfile=/tmp/zzz.cfg")
