"""docs/architecture.md is what the code is: every module has a layer, and imports go downwards only."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = sorted((ROOT / "e2wsol").rglob("*.py"))
KERAS_ALONE = ("methods", "localizers", "backbones", "layers")


def layers():
    """{module or package below e2wsol: number of its layer from the top}."""
    table = PAGE.split("## Layers")[1].split("## Contracts")[0]
    rows = [line.split("|")[2] for line in table.splitlines() if line.startswith("| ") and "`" in line]
    return {name: number for number, row in enumerate(rows) for name in re.findall(r"`([\w.]+)`", row)}


def place(path):
    """The name in the table that a file belongs to: its package below e2wsol, or its own name."""
    return path.relative_to(ROOT / "e2wsol").parts[0].removesuffix(".py")


def imports(path):
    """Names below e2wsol that a file imports at any place, those for type checkers aside."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "e2wsol":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] == "e2wsol" and len(parts) > 1:
                    yield parts[1]


def test_every_module_has_a_layer():
    known = layers()
    found = {place(path) for path in FILES} - {"__init__"}
    assert found == set(known) - {"tfrecords.build"}
    for name in re.findall(r"`([\w/]+\.py)`", PAGE):
        assert (ROOT / "e2wsol" / name).is_file() or (ROOT / name).is_file(), name


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name != "__init__.py" or path.parent != ROOT / "e2wsol"]
)
def test_imports_go_downwards(path):
    known, own = layers(), place(path)
    for name in imports(path):
        if name in known and name != own:
            assert known[name] >= known[own], f"{path}: imports {name}, which lies above"


@pytest.mark.parametrize("path", [path for path in FILES if place(path) in KERAS_ALONE], ids=str)
def test_networks_use_keras_alone(path):
    assert not re.search(r"^\s*(import|from) tensorflow", path.read_text(encoding="utf-8"), re.MULTILINE)
