"""Reading checkpoints of every kind: what is in them, and how it comes out."""

import os
import pathlib
import re

import made_checkpoints as made
import numpy as np
import pytest
from made_checkpoints import OLD, npy_member, state_dict

from e2wsol.errors import UserError
from e2wsol.releases.reading import open_checkpoint


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.mark.parametrize(("options", "kind"), [({}, "PyTorch file"), (OLD, "old PyTorch file")])
def test_pytorch_file(torch, tmp_path, options, kind):
    path = tmp_path / "net.pth.tar"
    torch.save(state_dict(torch), path, **options)
    with open_checkpoint(str(path)) as source:
        assert (source.path, source.container, source.kind, source.notes) == (path, "pytorch", kind, ())
        assert source.shapes == {"conv.weight": (2, 3), "bn.num_batches_tracked": ()}
        assert source.dtypes == {"conv.weight": "float32", "bn.num_batches_tracked": "int64"}
        np.testing.assert_array_equal(source.read("conv.weight"), np.arange(6.0).reshape(2, 3))
        assert source.read("bn.num_batches_tracked") == 2**40 + 1


def test_npz_file(tmp_path):
    path = tmp_path / "net.weights"
    tensors = {"conv/W:0": np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3)), "text": np.array(["a"])}
    path.write_bytes(made.npz_bytes(tensors))
    with open_checkpoint(path) as source:
        assert (source.container, source.kind, source.notes) == ("tensorflow", ".npz file", ("text",))
        assert source.shapes == {"conv/W": (2, 3)} and source.dtypes == {"conv/W": "float32"}
        value = source.read("conv/W")
        assert value.dtype == np.float32 and value.dtype.isnative and value.flags["C_CONTIGUOUS"]
        np.testing.assert_array_equal(value, np.arange(6).reshape(2, 3))


def test_npz_file_that_python_2_wrote(tmp_path):
    content = np.lib.format.magic(1, 0) + (70).to_bytes(2, "little")
    content += b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }".ljust(69) + b"\n" + bytes(8)
    with open_checkpoint(made.zip_of(tmp_path / "a.npz", {"a.npy": content})) as source:
        np.testing.assert_array_equal(source.read("a"), [0, 0])


@pytest.mark.parametrize("named", ["model-1", "model-1.index", "model-1.data-00000-of-00001", "model-1.meta", ""])
def test_tensorflow_checkpoint(tmp_path, named):
    made.tensorflow_checkpoint(tmp_path / "log" / "model-1")
    with open_checkpoint(tmp_path / "log" / named) as source:
        assert (source.path, source.container) == (tmp_path / "log" / named, "tensorflow")
        assert source.kind == "TensorFlow checkpoint"
        assert source.shapes == {"conv/W": (2, 3), "half": (2,), "step": ()}
        assert source.dtypes == {"conv/W": "float32", "half": "float32", "step": "int64"}
        for name, value in made.TENSORS.items():
            np.testing.assert_array_equal(source.read(name), value)


@pytest.mark.parametrize("named", ["net.ckpt", "net.ckpt.meta", ""])
def test_tensorflow_checkpoint_of_one_file(tmp_path, named):
    made.tensorflow_checkpoint(tmp_path / "log" / "net.ckpt", version=1)
    with open_checkpoint(tmp_path / "log" / named) as source:
        assert source.kind == "TensorFlow checkpoint" and source.shapes == {"conv/W": (2, 3), "step": ()}
        np.testing.assert_array_equal(source.read("conv/W"), made.TENSORS["conv/W"])


def test_folder_that_was_moved(tmp_path):
    """The file `checkpoint` names folders of the authors' machine."""
    made.tensorflow_checkpoint(tmp_path / "theirs" / "model-1")
    (tmp_path / "theirs").rename(tmp_path / "ours")
    assert str(tmp_path / "theirs") in (tmp_path / "ours" / "checkpoint").read_text()
    with open_checkpoint(tmp_path / "ours") as source:
        assert "conv/W" in source.shapes


def test_text_in_a_tensorflow_checkpoint_is_left_out(tmp_path):
    made.tensorflow_checkpoint(tmp_path / "model", extra={"words": np.array([b"a", b"b"])})
    with open_checkpoint(tmp_path / "model") as source:
        assert source.notes == ("words",) and "words" not in source.shapes


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "net", "network", "model_state_dict"])
@pytest.mark.parametrize("options", [{}, OLD])
def test_wrapped_state_dict(torch, tmp_path, wrapper, options):
    wrapped = {f"module.{name}": value for name, value in state_dict(torch).items()}
    content = {"epoch": 3, wrapper: wrapped, "optimizer": {"lr": 0.1}, "best_acc": torch.tensor(0.5)}
    torch.save(content, tmp_path / "a.pth", **options)
    with open_checkpoint(tmp_path / "a.pth") as source:
        assert list(source.shapes) == list(state_dict(torch))
        assert source.notes == ("epoch", "optimizer", "best_acc")


