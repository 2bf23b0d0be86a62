"""What does not fit exactly is refused by name."""

import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_networks import RELEASED, namings, released, shapes

from e2wsol.errors import UserError
from e2wsol.releases import matching
from e2wsol.releases.formats.source import OpenCheckpoint

pytestmark = pytest.mark.slow  # networks of ten kinds
NAMES = [name for name in RELEASED if name not in ("mnpos", "spol_seg")]  # named as mnpo and spol_cam


def source(naming, tensors):
    """An OpenCheckpoint of {name: array} without a file."""
    return OpenCheckpoint(
        path=pathlib.Path("made_up"),
        container=naming.container,
        kind="made-up file",
        shapes={name: value.shape for name, value in tensors.items()},
        dtypes={name: value.dtype.name for name, value in tensors.items()},
        notes=(),
        fetch=tensors.__getitem__,
    )


def whole(naming):
    """Every tensor that the authors' network registers, in their order."""
    return {entry.theirs: np.zeros(entry.shape, np.float32) for entry in naming.entries}


def drawn(data):
    """(name of a network of RELEASED, one of its TensorNamings)."""
    name = data.draw(st.sampled_from(NAMES))
    return name, data.draw(st.sampled_from(namings(name)))


def refused(name, tensors, naming):
    """The UserError's text for a network of RELEASED and a file of these tensors."""
    report = matching.best_match(source(naming, tensors), [naming], shapes(released(name)))
    with pytest.raises(UserError) as caught:
        report.require_no_faults("FILE")
    return str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_file_is_accounted_for(name):
    variables = shapes(released(name))
    for naming in namings(name):
        report = matching.match(source(naming, whole(naming)), naming, variables)
        report.require_no_faults("FILE")
        assert {pair.ours for pair in report.used} == variables.keys()
        assert {pair.theirs for pair in report.used} | report.ignored.keys() == whole(naming).keys()
        assert len(report.text().splitlines()) == len(report.used) + len(report.ignored) + 1


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_missing_tensor_is_named(data):
    name, naming = drawn(data)
    lost = data.draw(st.sampled_from(naming.pairs))
    tensors = whole(naming)
    del tensors[lost.theirs]
    assert f"{lost.theirs}: missing (our {lost.ours})" in refused(name, tensors, naming)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_an_extra_tensor_is_named(data):
    name, naming = drawn(data)
    copied = data.draw(st.sampled_from(naming.pairs)).theirs
    extra = data.draw(st.sampled_from([f"{copied}_", f"x.{copied}", copied.swapcase()]))
    tensors = whole(naming) | {extra: np.zeros(3, np.float32)}
    assert f"{extra}: unexpected" in refused(name, tensors, naming)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_wrong_shape_is_named(data):
    name, naming = drawn(data)
    pair = data.draw(st.sampled_from(naming.pairs))
    axis = data.draw(st.integers(0, len(pair.shape) - 1))
    shape = tuple(side + (number == axis) for number, side in enumerate(pair.shape))
    tensors = whole(naming) | {pair.theirs: np.zeros(shape, np.float32)}
    assert f"{pair.theirs}: shape {shape}, the network needs {pair.shape}" in refused(name, tensors, naming)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_exchanged_names_of_equal_shapes_are_named_in_pytorch_files(data):
    """A PyTorch file keeps its network's order; what else could tell two tensors of one shape apart?"""
    name = data.draw(st.sampled_from([name for name in NAMES if namings(name)[0].ordered]))
    naming = data.draw(st.sampled_from(namings(name)))
    by_shape = {}
    for pair in naming.pairs:
        by_shape.setdefault(pair.shape, []).append(pair.theirs)
    group = data.draw(st.sampled_from([names for names in by_shape.values() if len(names) > 1]))
    shuffled = data.draw(st.permutations(group).filter(lambda names: names != group))
    new_name = dict(zip(group, shuffled))
    tensors = {new_name.get(theirs, theirs): value for theirs, value in whole(naming).items()}
    said = refused(name, tensors, naming)
    first = next(theirs for theirs in group if new_name[theirs] != theirs)
    assert f"{new_name[first]}: stands where {first} belongs" in said
    report = matching.match(source(naming, tensors), naming, shapes(released(name)), any_order=True)
    assert not report.faults


