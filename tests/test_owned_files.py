"""What a command writes into a user's folder, and what it leaves alone."""

import json
import os

import pytest

from e2wsol import owned_files
from e2wsol.errors import ArgumentError, UserError
from e2wsol.owned_files import LIST, OwnedFolder

FILES = {"a.txt": b"one", "sub/deep/b.txt": b"two"}


def contents(folder):
    found = (path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found if path.name != LIST}


def write(folder, written=FILES, by="predict", **options):
    owned = OwnedFolder(folder, by)
    owned.check(written, **options)
    owned.clear()
    for name, data in written.items():
        owned.write_bytes(name, data)


@pytest.fixture
def folder(tmp_path):
    """A folder with a result of predict."""
    write(tmp_path / "out")
    return tmp_path / "out"


def test_files_are_written_and_listed(folder):
    assert contents(folder) == FILES
    entries = [json.loads(line) for line in (folder / LIST).read_text().splitlines()]
    assert [(entry["file"], entry["bytes"], entry["by"]) for entry in entries] == [
        ("a.txt", 3, "predict"),
        ("sub/deep/b.txt", 3, "predict"),
    ]


def test_replace_removes_what_is_ours_and_nothing_else(folder):
    (folder / "sub" / "mine.txt").write_bytes(b"mine")
    write(folder, {"c.txt": b"three"}, by="export")
    write(folder, {"d.txt": b"four"}, replace=True)
    assert contents(folder) == {"sub/mine.txt": b"mine", "c.txt": b"three", "d.txt": b"four"}
    assert not (folder / "sub" / "deep").exists()
    write(folder, {}, by="export", replace=True)
    assert contents(folder) == {"sub/mine.txt": b"mine", "d.txt": b"four"}


def changed(path):
    path.write_bytes(b"ONE")  # of the same size


def linked(path):
    path.rename(path.with_suffix(".old"))
    path.symlink_to(path.with_suffix(".old").name)


def made_a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [changed, linked, made_a_folder])
def test_what_was_changed_since_stays(folder, change):
    change(folder / "a.txt")
    before = contents(folder)
    with pytest.raises(ArgumentError, match=rf"^output={folder}: a\.txt was changed after predict wrote it; move it"):
        write(folder, replace=True)
    assert contents(folder) == before


def foreign(path):
    path.write_bytes(b"mine")


@pytest.mark.parametrize(
    "make", [foreign, os.mkfifo, lambda path: path.symlink_to("nowhere"), lambda path: path.symlink_to("/dev/null")]
)
@pytest.mark.parametrize("replace", [False, True])
def test_what_is_in_the_way_stays(tmp_path, make, replace):
    make(tmp_path / "a.txt")
    before = os.lstat(tmp_path / "a.txt")
    with pytest.raises(ArgumentError, match=r"a\.txt is there, and predict has no record of writing it"):
        write(tmp_path, replace=replace)
    assert os.lstat(tmp_path / "a.txt") == before and os.listdir(tmp_path) == ["a.txt"]


def test_an_earlier_result_goes_only_when_asked(folder):
    with pytest.raises(
        ArgumentError, match=r"holds an earlier result of predict \(2 files, such as a.txt\); .*replace=true"
    ):
        write(folder, {"c.txt": b"three"})
    for name in FILES:
        (folder / name).unlink()
    write(folder, {"c.txt": b"three"})  # nothing of it is there any more
    assert contents(folder) == {"c.txt": b"three"}


def test_another_commands_file_is_in_the_way_too(folder):
    with pytest.raises(ArgumentError, match=r"a\.txt is there, and export has no record"):
        write(folder, by="export", replace=True)


@pytest.mark.parametrize("name", ["a.txt/c.txt", "sub/deep/b.txt/x/c.txt"])
def test_a_file_where_a_folder_is_needed(folder, name):
    with pytest.raises(ArgumentError, match=r"\.txt is no folder, but files would go into it"):
        write(folder, {name: b""}, by="export")
    with pytest.raises(ArgumentError, match=r"a\.txt: is no folder; give a folder"):
        write(folder / "a.txt", {"c.txt": b""})


def test_a_file_that_comes_meanwhile_stays(tmp_path):
    owned = OwnedFolder(tmp_path, "predict")
    owned.check(FILES)
    owned.clear()
    (tmp_path / "a.txt").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"a\.txt: has come into the folder meanwhile"):
        owned.write_bytes("a.txt", b"one")
    owned.write_bytes("b.txt", b"two")
    assert contents(tmp_path) == {"a.txt": b"mine", "b.txt": b"two"}


