"""What runs on any backend of Keras names none, and imports no TensorFlow; what cannot do without says so."""

import ast
import os
import pathlib
import subprocess
import sys

import pytest

import e2wsol
from e2wsol import quiet_tensorflow
from e2wsol.errors import UserError

PACKAGE = pathlib.Path(e2wsol.__file__).parent
FOLDERS = ("methods", "localizers", "backbones", "layers")
FILES = sorted(file for folder in FOLDERS for file in (PACKAGE / folder).rglob("*.py"))
BACKENDS = {"tensorflow", "torch", "jax"}
# Keras has no vector-Jacobian product, no compiled function and no fused batch normalization, so these call the backend
# in use, and import no other. JAX needs no call for the last.
BY_NAME = {
    PACKAGE / "backend_calls" / "compiled.py": BACKENDS,
    PACKAGE / "backend_calls" / "pullback.py": BACKENDS,
    PACKAGE / "backend_calls" / "fused_normalization.py": {"tensorflow", "torch"},
}


def imported(file):
    """Full names of all modules that a file imports, at its top or inside; what type checkers alone see aside."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_at_once(file):
    """Full names of the modules that importing a file imports."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def with_imports(file, seen, imported=imported):
    """Adds a file of the package to `seen`, and what it imports from the package, and so on."""
    if file not in seen:
        seen.add(file)
        for name in imported(file):
            path = PACKAGE.parent.joinpath(*name.split("."))
            for candidate in (path.with_suffix(".py"), path / "__init__.py"):
                if name.startswith("e2wsol") and candidate.exists():
                    with_imports(candidate, seen, imported)
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


@pytest.mark.parametrize("name", ["trained_run", "predict", "report", "localization/metrics", "training/optimizers"])
def test_the_python_api_is_imported_without_a_backend(name):
    needed = with_imports(PACKAGE / f"{name}.py", set(), imported_at_once)
    assert len(needed) > 3
    for file in needed:
        found = BACKENDS & {module.split(".")[0] for module in imported_at_once(file)}
        assert not found, f"{file.relative_to(PACKAGE)} imports {found}"


NEEDS_TENSORFLOW = ["train", "evaluate", "export", "convert", "classify", "pseudo_masks", "data_service"]


def started(command, **variables):
    """A command in a process of its own, its backend set by `variables` alone."""
    others = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    return subprocess.run(
        [sys.executable, "-m", f"e2wsol.{command}", "--help"], env=others | variables, capture_output=True, text=True
    )


@pytest.mark.parametrize("command", NEEDS_TENSORFLOW)
def test_a_command_that_needs_tensorflow_says_so_in_one_line(command):
    done = started(command, KERAS_BACKEND="torch")
    assert done.returncode == 2 and not done.stdout
    expected = "needs TensorFlow, and Keras runs on torch: set KERAS_BACKEND=tensorflow"
    assert done.stderr == f"error: {command} {expected}\n"


def test_where_keras_settings_name_another_backend_tensorflow_is_taken(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    done = started("evaluate", KERAS_HOME=str(tmp_path))
    assert done.returncode == 0 and "--run_dir" in done.stdout
    assert done.stderr == f"note: {tmp_path / 'keras.json'} sets backend=jax; evaluate uses tensorflow\n"


def test_the_backend_is_the_one_that_keras_takes(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert quiet_tensorflow.keras_backend() == "tensorflow"
    (tmp_path / "keras.json").write_text("{")
    assert quiet_tensorflow.keras_backend() == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    assert quiet_tensorflow.keras_backend() == "torch"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert quiet_tensorflow.keras_backend() == "jax"


def test_where_tensorflow_is_missing_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # as if it were not installed
    with pytest.raises(UserError, match=r"^a SavedModel needs TensorFlow, which is not installed: pip install tensorf"):
        quiet_tensorflow.tensorflow("a SavedModel")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(UserError, match=r"^evaluate needs .* on jax: pip install tensorflow and set KERAS_BACKEND"):
        quiet_tensorflow.require("evaluate")


def test_the_files_are_found():
    assert PACKAGE / "methods" / "bas.py" in FILES and len(FILES) > 15
    # What runs on TensorFlow is seen as such.
    assert "tensorflow" in set(imported(PACKAGE / "training" / "loop.py"))
    assert PACKAGE / "config.py" in with_imports(PACKAGE / "methods" / "bas.py", set())
