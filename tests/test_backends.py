"""Methods, localizers, backbones and layers name no backend of Keras, so they run on any; backend_calls does."""

import ast
import pathlib

import pytest

import e2wsol

PACKAGE = pathlib.Path(e2wsol.__file__).parent
FOLDERS = ("methods", "localizers", "backbones", "layers")
FILES = sorted(file for folder in FOLDERS for file in (PACKAGE / folder).rglob("*.py"))
BACKENDS = {"tensorflow", "torch", "jax"}
# Keras has no vector-Jacobian product and no fused batch normalization, so these call the backend in use, and import
# no other. JAX needs no call for the second.
BY_NAME = {
    PACKAGE / "backend_calls" / "pullback.py": BACKENDS,
    PACKAGE / "backend_calls" / "fused_normalization.py": {"tensorflow", "torch"},
}


def imported(file):
    """Full names of all modules that a file imports, at its top or inside."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def with_imports(file, seen):
    """Adds a file of the package to `seen`, and what it imports from the package, and so on."""
    if file not in seen:
        seen.add(file)
        for name in imported(file):
            path = PACKAGE.parent.joinpath(*name.split("."))
            for candidate in (path.with_suffix(".py"), path / "__init__.py"):
                if name.startswith("e2wsol") and candidate.exists():
                    with_imports(candidate, seen)
    return seen


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_backend_is_imported(file):
    for needed in with_imports(file, set()) - BY_NAME.keys():
        found = BACKENDS & {name.split(".")[0] for name in imported(needed)}
        assert not found, f"{needed.relative_to(PACKAGE)} imports {found}"


@pytest.mark.parametrize(("file", "backends"), BY_NAME.items(), ids=lambda value: getattr(value, "stem", ""))
def test_backend_calls_import_backends_where_they_call_them(file, backends):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {name for name in imported(file) if name in BACKENDS} == backends
    top = ast.unparse([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)])
    assert not any(backend in top for backend in BACKENDS)
    assert {f"_{backend}" for backend in backends} <= functions.keys()


def test_the_files_are_found():
    assert PACKAGE / "methods" / "bas.py" in FILES and len(FILES) > 15
    # What runs on TensorFlow is seen as such.
    assert "tensorflow" in set(imported(PACKAGE / "training" / "loop.py"))
    assert PACKAGE / "config.py" in with_imports(PACKAGE / "methods" / "bas.py", set())