def test_values_among_the_tensors_become_notes(torch, tmp_path):
    content = {"a": torch.ones(2), "epoch": 3, "phase": torch.ones(2, dtype=torch.complex64), 5: torch.ones(1)}
    torch.save(content, tmp_path / "a.pth")
    with open_checkpoint(tmp_path / "a.pth") as source:
        assert list(source.shapes) == ["a"] and source.notes == ("epoch", "phase", "5")


def test_state_of_a_training_with_an_old_optimizer(torch, tmp_path):
    """PyTorch before 1.5 numbered parameters by their addresses, far beyond the file's size."""
    state = {140231111111111: {"momentum_buffer": torch.ones(2)}}
    content = {"state_dict": state_dict(torch), "optimizer": {"state": state, "params": [140231111111111]}}
    torch.save(content, tmp_path / "a.pth", **OLD)
    with open_checkpoint(tmp_path / "a.pth") as source:
        assert list(source.shapes) == list(state_dict(torch))


@pytest.mark.parametrize("options", [{}, OLD])
def test_floats_become_float32_and_integers_stay(torch, tmp_path, options):
    kinds = ["float16", "bfloat16", "float64", "float32", "uint8", "int16", "bool"]
    content = {kind: torch.tensor([0, 1, 3]).to(getattr(torch, kind)) for kind in kinds}
    content["parameter"] = torch.nn.Parameter(torch.tensor([0, 1, 3.0]))
    torch.save(content, tmp_path / "a.pth", **options)
    with open_checkpoint(tmp_path / "a.pth") as source:
        for name in content:
            expected = "float32" if "float" in name or name == "parameter" else name
            assert source.read(name).dtype.name == source.dtypes[name] == expected
            assert source.read(name).tolist() == [0, 1, 1 if name == "bool" else 3]


def test_values_beyond_float32_are_not_made_infinite(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([1e300]), b=np.array([np.inf, np.nan, 1e-300]))
    with open_checkpoint(tmp_path / "a.npz") as source:
        np.testing.assert_array_equal(source.read("b"), np.array([np.inf, np.nan, 0], np.float32))
        with pytest.raises(UserError, match=r"a\.npz: a holds float64 values beyond float32"):
            source.read("a")


@pytest.mark.parametrize("options", [{}, OLD])
def test_read_gives_an_own_copy(torch, tmp_path, options):
    torch.save({"a": torch.ones(3)}, tmp_path / "a.pth", **options)
    with open_checkpoint(tmp_path / "a.pth") as source:
        source.read("a")[:] = 7
        np.testing.assert_array_equal(source.read("a"), 1)
        with pytest.raises(KeyError):
            source.read("b")


def test_shapes_need_no_values(torch, tmp_path, monkeypatch):
    """Neither .npz files' values are unpacked, nor those of PyTorch's zip container read into memory."""
    monkeypatch.setattr(np.lib.format, "read_array", None)
    with open_checkpoint(made.zip_of(tmp_path / "a.npz", {"a.npy": npy_member((4,), bytes(16))})) as source:
        assert source.shapes == {"a": (4,)}
    torch.save({"a": torch.ones(1 << 22)}, tmp_path / "a.pth")
    before = os.stat(tmp_path / "a.pth").st_size
    with open_checkpoint(tmp_path / "a.pth") as source:
        mapped = re.search(r"a\.pth\n(?:.*\n)*?Rss: +(\d+) kB", pathlib.Path("/proc/self/smaps").read_text())
        assert source.shapes == {"a": (1 << 22,)} and int(mapped[1]) * 1024 < before / 4


@pytest.mark.parametrize("core", ["_core", "core"])
def test_numpy_numbers_beside_the_tensors_are_notes(torch, tmp_path, core):
    """As training scripts store their best score, under NumPy's names of before and after 2.0."""
    path = tmp_path / "x.pth"
    content = {"state_dict": {"a": torch.ones(2)}, "best_acc": np.float64(3.5), "seen": np.int64(3)}
    torch.save(content, path, **(OLD if core == "core" else {}))
    if core == "core":
        path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    with open_checkpoint(path) as source:
        assert source.shapes == {"a": (2,)} and source.notes == ("best_acc", "seen")


def test_a_pytorch_that_runs_code_of_files_is_refused(torch, tmp_path, monkeypatch):
    torch.save({"a": torch.ones(2)}, tmp_path / "x.pth")
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    message = r"x\.pth: PyTorch 2\.5\.1\+cpu can be made to run code of a file; 2\.6 or later is needed"
    with pytest.raises(UserError, match=message), open_checkpoint(tmp_path / "x.pth"):
        pass
