"""Follows a page of docs literally: what its fenced blocks say is written, inserted, executed and compared.

A block means what stands above it:
  `path`:                          a file, as a whole
  In `path`, below `line`:         lines to put below that line
  In `path`, instead of `line`:    lines to put in its place
  ```bash                          commands, run in the project's root; `python` is this interpreter
  ```text right below ```bash      what the commands print: numbers may differ, `...` stands for any lines
"""

import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
_BLOCK = re.compile(r"(?P<above>[^\n]*)\n+```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"`(?P<path>[^`]+)`:")
_EDIT = re.compile(r"In `(?P<path>[^`]+)`, (?P<how>below|instead of) `(?P<line>[^`]+)`:")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block: the line above it, its language, its text."""

    above: str
    language: str
    text: str


def blocks(page):
    """The `Block`s of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = [Block(**match.groupdict()) for match in _BLOCK.finditer(text)]
    assert 2 * len(found) == len(re.findall("^ *```", text, re.MULTILINE)), "a block that is not understood"
    return found


def copy_project(target):
    """Copies the files of the working tree that git knows or would take, and numba's machine code beside them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = {pathlib.Path(os.fsdecode(name)) for name in listed.stdout.split(b"\0") if name}
    # Compiling the kernels takes ten seconds; numba keeps them by their source's name and time, which are copied.
    kernels = {file.relative_to(ROOT) for file in (ROOT / "e2wsol").rglob("__pycache__/*.nb?")}
    for name in sorted(names | kernels):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def follow(page, root):
    """Does what the page says in the copy of the project at `root`; asserts that it works."""
    printed = None
    for block in blocks(page):
        if block.language == "bash":
            printed = run(block.text, root)
        elif match := _EDIT.fullmatch(block.above):
            edit(root / match["path"], match["line"], block.text, keep=match["how"] == "below")
        elif match := _FILE.fullmatch(block.above):
            (root / match["path"]).parent.mkdir(parents=True, exist_ok=True)
            assert not (root / match["path"]).exists(), f"{match['path']} is there already"
            (root / match["path"]).write_text(block.text, encoding="utf-8")
        else:
            assert block.language == "text" and not block.above and printed is not None, block
            assert prints_like(block.text, printed), f"the page shows\n{block.text}\nbut it printed\n{printed}"
            printed = None


def edit(path, line, text, *, keep):
    """Puts `text` below the only line of the file that reads `line`, or in its place."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    (at,) = [number for number, each in enumerate(lines) if each.strip() == line]
    lines[at : at + 1] = [lines[at], text] if keep else [text]
    path.write_text("".join(lines), encoding="utf-8")


def run(commands, root):
    """What the commands print on standard output; they have to succeed."""
    interpreter = shlex.quote(sys.executable)
    script = f'set -euo pipefail\npython() {{ {interpreter} "$@"; }}\n{commands}'
    environment = os.environ | {"PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": "", "PYTEST_ADDOPTS": ""}
    done = subprocess.run(["bash", "-c", script], cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def prints_like(shown, printed):
    """Whether `printed` is what a page shows, numbers and widths of columns aside."""
    parts = [[_shape(line) for line in part.splitlines()] for part in re.split(r"^\.\.\.\n", shown, flags=re.MULTILINE)]
    pattern = r"(?:[^\n]*\n)*".join("".join(re.escape(line) + r"\n" for line in part) for part in parts)
    return re.fullmatch(pattern, "".join(_shape(line) + "\n" for line in printed.splitlines())) is not None


def _shape(line):
    return " ".join(re.sub(r"-?\d+(\.\d+)?", "#", line).split())
