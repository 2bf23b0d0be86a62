"""What a user's folders may be called, and what becomes of every file in them."""

import collections
import os
import pathlib
import tempfile
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sources import read_split, run_build, save_picture

from e2wsol.data import picture_files
from e2wsol.errors import UserError
from tfrecords import folder_layout
from tfrecords.sources.folder import FolderOptions

TABLES = ("boxes.csv", "contours.json")


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def read(root, layout="auto"):
    return folder_layout.read(root, layout, TABLES)


def splits(found):
    return {name: (picture.class_name, picture.split) for name, picture in found.pictures.items()}


def passed_over(found):
    return collections.Counter(each.reason for each in found.passed_over)


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("train", "valid", "test"),
        ("training", "validation", "testing"),
        ("Train", "Dev", "Test"),
        ("TRAINING", "VALID", "eval"),
    ],
)
def test_split_folders_by_their_usual_names(tmp_path, train, val, test):
    for folder in (train, val, test):
        touch(tmp_path, f"{folder}/ant/0.jpg", f"{folder}/bee/1.png")
    found = splits(read(tmp_path))
    assert found == {
        f"{folder}/{name}": (name[:3], split)
        for folder, split in ((train, "train"), (val, "val"), (test, "test"))
        for name in ("ant/0.jpg", "bee/1.png")
    }


@pytest.mark.parametrize("wrapper", ["images", "Images"])
def test_images_holds_the_class_or_split_folders(tmp_path, wrapper):
    touch(tmp_path, f"{wrapper}/ant/0.jpg", f"{wrapper}/bee/0.jpg", "masks/ant/0.png")
    found = read(tmp_path)
    assert splits(found) == {"ant/0.jpg": ("ant", None), "bee/0.jpg": ("bee", None)}
    assert found.masks == tmp_path / "masks"
    touch(tmp_path / "two", f"{wrapper}/Train/ant/0.jpg", f"{wrapper}/valid/ant/0.jpg")
    assert {split for _, split in splits(read(tmp_path / "two")).values()} == {"train", "val"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/ant/0.jpg", "extra/ant/0.jpg"], "extra: lies beside train, which is a split by its name"),
        (["train/0.jpg", "bus/0.jpg"], "bus: lies beside train, which is a split by its name"),
        (["train/ant/0.jpg", "Training/ant/0.jpg"], "both mean split train, leave one"),
        (["val/ant/0.jpg", "valid/ant/0.jpg"], "both mean split val, leave one"),
        (["train/0.jpg"], "train: no class folders here; expected train/<class>/<picture>"),
        (["images/ant/0.jpg", "bee/0.jpg"], "images: holds the class folders by its name, but bee lies beside it"),
        (["train/ant/0.jpg", "train/masks/0.png"], "masks: lies among class folders; move it to"),
        (["train2017/ant/0.jpg", "val2017/ant/0.jpg"], "name split folders train, val and test"),
        (["masks/0.jpg"], "no class folders here; expected <class>/<picture> beside masks"),
        (["ant/0.jpg", "masks/a.png", "Masks/a.png"], "both mean masks, leave one"),
        (["0.jpg"], "no class folders here"),
        (["ant/notes.txt", "bee/0.jpg"], "ant: class folder holds no picture (but 1 .txt files)"),
    ],
)
def test_names_that_can_mean_two_things(tmp_path, names, message):
    touch(tmp_path, *names)
    with pytest.raises(UserError) as error:
        read(tmp_path)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["masks", "images", "train", "val", "test", "Training", "IMAGES"])
def test_layout_classes_takes_every_folder_as_a_class(tmp_path, name):
    touch(tmp_path, f"{name}/0.jpg", "other/0.jpg")
    assert splits(read(tmp_path, "classes")) == {f"{name}/0.jpg": (name, None), "other/0.jpg": ("other", None)}


def test_a_class_called_images_beside_another(tmp_path):
    touch(tmp_path, "images/0.jpg", "drawings/0.jpg")
    assert splits(read(tmp_path)) == {"drawings/0.jpg": ("drawings", None), "images/0.jpg": ("images", None)}


def test_folders_of_other_programs_are_no_classes_and_hold_no_pictures(tmp_path):
    foreign = [".ipynb_checkpoints", "@eaDir", ".thumbnails", "__MACOSX", "#recycle", "$RECYCLE.BIN", "lost+found"]
    for name in foreign:
        touch(tmp_path, f"{name}/0.jpg", f"ant/{name}/1.jpg", f"ant/deep/{name}/2.jpg")
    touch(tmp_path, "ant/0.jpg", "ant/._0.jpg", "ant/.DS_Store", "ant/deep/1.jpg")
    found = read(tmp_path)
    assert list(found.pictures) == ["ant/0.jpg", "ant/deep/1.jpg"]
    assert passed_over(found) == {**{f"in {name}": 3 for name in foreign}, "hidden pictures": 1}
    assert found.notes == ("note: 1 of the pictures lie deeper than <class>/<picture>",)


