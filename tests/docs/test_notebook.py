"""The notebooks run from top to bottom; what they claim of accuracy and boxes, their own cells assert."""

import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"
# The files that each leaves, and the pictures that it shows.
LEFT = {
    "keras_first_steps": (("exported/saved_model.pb", "first_steps.keras"), 1),
    "your_own_photos": (("photos.keras",), 1),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning:zmq", "ignore::ResourceWarning")
@pytest.mark.parametrize("name", LEFT)
def test_notebook_runs(name, tmp_path, monkeypatch):
    import nbclient
    import nbformat

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    assert sum("assert" in cell.source for cell in notebook.cells) >= 2
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()  # raises where a cell does
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert [output.get("text") for output in outputs if output.get("name") == "stderr"] == []
    files, images = LEFT[name]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == images
    assert all((tmp_path / file).is_file() for file in files)


@pytest.mark.parametrize("name", LEFT)
def test_committed_notebook_is_small_and_without_errors(name):
    import nbformat

    file = NOTEBOOKS / f"{name}.ipynb"
    assert file.stat().st_size < 200_000
    notebook = nbformat.read(file, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert outputs and not [output for output in outputs if output["output_type"] == "error"]


def test_every_notebook_is_run():
    assert {file.stem for file in NOTEBOOKS.glob("*.ipynb")} == set(LEFT)


def test_own_photos_take_twenty_lines():
    """The user's lines of the training and the box, drawings and checks aside."""
    import nbformat

    notebook = nbformat.read(NOTEBOOKS / "your_own_photos.ipynb", as_version=4)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    wanted = [source for source in cells if "e2wsol.CAM(" in source or "e2wsol.load(model)" in source]
    assert len(wanted) == 2
    assert sum(len([line for line in source.splitlines() if line.strip()]) for source in wanted) <= 20
