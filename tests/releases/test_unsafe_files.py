"""Checkpoints that would run code, or take memory that they have no values for: refused before anything is done."""

import os
import pickle
import re
import zipfile

import made_checkpoints as made
import numpy as np
import pytest
from made_checkpoints import OLD, npy_member, refusal

from e2wsol.releases.reading import open_checkpoint


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("container", [made.zip_container, made.old_container, made.plain_pickle])
def test_pickle_that_calls_is_not_run(tmp_path, container, protocol):
    marker = tmp_path / "marker"
    attack = pickle.dumps({"state_dict": made.Call(os.system, f"touch {marker}")}, protocol)
    line = refusal(container(tmp_path / "net.pth", attack))
    if (protocol, container) == (0, made.plain_pickle):
        assert "not a checkpoint of a known kind" in line
    else:
        assert "holds more than tensors (global posix.system); files that would run code are not opened; save" in line
    assert not marker.exists()
    pickle.loads(attack)
    assert marker.exists(), "the attack is none"


@pytest.mark.parametrize("container", [made.zip_container, made.old_container])
def test_pytorchs_own_check_stands_behind_ours(torch, tmp_path, monkeypatch, container):
    marker = tmp_path / "marker"
    monkeypatch.setattr("e2wsol.releases.formats.pytorch.check_pickle", lambda *_, **__: None)
    attack = pickle.dumps({"state_dict": made.Call(os.system, f"touch {marker}")}, 2)
    assert "damaged, or holds more than tensors" in refusal(container(tmp_path / "net.pth", attack))
    assert not marker.exists()


def test_npz_that_calls_is_not_run(tmp_path):
    marker = tmp_path / "marker"
    np.savez(tmp_path / "a.npz", a=np.array([made.Call(os.system, f"touch {marker}")], object))
    assert "a holds pickled objects; files that would run code are not opened" in refusal(tmp_path / "a.npz")
    assert not marker.exists()
    np.load(tmp_path / "a.npz", allow_pickle=True)["a"]
    assert marker.exists(), "the attack is none"


@pytest.mark.parametrize("container", [made.zip_container, made.old_container])
@pytest.mark.parametrize(
    "pickled",
    [
        pytest.param(b"\x80\x02cbuiltins\nbytearray\nJ\x00\x00\x00\x40\x85R.", id="bytearray"),
        pytest.param(b"\x80\x02ctorch\nFloatTensor\nJ\x00\x00\x00\x40\x85R.", id="FloatTensor"),
        pytest.param(b"\x80\x02ctorch._utils\n_rebuild_sparse_tensor\n)R.", id="sparse"),
        pytest.param(b"\x80\x02(iposix\nsystem\n.", id="INST"),
        pytest.param(b"\x80\x02\x82\x01.", id="EXT1"),
        pytest.param(b"\x80\x02Pstorage\n.", id="PERSID"),
    ],
)
def test_pickle_of_more_than_tensors(tmp_path, container, pickled):
    """PyTorch itself would let the first ones pass, and take the memory that they ask for."""
    assert refusal(container(tmp_path / "a.pth", pickled)).startswith(": holds more than tensors (")


def test_every_entry_of_the_pickles_name_is_looked_at(tmp_path):
    """Of two entries with one name, PyTorch may take the other one."""
    path = made.zip_container(tmp_path / "a.pth", pickle.dumps(made.Call(os.system, "true"), 2))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("archive/data.pkl", pickle.dumps({}, 2))
    assert "global posix.system" in refusal(path)


@pytest.mark.parametrize("name", ["archive/code/model.py", "archive/constants.pkl"])
def test_torchscript(tmp_path, name):
    path = made.zip_container(tmp_path / "a.pt", pickle.dumps({}, 2), others=[name])
    assert "holds more than tensors (a TorchScript archive)" in refusal(path)


@pytest.mark.parametrize("options", [{}, OLD])
def test_pickled_module(torch, tmp_path, options):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "a.pth", **options)
    assert "holds more than tensors (global torch.nn.modules.linear.Linear)" in refusal(tmp_path / "a.pth")


def test_pickle_of_another_library(tmp_path):
    assert "a pickle that torch.save did not write" in refusal(made.plain_pickle(tmp_path / "a", pickle.dumps({}, 2)))


@pytest.mark.parametrize("shape", [(10**12,), (3,), (1 << 32, 1 << 32), (-4, -1), (2**64 + 4,)])
def test_npy_header_that_claims_another_size(tmp_path, monkeypatch, shape):
    monkeypatch.setattr(np.lib.format, "read_array", None)
    path = made.zip_of(tmp_path / "a.npz", {"a.npy": npy_member(shape, bytes(16))})
    assert f"damaged; a claims float32 {shape}, and has 16 bytes" in refusal(path)