def test_links_are_followed_but_not_in_a_circle(tmp_path):
    touch(tmp_path, "elsewhere/1.jpg", "in/ant/0.jpg")
    (tmp_path / "in/ant/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/bee").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/ant/up").symlink_to(tmp_path / "in/ant")
    (tmp_path / "in/ant/gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    found = read(tmp_path / "in")
    assert list(found.pictures) == ["ant/0.jpg", "ant/more/1.jpg", "bee/1.jpg"]
    assert passed_over(found) == {"links to a folder above": 1, "broken links": 1}


def test_accents_in_either_form_name_one_picture(tmp_path):
    folder = unicodedata.normalize("NFD", "bär")
    touch(tmp_path, f"{folder}/0.jpg")
    found = read(tmp_path).pictures
    assert list(found) == ["bär/0.jpg"] and found["bär/0.jpg"].class_name == "bär"
    for spelling in ("bär/0.jpg", f"{folder}/0.jpg", "./bär/0.jpg", "bär\\0.jpg"):
        assert folder_layout.find_name(spelling, found) == "bär/0.jpg"
    touch(tmp_path, "bär/0.jpg")
    with pytest.raises(UserError, match="has the same name; rename one"):
        read(tmp_path)


def test_the_build_says_what_it_passed_over(tmp_path, capsys):
    for number, suffix in enumerate((".jpg", ".JPE", ".jfif", ".tif", ".gif", ".png")):
        save_picture(tmp_path / f"in/ant/{number}{suffix}", kind={".JPE": "JPEG", ".jfif": "JPEG"}.get(suffix))
        save_picture(tmp_path / f"in/bee/{number}.jpg")
    touch(tmp_path / "in", "ant/1.heic", "bee/2.HEIC", "README.txt", "0.jpg")
    info = run_build(tmp_path / "out", source="folder", input=tmp_path / "in")
    assert info.split("train").class_counts == (6, 6)
    lines = capsys.readouterr().out.splitlines()
    assert "passed over: 4 files" in lines
    assert [line.split(":")[0].strip() for line in lines if line.startswith("  ")] == [
        *("2 .heic files", "1 .txt files", "1 pictures beside the class folders")
    ]


FOLDERS = st.sampled_from(
    ["ant", "bär", "Bee", "x.y", "@eaDir", ".hidden", "masks", "images", "train", "valid", "Test"]
)
NAMES = st.sampled_from(
    ["0.jpg", "0.png", "1.JPG", ".2.jpg", "a b.tiff", "n.heic", "t.txt", "bare", "0_mask.png", "é.gif"]
)
PATHS = st.lists(FOLDERS, min_size=0, max_size=3).flatmap(
    lambda folders: NAMES.map(lambda name: "/".join([*folders, name]))
)


@given(st.sets(PATHS, min_size=1, max_size=12), st.sampled_from(["auto", "classes"]))
@settings(max_examples=300, deadline=None)
def test_every_picture_is_used_named_or_the_folder_refused(names, layout):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        touch(root, *names)
        on_disk = {
            str(path)
            for path in root.rglob("*")
            if path.is_file()
            and (path.suffix.lower() in (".jpg", ".png", ".tiff", ".gif") or not path.name.startswith("."))
        }
        try:
            found = read(root, layout)
        except UserError as error:
            assert str(root) in str(error)
            return
        used = [str(picture.file) for picture in found.pictures.values()]
        named = [each.path for each in found.passed_over]
        of_masks = {path for path in on_disk if found.masks and pathlib.Path(path).is_relative_to(found.masks)}
        assert not set(used) & set(named) and len(used) == len(set(used)) and len(named) == len(set(named))
        data = {path for path in on_disk if not in_foreign_folder(root, path)}
        assert data <= set(used) | set(named) | of_masks
        assert {path for path in on_disk if pathlib.Path(path).suffix.lower() in (".jpg", ".png", ".tiff", ".gif")} <= (
            set(used) | set(named) | of_masks
        )


def in_foreign_folder(root, path):
    return any(part in ("@eaDir", ".hidden") for part in os.path.relpath(path, root).split("/"))


def test_summary_counts_by_reason(tmp_path):
    touch(tmp_path, "0.jpg", "1.heic", "2.heic", ".3.jpg", "bare")
    found = picture_files.find(tmp_path)
    assert picture_files.summary(found.passed_over) == "2 .heic files, 1 files without a suffix, 1 hidden pictures"


def test_a_folder_of_splits_called_as_classes(tmp_path):
    for name in ("train/ant/0.jpg", "train/bee/0.jpg"):
        save_picture(tmp_path / "in" / name)
    options = FolderOptions(layout="classes")
    info = run_build(tmp_path / "out", source="folder", input=tmp_path / "in", source_options=options)
    assert info.classes == ("train",) and sorted(read_split(info, "train")) == ["train/ant/0.jpg", "train/bee/0.jpg"]
