"""Writing checkpoints: what is read back is what was given, to the bit."""

import io
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from e2wsol.errors import UserError
from e2wsol.releases.reading import open_checkpoint
from e2wsol.releases.writing import write_npz, write_pytorch

TENSORS = {
    "layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3).T / 7,  # not contiguous
    "layer.num_batches_tracked": np.array(2**62 + 1, np.int64),
    "empty": np.zeros((0, 4), np.float32),
    "file": np.array(-0.0, np.float32),  # a name that np.savez would take for its own
}


@pytest.fixture(params=["pytorch", "npz"])
def write(request):
    if request.param == "pytorch":
        pytest.importorskip("torch")
    return {"pytorch": write_pytorch, "npz": write_npz}[request.param]


def assert_holds(source, tensors):
    assert list(source.shapes) == list(tensors)
    for name, value in tensors.items():
        found = source.read(name)
        assert found.shape == source.shapes[name] == value.shape
        assert found.dtype.name == source.dtypes[name] == value.dtype.name
        assert found.tobytes() == value.tobytes()


def test_round_trip(write, tmp_path):
    write(tmp_path / "new" / "file", TENSORS)
    with open_checkpoint(tmp_path / "new" / "file") as source:
        assert_holds(source, TENSORS)
        assert source.notes == ()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.sampled_from([np.float32, np.int64]).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    )
)
def test_any_array_comes_back_to_the_bit(write, tmp_path, value):
    write(tmp_path / "file", {"value": value})
    with open_checkpoint(tmp_path / "file") as source:
        assert_holds(source, {"value": value})


def test_libraries_read_what_is_written(tmp_path):
    torch = pytest.importorskip("torch")
    write_pytorch(tmp_path / "a.pth", TENSORS, wrapper="state_dict")
    content = torch.load(tmp_path / "a.pth", weights_only=True)
    assert list(content) == ["state_dict"] and list(content["state_dict"]) == list(TENSORS)
    np.testing.assert_array_equal(content["state_dict"]["layer.weight"].numpy(), TENSORS["layer.weight"])
    write_npz(tmp_path / "a.npz", TENSORS)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as content:
        assert content.files == list(TENSORS)
        np.testing.assert_array_equal(content["layer.weight"], TENSORS["layer.weight"])


def test_wrapper_is_found_again(tmp_path):
    pytest.importorskip("torch")
    write_pytorch(tmp_path / "a", TENSORS, wrapper="model")
    with open_checkpoint(tmp_path / "a") as source:
        assert_holds(source, TENSORS)


def test_written_alone_and_the_same_every_time(write, tmp_path):
    for folder in "ab":
        write(tmp_path / folder / "file", TENSORS)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]
    assert (tmp_path / "a" / "file").read_bytes() == (tmp_path / "b" / "file").read_bytes()
    assert b".tmp-" not in (tmp_path / "a" / "file").read_bytes()


def test_arrays_of_objects_are_refused_and_the_old_file_stays(tmp_path):
    write_npz(tmp_path / "a.npz", TENSORS)
    with pytest.raises(ValueError, match="Object arrays"):
        write_npz(tmp_path / "a.npz", {"a": np.zeros(3), "bad": np.array([object()])})
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    with open_checkpoint(tmp_path / "a.npz") as source:
        assert_holds(source, TENSORS)


def test_values_may_be_read_only(write, tmp_path):
    value = np.frombuffer(io.BytesIO(np.arange(4, dtype=np.float32)).getvalue(), np.float32)
    write(tmp_path / "file", {"a": value})
    with open_checkpoint(tmp_path / "file") as source:
        assert_holds(source, {"a": value})


def test_pytorch_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"a\.pth: a PyTorch file; writing it needs PyTorch: pip install 'e2wsol\[con"):
        write_pytorch(tmp_path / "a.pth", TENSORS)
    assert list(tmp_path.iterdir()) == []
