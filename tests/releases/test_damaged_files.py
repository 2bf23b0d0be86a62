"""Files that are damaged, of another kind, or not there: one line each."""

import datetime
import hashlib
import os
import pickle
import sys

import made_checkpoints as made
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_checkpoints import OLD, npy_member, refusal, state_dict

from e2wsol.errors import UserError
from e2wsol.releases.reading import open_checkpoint


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_published_sum_in_the_name(tmp_path, torch):
    torch.save(state_dict(torch), tmp_path / "a.pth")
    content = (tmp_path / "a.pth").read_bytes()
    right = tmp_path / f"resnet50-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    right.write_bytes(content)
    with open_checkpoint(right) as source:
        assert "conv.weight" in source.shapes
    wrong = tmp_path / "resnet50-19c8e357.pth"
    wrong.write_bytes(content)
    assert "damaged or another file; its name says SHA-256 19c8e357..." in refusal(wrong)


def test_pytorch_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for container in (made.zip_container, made.old_container):
        line = refusal(container(tmp_path / "a.pth", pickle.dumps({}, 2)))
        assert line == ": a PyTorch file; reading it needs PyTorch: pip install 'e2wsol[convert]'"


def test_nothing_of_use_in_a_pytorch_file(torch, tmp_path):
    cases = {
        "holds a list, not tensors by name": [torch.ones(2)],
        "holds no tensors by name; its keys are epoch, optimizer": {"epoch": 1, "optimizer": {}},
        "its keys are none": {},
        "several networks (model, net)": {"net": state_dict(torch), "model": state_dict(torch)},
        "holds two tensors a (module. does not count)": {"module.a": torch.ones(1), "a": torch.ones(1)},
    }
    for message, content in cases.items():
        torch.save(content, tmp_path / "a.pth")
        assert message in refusal(tmp_path / "a.pth")


def test_nothing_of_use_in_an_npz_file(tmp_path):
    two = {"a.npy": npy_member((1,), bytes(4)), "a:0.npy": npy_member((1,), bytes(4))}
    assert "holds two tensors a (:0 does not count)" in refusal(made.zip_of(tmp_path / "a.npz", two))
    np.savez(tmp_path / "b.npz", a=np.array(["text"]))
    assert "holds no arrays of numbers" in refusal(tmp_path / "b.npz")
    text = {"a.npy": b"text"}
    assert "damaged" in refusal(made.zip_of(tmp_path / "c.npz", text))


def test_parts_missing_of_a_tensorflow_checkpoint(tmp_path):
    prefix = made.tensorflow_checkpoint(tmp_path / "model")
    data = tmp_path / "model.data-00000-of-00001"
    whole = data.read_bytes()
    data.write_bytes(whole[:10])
    assert "its variables take 36 bytes, its files cannot hold them" in refusal(prefix)
    data.write_bytes(bytes(len(whole)))
    assert "damaged" in refusal(prefix)
    data.unlink()
    assert "its .data-00000-of-00001 file is missing beside model.index" in refusal(prefix)
    data.write_bytes(whole)
    (tmp_path / "model.index").unlink()
    assert "whose .index file is missing beside it" in refusal(data)
    assert "no such file" in refusal(prefix)
    assert "its file `checkpoint` names model, which is not there" in refusal(tmp_path)
    (tmp_path / "checkpoint").write_bytes(b"\xff\xfe text")
    assert refusal(tmp_path)


def test_files_of_no_use(tmp_path, monkeypatch):
    (tmp_path / "text.pth").write_text("not a checkpoint " * 50)
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "short.pth").write_bytes(b"P")
    (tmp_path / "zip.pth").write_bytes(b"PK\x03\x04" + bytes(40))
    os.mkfifo(tmp_path / "pipe")
    assert "not a checkpoint of a known kind; give a PyTorch file" in refusal(tmp_path / "text.pth")
    assert "an empty file" in refusal(tmp_path / "empty.pth")
    assert "not a checkpoint of a known kind" in refusal(tmp_path / "short.pth")
    assert "damaged or cut off" in refusal(tmp_path / "zip.pth")
    assert "not a regular file" in refusal(tmp_path / "pipe")
    assert "no such file" in refusal(tmp_path / "missing")
    assert "a folder without a TensorFlow `checkpoint` file" in refusal(tmp_path)

    def denied(path, *_):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("e2wsol.releases.formats.kinds.open", denied, raising=False)
    assert "cannot be read (Permission denied)" in refusal(tmp_path / "text.pth")


def test_odd_escape_in_a_name_warns_nobody(tmp_path):
    path = made.old_container(tmp_path / "a.pth", b"\x80\x02ctorch\nFloat\\qStorage\n.")
    assert "holds more than tensors (global torch.Float\\qStorage)" in refusal(path)


def test_name_with_escapes_stays_one_harmless_line(tmp_path):
    path = made.zip_of(tmp_path / "a.npz", {"a\n\x1b[31m.npy": npy_member((5,), b"")})
    assert "damaged; a [31m claims" in refusal(path)


VICTIMS = ["a.pth", "old.pth", "a.npz", "v2.index", "v2.data-00000-of-00001", "v1.ckpt", "a.tar", "a.tar.gz", "a.zip"]


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    """{file name: content} in one folder of valid files; the parts of a TensorFlow checkpoint lie together."""
    folder = tmp_path_factory.mktemp("whole")
    made.tensorflow_checkpoint(folder / "v2")
    made.tensorflow_checkpoint(folder / "v1.ckpt", version=1)
    (folder / "a.npz").write_bytes(made.npz_bytes())
    made.tar_of(folder / "a.tar", {"a.npz": made.npz_bytes()})
    made.tar_of(folder / "a.tar.gz", {"a.npz": made.npz_bytes()}, "w:gz")
    made.zip_of(folder / "a.zip", {"a.npz": made.npz_bytes()})
    try:
        import torch
    except ImportError:
        pass
    else:
        content = {"state_dict": {f"module.{name}": value for name, value in state_dict(torch).items()}, "epoch": 3}
        torch.save(content, folder / "a.pth")
        torch.save(content, folder / "old.pth", **OLD)
    return folder, {name: (folder / name).read_bytes() for name in VICTIMS if (folder / name).exists()}


@pytest.mark.parametrize("victim", VICTIMS)
@settings(max_examples=150, deadline=datetime.timedelta(seconds=20), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_gives_tensors_or_one_line(whole_files, victim, data):
    folder, contents = whole_files
    if victim not in contents:
        pytest.skip("needs PyTorch")
    content = bytearray(contents[victim])
    for _ in range(data.draw(st.integers(1, 3), "damages")):
        position = data.draw(st.integers(0, len(content) - 1), "position")
        if data.draw(st.booleans(), "cut"):
            content = content[: max(position, 1)]
        else:
            content[position] ^= data.draw(st.integers(1, 255), "flipped bits")
    try:
        (folder / victim).write_bytes(content)
        with open_checkpoint(folder / victim) as source:
            for name, shape in source.shapes.items():
                assert source.read(name).shape == shape
    except UserError as error:
        assert str(error).startswith(str(folder)) and str(error).isprintable()
    finally:
        (folder / victim).write_bytes(contents[victim])
