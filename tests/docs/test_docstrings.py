"""Every public name is described with an example, and the examples run."""

import doctest
import inspect
import shutil

import keras
import numpy as np
import pytest

import e2wsol
from e2wsol.data import dataset, schema

# Exceptions, and what other public names' examples show.
WITHOUT_EXAMPLE = {"UserError", "ArgumentError", "ExportedModel", "__version__"}
# The method classes: their arguments differ, their use does not; the example stands at CAM's contract.
METHODS = {name for name in e2wsol.__all__ if e2wsol._MODULES.get(name, "").startswith("methods.")}
NAMES = sorted(set(e2wsol.__all__) - WITHOUT_EXAMPLE - METHODS)


@pytest.fixture(scope="module")
def workplace(tiny_run, tiny_records, tmp_path_factory):
    """A folder as the examples suppose it: runs/x, records/x, photo.jpg."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(tiny_run, folder / "runs" / "x", symlinks=True)
    shutil.copytree(tiny_records, folder / "records" / "x")
    files = list(dataset.load(str(tiny_records)).split("test").files)
    record = schema.parse(next(iter(tf.data.TFRecordDataset(files))))
    (folder / "photo.jpg").write_bytes(record["jpeg"].numpy())
    return folder


def examples(value, name):
    """The doctests in the docstrings of a function, or of a class and its own public members."""
    members = {}
    if inspect.isclass(value):
        members = {
            f"{name}.{key}": member
            for base in reversed(value.__mro__)
            if base.__module__.startswith("e2wsol")
            for key, member in vars(base).items()
            if not key.startswith("_")
        }
    finder = doctest.DocTestFinder(recurse=False)
    globs = {"e2wsol": e2wsol, "np": np, "keras": keras}
    found = []
    for title, member in {name: value, **members}.items():
        if inspect.getdoc(member) and ">>>" in member.__doc__:
            found += finder.find(member, title, globs=globs)
    return [each for each in found if each.examples]


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name, workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    found = examples(getattr(e2wsol, name), name)
    assert found, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    said = []
    for test in found:
        runner.run(test, out=said.append)
    assert not runner.summarize(verbose=False).failed, "".join(said)


def test_the_methods_contract_has_an_example(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    found = [each for each in examples(e2wsol.CAM.__mro__[1], "Method") if each.name == "Method"]
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert found and not runner.run(found[0]).failed


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_says_what_it_is_and_what_it_takes(name):
    method = getattr(e2wsol, name)
    assert len(method.__doc__.splitlines()[0]) > 20
    taken = inspect.signature(method).parameters
    assert {"num_classes", "backbone", "image_size", "weights"} <= set(taken)
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in taken.values())
