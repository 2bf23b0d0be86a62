import os

import pytest

from e2wsol import files
from e2wsol.errors import UserError


def test_writes_and_makes_folders(tmp_path):
    files.write_text(tmp_path / "a" / "b.txt", "grün")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "grün".encode()
    assert os.listdir(tmp_path / "a") == ["b.txt"]


def test_failure_keeps_the_old_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_temporary_name_keeps_the_suffix(tmp_path):
    with files.replacing(tmp_path / "a.keras") as temporary:
        assert temporary.suffix == ".keras" and temporary.parent == tmp_path
        temporary.write_bytes(b"")


def test_leftovers_of_killed_processes_go(tmp_path):
    (tmp_path / ".tmp-12-a.json").write_text("half")
    (tmp_path / ".tmp-3-step-00000004").mkdir()
    (tmp_path / ".tmp-3-step-00000004" / "model.keras").write_text("half")
    (tmp_path / "a.json").write_text("whole")
    files.remove_leftovers(tmp_path, "*.json", "step-*")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    "name",
    [".tmp-notes", ".tmp-a.json", ".tmp-12a-a.json", ".tmp-12-b.json", ".tmp--a.json", "x.tmp-12-a.json", ".tmp-12-"],
)
def test_what_is_not_ours_stays(tmp_path, name):
    """Of the user's, of another program, or of a file that another lock guards."""
    (tmp_path / name).write_text("of others")
    files.remove_leftovers(tmp_path, "a.json", "*.tfrecord")
    assert (tmp_path / name).read_text() == "of others"


def test_leftover_links_to_folders_go_without_the_folder(tmp_path):
    (tmp_path / "step-4").mkdir()
    (tmp_path / ".tmp-9-last").symlink_to("step-4")
    files.remove_leftovers(tmp_path, "last")
    assert [path.name for path in tmp_path.iterdir()] == ["step-4"]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to a device"])
def test_what_is_no_regular_file_is_not_replaced(tmp_path, kind):
    path = tmp_path / "target"
    make = {
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "link to a device": lambda: path.symlink_to("/dev/null"),
    }
    make[kind]()
    before = os.lstat(path)
    words = "is a folder" if kind == "folder" else "is a device or pipe"
    with pytest.raises(UserError, match=rf"target: {words}; give the name of a file"):
        files.write_text(path, "new")
    assert os.lstat(path) == before and os.listdir(tmp_path) == ["target"]


def test_a_link_to_a_file_is_replaced(tmp_path):
    (tmp_path / "old").write_text("old")
    (tmp_path / "link").symlink_to("old")
    files.write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").read_text() == "new" and (tmp_path / "old").read_text() == "old"
