"""Putting a case's weights into a model, on made-up cases with the names of the releases."""

import kit
import numpy as np
import pytest

from e2wsol import methods, releases
from e2wsol.backbones import BackboneOptions
from e2wsol.methods.bas import BASOptions


@pytest.fixture(scope="module")
def model():
    """BAS on a network with copies that own statistics: ILSVRC's."""
    return methods.create(
        "bas",
        backbone=BackboneOptions(backbone="mobilenet_v1", backbone_width=0.05),
        image_size=32,
        num_classes=3,
        options=[BASOptions(erased_statistics="own")],
    )


@pytest.fixture
def case(model):
    shapes = {path: tuple(variable.shape) for path, variable in releases.variables(model).items()}
    (naming,) = releases.namings("bas", "mobilenet_v1", shapes)
    parameters = [{"name": entry.theirs, "shape": list(entry.shape)} for entry in naming.entries]
    return {"parameters": parameters, "seed": 3, "layout": "torch", "scale": {"model.0.0.weight": 2.0}}


def test_every_variable_gets_the_cases_value(model, case):
    variables = kit.fill(model, case)
    assert {id(variable) for variable in variables.values()} == {id(variable) for variable in model.variables}
    order = [entry["name"] for entry in case["parameters"]]
    assert list(variables) == [name for name in order if name in variables]
    values = kit.parameters(case)
    np.testing.assert_array_equal(variables["model.3.0.weight"][1, 2, :, 0], values["model.3.0.weight"][:, 0, 1, 2])
    np.testing.assert_array_equal(variables["model.3.3.weight"][0, 0, 4, 2], values["model.3.3.weight"][2, 4, 0, 0])
    own, main = "erase_branch.12.1.running_mean", "model.12.1.running_mean"
    np.testing.assert_array_equal(variables[own], values[own])
    assert variables[own].path == "erased_statistics/conv_dw_12_bn/moving_mean"
    assert not np.array_equal(values[own], values[main])
    pairs = kit.pairs(model, case["parameters"])
    assert pairs.keys() == variables.keys()
    for name, pair in pairs.items():
        np.testing.assert_array_equal(pair.to_theirs(variables[name]), values[name])


def test_other_parameters_than_the_cases_own(model, case):
    listed = case.pop("parameters")
    assert kit.fill(model, {**case, "parameters": []}, listed).keys() == kit.pairs(model, listed).keys()


def test_what_is_left_over_on_either_side(model, case):
    unknown = {**case, "parameters": [*case["parameters"], {"name": "model.14.0.weight", "shape": [4, 1, 3, 3]}]}
    with pytest.raises(ValueError, match=r"\['model.14.0.weight'\]"):
        kit.fill(model, unknown)
    with pytest.raises(ValueError, match=r"\['conv_dw_2/kernel'\]"):
        kit.fill(model, case, [entry for entry in case["parameters"] if entry["name"] != "model.2.0.weight"])