@pytest.mark.parametrize(
    "line", ['{"file": "b.tx', "null", "[]", '{"file": 3, "bytes": 1, "sha256": "", "by": "predict"}']
)
def test_a_damaged_list_takes_nothing_away(folder, line):
    """A process that is killed leaves half a line."""
    (folder / LIST).write_text((folder / LIST).read_text() + line)
    write(folder, {"a.txt": b"new"}, replace=True)
    assert contents(folder) == {"a.txt": b"new"}
    (folder / LIST).write_text(line)
    with pytest.raises(ArgumentError, match=r"a\.txt is there, and predict has no record"):
        write(folder, {"a.txt": b"newer"}, replace=True)
    assert contents(folder) == {"a.txt": b"new"}


def test_a_list_names_files_of_its_folder_alone(folder, tmp_path):
    (tmp_path / "mine.txt").write_bytes(b"one")
    text = (folder / LIST).read_text()
    for name in ("../mine.txt", str(tmp_path / "mine.txt"), "sub/../../mine.txt"):
        (folder / LIST).write_text(text.replace('"a.txt"', json.dumps(name)))
        write(folder, {}, replace=True)
        assert (tmp_path / "mine.txt").read_bytes() == b"one"


def test_take_and_add(tmp_path):
    (tmp_path / "made").write_bytes(b"one")
    owned = OwnedFolder(tmp_path / "out", "export")
    owned.take("sub/a.txt", tmp_path / "made")
    (tmp_path / "out" / "b.txt").write_bytes(b"two")
    owned.add("b.txt")
    assert contents(tmp_path / "out") == {"sub/a.txt": b"one", "b.txt": b"two"} and not (tmp_path / "made").exists()
    write(tmp_path / "out", {}, by="export", replace=True)
    assert contents(tmp_path / "out") == {}


@pytest.mark.parametrize("kind", ["ours", "theirs", "folder", "device", "broken link", "nothing"])
def test_a_single_file(tmp_path, kind):
    path = tmp_path / "page.html"
    make = {
        "ours": lambda: path.write_bytes(b"<ours>"),
        "theirs": lambda: path.write_bytes(b"<theirs>"),
        "folder": path.mkdir,
        "device": lambda: path.symlink_to("/dev/null"),
        "broken link": lambda: path.symlink_to("nowhere"),
    }
    if kind in make:
        make[kind]()
    words = {
        "theirs": "is there and was not written by report",
        "folder": "is a folder; give the name of a file",
        "device": "is a device or pipe; give the name of a file",
        "broken link": "is there and was not written by report",
    }
    if kind in words:
        with pytest.raises(ArgumentError, match=f"^output={path}: {words[kind]}"):
            owned_files.check_file(path, "report", lambda start: start.startswith(b"<ours"))
    else:
        owned_files.check_file(path, "report", lambda start: start.startswith(b"<ours"))


@pytest.fixture
def with_link(tmp_path):
    """A folder with a link of predict's to a file beside it."""
    (tmp_path / "x.jpg").write_bytes(b"picture")
    owned = OwnedFolder(tmp_path / "out", "predict")
    owned.link("images/x.jpg", tmp_path / "x.jpg")
    return tmp_path / "out"


def test_links_are_ours_and_what_they_lead_to_is_not(with_link):
    link, target = with_link / "images" / "x.jpg", with_link.parent / "x.jpg"
    assert link.is_symlink() and link.read_bytes() == b"picture"
    target.write_bytes(b"changed")
    assert OwnedFolder(with_link, "predict").earlier_files() == [link]
    write(with_link, {}, replace=True)
    assert not link.parent.exists() and target.read_bytes() == b"changed"


@pytest.mark.parametrize("other", ["a link", "a file"])
def test_what_took_the_place_of_a_link_stays(with_link, other):
    link = with_link / "images" / "x.jpg"
    link.unlink()
    if other == "a link":
        link.symlink_to(with_link.parent / "y.jpg")
    else:
        link.write_bytes(b"picture")
    with pytest.raises(ArgumentError, match=r"images/x\.jpg was changed after predict wrote it"):
        write(with_link, {}, replace=True)
    assert os.path.lexists(link)
