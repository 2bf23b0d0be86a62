import os
import pathlib

import pytest

from e2wsol.errors import UserError
from e2wsol.prediction.inputs import find_pictures


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_folders_keep_relative_paths_in_order(tmp_path):
    make(tmp_path, "b/2.JPG", "a/1.png", "0.jpeg", "notes.txt", ".hidden.jpg")
    found = find_pictures([str(tmp_path)])[0]
    assert [picture.name for picture in found] == ["0.jpeg", "a/1.png", "b/2.JPG"]
    assert [picture.stem for picture in found] == ["0", "a/1", "b/2"]


def test_named_files_count_whatever_their_suffix(tmp_path):
    make(tmp_path, "scan.tif", "noext")
    found = find_pictures([str(tmp_path / "scan.tif"), str(tmp_path / "noext")])[0]
    assert [(picture.name, picture.stem) for picture in found] == [("scan.tif", "scan"), ("noext", "noext")]


def test_equal_names_get_their_own_stems(tmp_path):
    make(tmp_path, "a/x.jpg", "b/x.jpg", "c/x.png", "c/X.jpg", "c/x_2.jpg")
    found = find_pictures([str(tmp_path / folder) for folder in "abc"])[0]
    stems = [picture.stem.casefold() for picture in found]
    assert len(found) == len(set(stems)) == len({picture.name for picture in found}) == 5
    assert found[0].stem == "x"


def test_labels_are_paths_without_suffix_also_where_two_are_equal(tmp_path):
    make(tmp_path, "a/x.jpg", "a/x.png", "b/x.jpg", "b/d/x.v2.jpg")
    found = find_pictures([str(tmp_path / folder) for folder in "ab"])[0]
    assert [(p.label, p.stem) for p in found] == [("x", "x"), ("x", "x_2"), ("d/x.v2", "d/x.v2"), ("x", "x_3")]
    assert [p.label for p in find_pictures([str(tmp_path)])[0]] == ["a/x", "a/x", "b/d/x.v2", "b/x"]


def test_a_picture_given_twice_is_listed_once(tmp_path):
    make(tmp_path, "x.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "x.jpg")
    assert len(find_pictures([str(tmp_path), str(tmp_path / "x.jpg")])[0]) == 1


def test_own_outputs_are_left_out(tmp_path):
    make(tmp_path, "x.jpg", "out/overlays/x.jpg")
    assert [p.name for p in find_pictures([str(tmp_path)], leave_out=[tmp_path / "out" / "overlays"])[0]] == ["x.jpg"]


def test_what_is_passed_over_is_told(tmp_path):
    make(tmp_path, "x.jpg", "y.tif", "z.heic", "notes.txt", ".hidden.jpg", "@eaDir/x.jpg", ".cache/x.jpg", "a/b/y.GIF")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    pictures, passed_over = find_pictures([str(tmp_path)])
    assert [picture.name for picture in pictures] == ["a/b/y.GIF", "x.jpg", "y.tif"]
    assert sorted(each.reason for each in passed_over) == sorted(
        [".heic files", ".txt files", "hidden pictures", "in .cache", "in @eaDir"]
    )


def test_names_that_are_no_utf8_become_printable(tmp_path):
    path = pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xf6we.jpg"))
    path.write_bytes(b"")
    (picture,) = find_pictures([str(tmp_path)])[0]
    assert picture.stem == "m\ufffdwe" and picture.path.exists()


def test_nothing_found_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no picture found"):
        find_pictures([str(tmp_path)])
    with pytest.raises(UserError, match="no picture given"):
        find_pictures([])
    with pytest.raises(UserError, match=r"nowhere: no such picture or folder"):
        find_pictures([str(tmp_path / "nowhere")])
