"""Archives that hold a checkpoint; and those that would write elsewhere, or fill the disk."""

import gzip
import io
import os
import stat
import tarfile
import tempfile
import zipfile

import numpy as np
import pytest
from made_checkpoints import TENSORS, npz_bytes, refusal, tar_of, tensorflow_checkpoint, zip_of

from e2wsol.releases.formats.source import expanded_limit
from e2wsol.releases.reading import open_checkpoint


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where archives are unpacked to: a folder that holds nothing but a test's own leftovers."""
    folder = tmp_path / "parent" / "temporary"
    folder.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == [] and list(folder.parent.iterdir()) == [folder], "left behind"


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz", "a.zip", "suffix.means.nothing"])
def test_archive_of_one_checkpoint(tmp_path, temporary, name):
    members = {"README": b"text", "net/weights.npz": npz_bytes()}
    if name.endswith("zip"):
        path = zip_of(tmp_path / name, members)
    else:
        path = tar_of(tmp_path / name, members, "w:gz" if name.endswith("gz") else "w")
    with open_checkpoint(path) as source:
        assert source.path == path and source.kind == ".npz file"
        np.testing.assert_array_equal(source.read("conv/W"), TENSORS["conv/W"])
        assert len(list(temporary.iterdir())) == 1


def test_slims_form_of_a_tar(tmp_path):
    file = tensorflow_checkpoint(tmp_path / "v1" / "inception_v3.ckpt", version=1)
    with tarfile.open(tmp_path / "inception_v3_2016_08_28.tar.gz", "w:gz") as archive:
        archive.add(file, "inception_v3.ckpt")
    with open_checkpoint(tmp_path / "inception_v3_2016_08_28.tar.gz") as source:
        assert source.container == "tensorflow" and source.shapes["conv/W"] == (2, 3)


def test_folder_of_a_training_in_a_tar(tmp_path):
    for step in (1, 2):
        tensorflow_checkpoint(tmp_path / "log" / f"model-{step}", extra={f"only_{step}": np.float32(1)})
    with tarfile.open(tmp_path / "log.tar", "w") as archive:
        archive.add(tmp_path / "log", "log")
    with open_checkpoint(tmp_path / "log.tar") as source:
        assert "only_2" in source.shapes
    os.remove(tmp_path / "log" / "checkpoint")
    with tarfile.open(tmp_path / "log.tar", "w") as archive:
        archive.add(tmp_path / "log", "log")
    assert "several checkpoints (log/model-1, log/model-2)" in refusal(tmp_path / "log.tar")


def test_pytorch_file_in_a_tar(tmp_path):
    torch = pytest.importorskip("torch")
    stream = io.BytesIO()
    torch.save({"state_dict": {"module.w": torch.ones(2, 3)}, "epoch": 3}, stream)
    with open_checkpoint(tar_of(tmp_path / "net.pth.tar", {"net.pth": stream.getvalue()})) as source:
        assert source.container == "pytorch" and source.shapes == {"w": (2, 3)} and source.notes == ("epoch",)


def test_none_and_several(tmp_path):
    assert "holds no checkpoint" in refusal(tar_of(tmp_path / "a.tar", {"a.txt": b"text", "empty": b""}))
    assert "holds no checkpoint" in refusal(zip_of(tmp_path / "a.zip", {"a.txt": b"text"}))
    two = zip_of(tmp_path / "b.zip", {"a.npz": npz_bytes(), "b.npz": npz_bytes()})
    assert "several checkpoints (a.npz, b.npz)" in refusal(two)


def test_message_names_archive_and_member(tmp_path):
    path = tar_of(tmp_path / "a.tar", {"bad.npz": npz_bytes({"a": np.array(["text"])})})
    assert refusal(path).startswith(" (bad.npz): holds no arrays of numbers")


@pytest.mark.parametrize(
    "name", ["/tmp/absolute.npz", "../outside.npz", "a/../../outside.npz", "..\\outside.npz", "C:\\a"]
)
@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_names_that_leave_the_folder(tmp_path, pack, name):
    path = pack(tmp_path / "a", {"inside.npz": npz_bytes(), name: npz_bytes()})
    assert f"its member {name} would lie outside" in refusal(path)


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_names_with_control_characters(tmp_path, pack):
    assert "control characters" in refusal(pack(tmp_path / "a", {"a\x1b[2J.npz": npz_bytes()}))