@pytest.mark.parametrize("name", ["bas_resnet50", "mnpo"])
def test_statistics_may_stand_first_in_every_module_as_in_old_files(name):
    naming = namings(name)[0]
    modules = {}
    for theirs, value in whole(naming).items():
        modules.setdefault(theirs.rpartition(".")[0], {})[theirs.rpartition(".")[2]] = value
    first = ("running_mean", "running_var", "weight", "bias")
    old = {f"{module}.{leaf}": leaves[leaf] for module, leaves in modules.items() for leaf in first if leaf in leaves}
    assert list(old) != [theirs for theirs in whole(naming) if theirs in old]
    assert not matching.match(source(naming, old), naming, shapes(released(name))).faults
    one = next(theirs for theirs in old if theirs.endswith("running_mean"))
    moved = {theirs: value for theirs, value in old.items() if theirs != one} | {one: old[one]}
    assert "stands where" in refused(name, moved, naming)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_renamed_tensors_are_named(data):
    """Names of different shapes exchanged, whatever the format: both are."""
    name = data.draw(st.sampled_from(NAMES))
    naming = namings(name)[0]
    first = data.draw(st.sampled_from(naming.pairs))
    second = data.draw(st.sampled_from([pair for pair in naming.pairs if pair.shape != first.shape]))
    tensors = whole(naming)
    tensors[first.theirs], tensors[second.theirs] = tensors[second.theirs], tensors[first.theirs]
    said = refused(name, tensors, naming)
    assert f"{first.theirs}: shape {second.shape}" in said and f"{second.theirs}: shape {first.shape}" in said


def test_integers_and_numbers_that_are_not_finite_are_refused():
    naming = namings("mnpo")[0]
    pair = naming.pairs[4]
    assert f"{pair.theirs}: int64, not floating-point numbers" in refused(
        "mnpo", whole(naming) | {pair.theirs: np.zeros(pair.shape, np.int64)}, naming
    )
    tensors = whole(naming) | {pair.theirs: np.full(pair.shape, np.nan, np.float32)}
    report = matching.match(source(naming, tensors), naming, shapes(released("mnpo")))
    with pytest.raises(UserError, match=f"made_up: {pair.theirs} holds numbers that are not finite"):
        matching.values(source(naming, tensors), report)
    pair = next(pair for pair in naming.pairs if pair.theirs.endswith("running_var"))
    tensors = whole(naming) | {pair.theirs: np.full(pair.shape, -0.1, np.float32)}
    with pytest.raises(UserError, match=f"{pair.theirs} holds negative variances; were names exchanged"):
        matching.values(source(naming, tensors), report)


def test_the_naming_with_the_fewest_faults_counts():
    names = namings("bas_inception_v3")
    assert len(names) == 2
    for naming in names:
        report = matching.best_match(source(naming, whole(naming)), names, shapes(released("bas_inception_v3")))
        assert report.naming == naming and not report.faults


@pytest.mark.parametrize("name", NAMES)
def test_written_back_it_is_what_was_read(name):
    rng = np.random.default_rng(0)
    for naming in namings(name):
        tensors = {
            entry.theirs: rng.standard_normal(entry.shape).astype(np.float32)
            for entry in naming.entries
            if hasattr(entry, "ours")
        }
        held = {pair.ours: pair.to_ours(tensors[pair.theirs]) for pair in naming.pairs}
        back = matching.authors_tensors(naming, held)
        assert list(back) == [naming.prefix + entry.theirs for entry in naming.entries]
        for theirs, value in tensors.items():
            np.testing.assert_array_equal(back[naming.prefix + theirs], value)
        for entry in naming.entries:
            value = back[naming.prefix + entry.theirs]
            assert value.shape == tuple(entry.shape)
            if getattr(entry, "copy_of", None):
                np.testing.assert_array_equal(value, tensors[entry.copy_of])
            elif not hasattr(entry, "ours"):
                assert value.dtype == np.int64 and not value.any()