def test_npz_bomb(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(80 << 20, np.uint8))
    assert f"would unpack to {(80 << 20) + 128} bytes" in refusal(tmp_path / "a.npz")


def test_zeros_are_no_bomb(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1 << 20, np.float32))
    assert (tmp_path / "a.npz").stat().st_size < (4 << 20) / 200
    with open_checkpoint(tmp_path / "a.npz") as source:
        np.testing.assert_array_equal(source.read("a"), 0)


def test_zip_container_that_is_compressed(tmp_path):
    path = made.zip_container(tmp_path / "a.pth", pickle.dumps({}, 2), zipfile.ZIP_DEFLATED)
    assert "archive/data.pkl is compressed in a way that such files are not" in refusal(path)


@pytest.mark.parametrize(
    ("claim", "line"),
    [
        ({"file_size": 10**9, "compress_size": 10**9}, "its members claim 1000000007 bytes and the file has"),
        ({"file_size": 10**9}, "archive/data.pkl is compressed in a way that such files are not"),
    ],
)
def test_zip_container_that_claims_more_than_the_file(tmp_path, claim, line):
    path = made.zip_container(tmp_path / "a.pth", pickle.dumps({}, 2))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/0", b"value")
        for field, value in claim.items():
            setattr(archive.infolist()[0], field, value)
    assert line in refusal(path)


def edited(torch, path, options, before, after):
    """torch.save's file of three floats with `before` in its pickle replaced by `after`."""
    torch.save({"a": torch.ones(3)}, path, **options)
    if options:
        content = path.read_bytes()
        assert content.count(before) == 1
        path.write_bytes(content.replace(before, after))
        return path
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if name.endswith("data.pkl"):
                assert content.count(before) == 1
            archive.writestr(name, content.replace(before, after))
    return path


@pytest.mark.parametrize(("options", "ending"), [({}, b"tq\x07Q"), (OLD, b"Ntq\x07Q")])
@pytest.mark.parametrize("number", [b"J\x00\x00\x00\x40", b"J\xff\xff\xff\xff", b"\x8a\x08" + b"\xff" * 7 + b"\x0f"])
def test_storage_that_claims_more_values_than_the_file_has_bytes(torch, tmp_path, monkeypatch, options, ending, number):
    path = edited(torch, tmp_path / "a.pth", options, b"K\x03" + ending, number + ending)
    monkeypatch.setattr(torch, "load", None)
    assert re.search(r"damaged; a tensor in it claims -?\d+ values and the file has \d+ bytes", refusal(path))


@pytest.mark.parametrize(("options", "ending"), [({}, b"tq\x07Q"), (OLD, b"Ntq\x07Q")])
def test_storage_whose_size_is_hidden(torch, tmp_path, monkeypatch, options, ending):
    path = edited(torch, tmp_path / "a.pth", options, b"K\x03" + ending, b"h\x05" + ending)
    monkeypatch.setattr(torch, "load", None)
    assert "holds more than tensors (a storage of unknown size)" in refusal(path)


def test_storages_that_claim_more_than_the_file_together(torch, tmp_path):
    path = edited(torch, tmp_path / "a.pth", OLD, b"K\x03Nt", b"M\x20\x01Nt")  # 288 values of 4 bytes
    assert 288 < path.stat().st_size < 4 * 288
    assert "the tensors claim more bytes than the file has" in refusal(path)


@pytest.mark.parametrize("options", [{}, OLD])
def test_tensor_that_repeats_its_values(torch, tmp_path, options):
    torch.save({"a": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "a.pth", **options)
    assert "its tensors claim 4000000000000 bytes" in refusal(tmp_path / "a.pth")


@pytest.mark.parametrize("options", [{}, OLD])
def test_tensor_beyond_its_storage(torch, tmp_path, options):
    path = edited(torch, tmp_path / "a.pth", options, b"K\x00K\x03\x85", b"K\x00J\x00\x00\x00\x7f\x85")
    assert "damaged" in refusal(path)


def test_tied_weights(torch, tmp_path):
    weight = torch.ones(1 << 12)
    torch.save({"a": weight, "b": weight, "c": weight[1:]}, tmp_path / "a.pth", **OLD)
    with open_checkpoint(tmp_path / "a.pth") as source:
        assert source.shapes == {"a": (4096,), "b": (4096,), "c": (4095,)}