@pytest.mark.parametrize("name", ["d/" * 1000 + "a.npz", "n" * 300])
@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_names_that_no_folder_takes(tmp_path, pack, name):
    assert "has too long a name" in refusal(pack(tmp_path / "a", {name: npz_bytes()}))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar(tmp_path, kind):
    special = tarfile.TarInfo()
    special.type, special.linkname = kind, "inside.npz"  # a link that stays inside is refused as well
    path = tar_of(tmp_path / "a.tar", {"inside.npz": npz_bytes(), "special": special})
    assert "its member special is a link or a device" in refusal(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip(tmp_path, kind):
    special = zipfile.ZipInfo("special")
    special.external_attr = (kind | 0o777) << 16
    path = zip_of(tmp_path / "a.zip", {"inside.npz": npz_bytes(), special: b"/etc/passwd"})
    assert "its member special is a link or a device" in refusal(path)


def test_limits():
    assert expanded_limit(1) == 64 << 20
    assert expanded_limit(1 << 20) == 200 << 20
    assert expanded_limit(1 << 40) == 16 << 30


def test_bomb_in_a_tar(tmp_path):
    with gzip.open(tmp_path / "a.tar.gz", "wb", 1) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
        info = tarfile.TarInfo("zeros")
        info.size = expanded_limit(1) + 1
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    assert f"would unpack to more than {expanded_limit(1)} bytes" in refusal(tmp_path / "a.tar.gz")


def test_bomb_of_headers(tmp_path, monkeypatch):
    """Names and attributes that tarfile reads without asking are counted too."""
    monkeypatch.setattr("e2wsol.releases.formats.source._EXPANDED_ALWAYS", 1 << 20)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for i in range(400):
            info = tarfile.TarInfo(f"empty-{i}")
            info.pax_headers = {"comment": "c" * 4000}
            archive.addfile(info)
    assert "would unpack to more than" in refusal(tmp_path / "a.tar.gz")


def test_sparse_member_counts_as_what_it_claims(tmp_path):
    info = tarfile.TarInfo("sparse")
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,0"}
    info.pax_headers |= {"GNU.sparse.size": str(1 << 40), "GNU.sparse.name": "sparse"}
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    assert "would unpack to more than" in refusal(tmp_path / "a.tar")


@pytest.mark.parametrize("claim", [2 << 20, -512])
def test_header_that_claims_too_much_or_less_than_nothing(tmp_path, claim):
    info = tarfile.TarInfo("header")
    info.type, info.size = tarfile.XHDTYPE, claim
    header = info.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a.tar").write_bytes(header + bytes(3 << 20))
    assert f"a header that claims {claim} bytes" in refusal(tmp_path / "a.tar")


def test_bomb_in_a_zip(tmp_path):
    path = zip_of(tmp_path / "a.zip", {"zeros": bytes(expanded_limit(1) + 1)})
    assert f"would unpack to {expanded_limit(1) + 1} bytes" in refusal(path)


def test_zip_whose_members_claim_more_than_the_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", b"text")
        archive.infolist()[0].compress_size = 1 << 20
    assert "claim 1048576 bytes and the file has" in refusal(tmp_path / "a.zip")


def test_zip_that_is_encrypted_or_packed_in_another_way(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.npz", npz_bytes())
        archive.infolist()[0].flag_bits |= 1
    assert "a.npz is encrypted" in refusal(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npz", npz_bytes())
    assert "a.npz is compressed in a way" in refusal(tmp_path / "b.zip")


def test_cut_off(tmp_path):
    path = tar_of(tmp_path / "a.tar.gz", {"a.npz": npz_bytes()}, "w:gz")
    path.write_bytes(path.read_bytes()[:-40])
    assert "damaged or cut off" in refusal(path)
    path = tar_of(tmp_path / "a.tar", {"a.npz": npz_bytes()})
    path.write_bytes(path.read_bytes()[:700])
    assert "damaged or cut off" in refusal(path)


def test_packed_file_without_a_tar(tmp_path):
    with gzip.open(tmp_path / "a.npz.gz", "wb") as file:
        file.write(npz_bytes())
    assert "not a checkpoint of a known kind" in refusal(tmp_path / "a.npz.gz")
