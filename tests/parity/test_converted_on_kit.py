"""Weights of cases through files in their authors' format and the convert command; of all: check.py --converted."""

import dgl_cases
import kit
import mnpo_network
import numpy as np
import pytest
from converted import through_the_command

from e2wsol import releases

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not kit.SHARED_KIT.is_dir(), reason="the parity kit is not at ../shared/parity"),
]
BUILDS = {
    "mnpo_vgg16_cub": mnpo_network.build,
    "dgl_vgg16_ilsvrc": lambda case: dgl_cases.build(case, case["parameters"]),
}


@pytest.mark.parametrize("name", BUILDS)
def test_weights_and_outputs_are_those_of_the_case(name, monkeypatch):
    """The outputs are compared on the way, to the bit: see converted.through_the_command."""
    if "mnpo" in name:
        pytest.importorskip("torch", reason="PyTorch files need PyTorch")
    case, _ = kit.load(kit.SHARED_KIT / name)
    expected = {path: np.asarray(value) for path, value in releases.variables(BUILDS[name](case)[0]).items()}
    went = []
    monkeypatch.setattr(kit, "through", lambda *given: went.append(1) or through_the_command(*given))
    found = releases.variables(BUILDS[name](case)[0])
    assert went and found.keys() == expected.keys()
    for path, value in found.items():
        np.testing.assert_array_equal(np.asarray(value), expected[path])
