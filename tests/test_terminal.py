"""No name of a file, a class or a folder steers the terminal, and no stream ends a command."""

import io
import os
import pathlib
import re
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import TINY, run
from PIL import Image

from e2wsol import terminal

HOSTILE = "a\x1b[2J\x1b]0;owned\x07\u202e\u2066\x9b31m\x85\u2028\n\rz"
ROOT = pathlib.Path(__file__).parents[1]


def steers(text):
    """The characters of a text that are neither visible nor a line's end, by Unicode's own categories."""
    return {char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char != "\n"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain é 鳥 🐦", "plain é 鳥 🐦"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\x9b31m\x85", "\\x9b31m\\x85"),
        ("\u202etxt.exe\u2066", "\\u202etxt.exe\\u2066"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_steers_is_shown_as_an_escape(text, expected):
    assert terminal.printable(text) == expected


@given(st.text(st.characters(categories=("Cc", "Cs", "Zl", "Zp", "L"))))
def test_a_printable_text_holds_nothing_that_steers(text):
    shown = terminal.printable(text)
    assert not steers(shown) and "\n" not in shown
    assert terminal.printable(shown) == shown


def without_bars(text):
    """What was printed, without what progress bars write: returns to the line's start and moves up."""
    return text.replace("\r", "").replace("\x1b[A", "")


def photos(folder, names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, format="PNG")
    return folder


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory):
    """(pictures, records, run folder), all with hostile names; the records name two hostile classes."""
    root = tmp_path_factory.mktemp("made") / HOSTILE
    names = [f"{kind}{HOSTILE}/{number}{HOSTILE}.png" for kind in "xy" for number in range(6)]
    source, records, folder = photos(root / "source", names), root / "records", root / "run"
    flags = (f"--input={source}", f"--output={records}", "--test_fraction=0.3", "--workers=1")
    assert run("build", "--source=folder", *flags) == 0
    flags = ("--method=cam", "--epochs=1", "--steps_per_epoch=1", "--batch_size=2", "--tensorboard_pictures=0")
    assert run("train", f"--data_dir={records}", f"--run_dir={folder}", *TINY, *flags) == 0
    return source, records, folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "flags", "status"),
    [
        ("build", ("--source=folder", "--input={source}", "--output={new}", "--workers=1"), 0),
        ("build", ("--source=folder", "--input={new}", "--output={new}2"), 2),
        ("train", ("--data_dir={records}", "--run_dir={run}", "--method=bas"), 2),
        ("train", ("--data_dir={new}", "--run_dir={new}"), 2),
        ("train", ("--flagfile={new}",), 2),
        ("train", (f"--method={HOSTILE}",), 2),
        ("train", (f"--{HOSTILE}=1",), 2),
        ("train", (HOSTILE,), 2),
        ("evaluate", ("--run_dir={run}", "--samples=0", f"--split={HOSTILE}"), 2),
        ("evaluate", ("--maps={source}", "--data_dir={records}"), 2),
        ("predict", ("--model={run}", "--output={new}", "{source}"), 0),
        ("predict", ("--model={run}", "--output={new}", "{broken}"), 3),
        ("predict", ("--model={new}", "--output={new}", "{source}"), 2),
        ("export", ("--run_dir={run}", "--output={broken}"), 2),
        ("convert", ("--from={broken}", "--to={new}.npz"), 2),
        ("classify", ("--run_dir={run}", "--output={new}.jsonl"), 0),
        ("report", ("--run_dir={new}",), 2),
    ],
)
def test_commands_print_hostile_names_as_escapes(hostile_run, tmp_path, capfd, command, flags, status):
    source, records, folder = hostile_run
    broken = tmp_path / f"broken{HOSTILE}.png"
    broken.write_bytes(b"no picture")
    places = {"source": source, "records": records, "run": folder, "broken": broken, "new": tmp_path / f"new{HOSTILE}"}
    capfd.readouterr()
    assert run(command, *(flag.format(**places) for flag in flags)) == status
    said = capfd.readouterr()
    assert not steers(without_bars(said.out)) and not steers(without_bars(said.err))
    lines = without_bars(said.out + said.err).splitlines()
    assert not [line for line in lines if line.startswith("z")], "a name has ended a line"
    assert "\\x1b" in said.out + said.err or status == 2


def test_lines_are_printed_in_one_place():
    """No print, and no write above progress bars, but those of terminal.py and of the summary of commands."""
    files = [*(ROOT / "e2wsol").rglob("*.py"), *(ROOT / "tfrecords").rglob("*.py")]
    found = {path.name for path in files if re.search(r"(?<![\w.])print\(|tqdm\.write\(|\btqdm\(", path.read_text())}
    assert found == {"terminal.py", "__main__.py"}


class Pipe(io.StringIO):
    """A stream that takes nothing; its number is that of a file."""

    def __init__(self, file, error):
        super().__init__()
        self.file, self.error = file, error

    def fileno(self):
        return self.file.fileno()

    def write(self, text):
        raise self.error


def test_a_pipe_that_nobody_reads_takes_all(tmp_path, monkeypatch):
    with open(tmp_path / "out", "w") as file:
        monkeypatch.setattr(sys, "stdout", Pipe(file, BrokenPipeError(32, "Broken pipe")))
        with terminal.safe_streams():
            terminal.say("a line")
            sys.stdout.flush()
            os.write(sys.stdout.fileno(), b"of a library")
    assert (tmp_path / "out").read_text() == ""


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    with open(tmp_path / "out", "w") as file:
        monkeypatch.setattr(sys, "stdout", Pipe(file, OSError(28, "No space left on device")))
        with terminal.safe_streams(), pytest.raises(OSError, match="No space left"):
            terminal.say("a line")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_become_the_null_device(tmp_path, closed):
    """A file that is opened later does not get what is printed."""
    code = (
        "import os, sys; from e2wsol import terminal; terminal.open_missing_streams();"
        f"file = open({str(tmp_path / 'mine')!r}, 'w'); file.write('mine'); file.close();"
        "print('out'); print('err', file=sys.stderr); os.write(2, b'lib'); sys.stdin.read(); sys.exit(file is None)"
    )
    command = f'exec "{sys.executable}" -c "$0" {closed}'
    done = subprocess.run(["bash", "-c", command, code], capture_output=True, stdin=subprocess.DEVNULL, cwd=ROOT)
    assert done.returncode == 0
    assert done.stdout == (b"" if ">&-" in closed.replace("2>&-", "") else b"out\n")
    assert done.stderr == (b"" if "2>&-" in closed else b"err\nlib")
    assert (tmp_path / "mine").read_text() == "mine"
