"""`python -m e2wsol`, which is the console command `e2wsol`."""

import importlib
import pathlib
import re
import runpy
import subprocess
import sys

import pytest

import e2wsol
from e2wsol import __main__ as command

ROOT = pathlib.Path(__file__).parents[2]


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["e2wsol", *arguments])
    command.main()


def test_every_command_is_there():
    """Those files that hand a main to cli.run."""
    files = [file for folder in ("e2wsol", "tfrecords") for file in (ROOT / folder).rglob("*.py")]
    found = {file for file in files if re.search(r"^    cli\.run\(", file.read_text(encoding="utf-8"), re.MULTILINE)}
    assert {ROOT / f"{module.replace('.', '/')}.py" for module in command.COMMANDS.values()} == found


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_the_commands(monkeypatch, capsys, arguments):
    run(monkeypatch, *arguments)
    lines = capsys.readouterr().out.splitlines()
    for name, module in command.COMMANDS.items():
        described = importlib.import_module(module).__doc__.splitlines()[0]
        assert sum(line.split(maxsplit=1) == [name, described] for line in lines) == 1


def test_version(monkeypatch, capsys):
    run(monkeypatch, "--version")
    assert capsys.readouterr().out == f"e2wsol {e2wsol.__version__}\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("trian", "trian: no such command; choose one of train"),
        ("pseudo_mask", "pseudo_mask: no such command; choose one of pseudo-masks"),
        ("localize", "localize: no such command; choose one of build, train, evaluate, predict, report, export,"),
        ("--flagfile=x", "--flagfile=x: no such command; choose one of build, train"),
    ],
)
def test_an_unknown_command_is_one_line(monkeypatch, capsys, name, message):
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, name)
    out, err = capsys.readouterr()
    assert caught.value.code == 2 and not out
    assert err.startswith(f"error: {message}") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "module"),
    [
        *(("train", "e2wsol.train"), ("build", "tfrecords.build"), ("pseudo-masks", "e2wsol.pseudo_masks")),
        *(("pseudo_masks", "e2wsol.pseudo_masks"), ("data_service", "e2wsol.data_service")),
    ],
)
def test_a_command_runs_as_its_module_does(monkeypatch, name, module):
    called = []
    monkeypatch.setattr(runpy, "run_module", lambda *args, **kwargs: called.append((args, kwargs, sys.argv[1:])))
    run(monkeypatch, name, "--seed=1", "x")
    assert called == [((module,), {"run_name": "__main__", "alter_sys": True}, ["--seed=1", "x"])]


def test_tensorflow_is_not_imported_to_say_what_there_is():
    script = "import sys; from e2wsol.__main__ import main; main(); sys.exit('tensorflow' in sys.modules)"
    for argument in ("--help", "--version"):
        assert (
            subprocess.run([sys.executable, "-c", script, argument], cwd=ROOT, stdout=subprocess.DEVNULL).returncode
            == 0
        )


def test_real_processes_of_both_spellings_end_alike():
    ends = [
        subprocess.run([sys.executable, "-m", *spelling, "--result=nowhere"], cwd=ROOT, capture_output=True, text=True)
        for spelling in (["e2wsol", "report"], ["e2wsol.report"])
    ]
    assert [(end.returncode, end.stdout) for end in ends] == [(2, "")] * 2
    assert ends[0].stderr == ends[1].stderr and ends[0].stderr.startswith("error: ")
