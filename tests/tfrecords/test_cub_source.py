import collections
import os
import pathlib
import tarfile

import cv2
import numpy as np
import pytest
from made_sources import decode_mask, read_split, run_build, save_picture

from e2wsol.errors import UserError
from tfrecords import archive
from tfrecords.sources import cub

REAL = pathlib.Path(__file__).parents[3] / "shared/data/CUB_200_2011_10"
PICTURES = ["001.Auk/a_1.jpg", "001.Auk/a_2.jpg", "002.Bee eater/b_1.jpg", "002.Bee eater/b_2.jpg"]
BOXES = ["1 2.0 3.0 10.0 20.0", "2 0.0 0.0 40.0 30.0", "3 5.0 5.0 36.0 10.0", "4 1.0 1.0 4.5 5.5"]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "CUB_200_2011"
    for seed, name in enumerate(PICTURES):
        save_picture(root / "images" / name, seed=seed)
    write(root / "images.txt", [f"{i} {name}" for i, name in enumerate(PICTURES, 1)])
    write(root / "classes.txt", ["1 001.Auk", "2 002.Bee eater"])
    write(root / "image_class_labels.txt", ["1 1", "2 1", "3 2", "4 2"])
    write(root / "bounding_boxes.txt", BOXES)
    write(root / "train_test_split.txt", ["1 1", "2 0", "3 1", "4 0"])
    return root


TABLES = ("images.txt", "classes.txt", "image_class_labels.txt", "bounding_boxes.txt", "train_test_split.txt")


def listing(folder):
    return cub.list_pictures(folder, folder / "unused")


def passed_over(found):
    """Reason -> what was passed over, by the last part of its path."""
    reasons = collections.defaultdict(list)
    for each in found.passed_over:
        reasons[each.reason].append(each.path.rsplit("/", 1)[-1])
    return {reason: sorted(names) for reason, names in reasons.items()}


def write(path, lines):
    path.write_text("\n".join(lines) + "\n")


def test_boxes_labels_and_splits(folder, tmp_path):
    info = run_build(tmp_path / "out", source="cub", input=folder)
    assert info.classes == ("001.Auk", "002.Bee eater") and info.name == "CUB-200-2011"
    train, test = read_split(info, "train"), read_split(info, "test")
    assert sorted(train) == PICTURES[0::2] and sorted(test) == PICTURES[1::2]
    assert train[PICTURES[0]]["boxes"].tolist() == [[2, 3, 12, 23]]
    assert train[PICTURES[2]]["boxes"].tolist() == [[5, 5, 40, 15]], "the part outside is cut"
    assert test[PICTURES[3]]["boxes"].tolist() == [[1, 1, 5.5, 6.5]]
    assert test[PICTURES[3]]["label"] == 1 and test[PICTURES[3]]["filename"] == b"b_2.jpg"
    assert train[PICTURES[0]]["jpeg"] == (folder / "images" / PICTURES[0]).read_bytes()


def test_parent_folder_and_archive(folder, tmp_path):
    with tarfile.open(tmp_path / "CUB_200_2011.tgz", "w:gz") as tar:
        tar.add(folder, "CUB_200_2011")
    info = run_build(tmp_path / "out", source="cub", input=tmp_path / "CUB_200_2011.tgz")
    assert info.split("train").count == 2
    assert (tmp_path / "out.unpacked/CUB_200_2011/images.txt").is_file()
    assert len(cub.list_pictures(tmp_path, tmp_path / "unused").splits["test"]) == 2


def test_archive_with_a_member_that_leaves_the_folder(folder, tmp_path):
    with tarfile.open(tmp_path / "bad.tgz", "w:gz") as tar:
        tar.add(folder / "images.txt", "../outside.txt")
    with pytest.raises(UserError, match=r"bad.tgz: cannot be unpacked"):
        cub.list_pictures(tmp_path / "bad.tgz", tmp_path / "out")
    assert not (tmp_path / "outside.txt").exists()


def test_cut_archive(folder, tmp_path):
    with tarfile.open(tmp_path / "cut.tgz", "w:gz") as tar:
        tar.add(folder, "CUB_200_2011")
    content = (tmp_path / "cut.tgz").read_bytes()
    (tmp_path / "cut.tgz").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"cut.tgz: cannot be unpacked"):
        cub.list_pictures(tmp_path / "cut.tgz", tmp_path / "out")


def test_segmentations_become_masks_by_majority(folder, tmp_path):
    votes = np.zeros((30, 40), np.uint8)
    votes[5:10, 5:20], votes[10:12, 5:20] = 255, 102
    path = (folder / "segmentations" / PICTURES[1]).with_suffix(".png")
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), votes)
    info = run_build(tmp_path / "out", source="cub", input=folder)
    assert info.has_masks
    np.testing.assert_array_equal(decode_mask(read_split(info, "test")[PICTURES[1]]), votes > 127)
    cv2.imwrite(str(path), votes[:20])
    with pytest.raises(UserError, match=r"a_2.png: mask is 40x20 pixels, its picture 40x30"):
        run_build(tmp_path / "out2", source="cub", input=folder)


@pytest.mark.parametrize(
    ("file", "lines", "message"),
    [
        ("bounding_boxes.txt", ["1 2 3 -4 5", *BOXES[1:]], "001.Auk/a_1.jpg: box 2,3,-2,8 is inverted"),
        (
            "bounding_boxes.txt",
            ["1 90 3 4 5", *BOXES[1:]],
            "001.Auk/a_1.jpg: box 90,3,94,8 lies outside the picture of 40x30",
        ),
        ("bounding_boxes.txt", BOXES[1:], "bounding_boxes.txt: no entry for image 1"),
        (
            "bounding_boxes.txt",
            ["1 a 3 4 5", *BOXES[1:]],
            "bounding_boxes.txt: line 1: expected an image and x y width height",
        ),
        ("bounding_boxes.txt", ["1 2 3"], "bounding_boxes.txt: line 1: expected an image and x y"),
        ("image_class_labels.txt", ["1 3", "2 1", "3 2", "4 2"], "image_class_labels.txt: image 1 has class 3"),
        ("image_class_labels.txt", ["1 1", "2 1", "3 1", "4 2"], "class 002.Bee eater has no picture in split train"),
        (
            "images.txt",
            ["1 001.Auk/gone.jpg", *[f"{i} {n}" for i, n in enumerate(PICTURES[1:], 2)]],
            "gone.jpg: not found",
        ),
    ],
)
def test_bad_input(folder, tmp_path, file, lines, message):
    write(folder / file, lines)
    with pytest.raises(UserError, match=message) as error:
        run_build(tmp_path / "out", source="cub", input=folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("table", TABLES)
def test_equal_lines_count_once(folder, table):
    before = listing(folder)
    lines = (folder / table).read_text().splitlines()
    doubled = [*lines, "", *(line.replace(" ", "\t", 1) for line in lines), f"0{lines[0]}"]
    (folder / table).write_bytes(("\ufeff" + "\r\n".join(doubled)).encode())
    found = listing(folder)
    assert (found.classes, found.splits, found.passed_over) == (before.classes, before.splits, ())


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("images.txt", "1 001.Auk/other.jpg", "images.txt: line 6: says otherwise about 1 than a line above"),
        ("classes.txt", "2 002.Bee", "classes.txt: line 4: says otherwise about 2"),
        ("image_class_labels.txt", "4 1", "image_class_labels.txt: line 6: says otherwise about 4"),
        ("bounding_boxes.txt", "4 1.0 1.0 4.5 5.6", "bounding_boxes.txt: line 6: says otherwise about 4"),
        ("train_test_split.txt", "3 0", "train_test_split.txt: line 6: says otherwise about 3"),
        ("images.txt", f"5 {PICTURES[0]}", f"images.txt: 1 and 5 are both {PICTURES[0]}"),
        ("images.txt", "5 001.Auk/./a_1.jpg", f"images.txt: 1 and 5 are both {PICTURES[0]}"),
        ("images.txt", "5 .", "images.txt: image 5 is ., which lies outside of images/"),
        ("images.txt", "5", "images.txt: line 6: expected a number and a path"),
        ("images.txt", "5 003.New/c.jpg", "image_class_labels.txt: no entry for image 5"),
        ("classes.txt", "3 001.Auk", "classes.txt: 1 and 3 are both 001.Auk"),
        ("image_class_labels.txt", "a 1", "image_class_labels.txt: line 6: expected an image and a class number"),
        ("image_class_labels.txt", "5 -1", "image_class_labels.txt: line 6: expected an image and a class number"),
        ("train_test_split.txt", "5 2", "train_test_split.txt: line 6: expected an image and 1 or 0"),
        ("train_test_split.txt", "5 1.0", "train_test_split.txt: line 6: expected an image and 1 or 0"),
        ("train_test_split.txt", "5 train", "train_test_split.txt: line 6: expected an image and 1 or 0"),
        ("bounding_boxes.txt", "5 1 2 3 4 5", "bounding_boxes.txt: line 6: expected an image and x y width height"),
    ],
)
def test_bad_lines(folder, table, line, message):
    lines = (folder / table).read_text().splitlines()
    write(folder / table, [lines[0], "", *lines[1:], line])
    with pytest.raises(UserError) as error:
        listing(folder)
    assert str(error.value).startswith(f"{folder}/{message}")


def test_missing_entries_are_named_together(folder):
    write(folder / "train_test_split.txt", ["2 1"])
    with pytest.raises(UserError, match=r"train_test_split.txt: no entry for image 1, 3, 4$"):
        listing(folder)
    write(folder / "images.txt", [])
    with pytest.raises(UserError, match=r"images.txt: lists no image$"):
        listing(folder)


def test_one_split_alone(folder):
    write(folder / "train_test_split.txt", ["1 1", "2 1", "3 1", "4 1"])
    assert {split: len(items) for split, items in listing(folder).splits.items()} == {"train": 4}


@pytest.mark.parametrize(
    "box", ["nan 3 4 5", "1 2 inf 4", "-inf 2 inf 4", "1e39 2 3 4", "1 2 0 4", "1 2 3 -4", "50 3 4 5"]
)
def test_bad_boxes_follow_the_builders_choice(folder, tmp_path, box):
    write(folder / "bounding_boxes.txt", [f"1 {box}", *BOXES[1:]])
    with pytest.raises(UserError, match=r"^001.Auk/a_1.jpg: box .* on_bad_box=clip or skip"):
        run_build(tmp_path / "out", source="cub", input=folder)
    info = run_build(tmp_path / "out", source="cub", input=folder, on_bad_box="skip")
    train = read_split(info, "train")
    assert train[PICTURES[0]]["boxes"].shape == (0, 4)
    assert train[PICTURES[2]]["boxes"].tolist() == [[5, 5, 40, 15]]


def test_what_belongs_to_no_image(folder, tmp_path, capsys):
    before = listing(folder)
    for name in (
        "001.Auk/extra.png",
        "001.Auk/.hidden.jpg",
        ".ipynb_checkpoints/a_1.jpg",
        "002.Bee eater/@eaDir/b_1.jpg",
    ):
        save_picture(folder / "images" / name)
    (folder / "images/readme.txt").write_text("")
    for table, line in {
        "image_class_labels.txt": "9 1",
        "bounding_boxes.txt": "8 1 2 3 4",
        "train_test_split.txt": "9 1",
    }.items():
        write(folder / table, [*(folder / table).read_text().splitlines(), line])
    found = listing(folder)
    assert (found.classes, found.splits) == (before.classes, before.splits)
    assert passed_over(found) == {
        "entries of numbers that images.txt lacks": [
            *("bounding_boxes.txt: 8", "image_class_labels.txt: 9", "train_test_split.txt: 9")
        ],
        "pictures that images.txt does not list": ["extra.png"],
        "hidden pictures": [".hidden.jpg"],
        "in .ipynb_checkpoints": ["a_1.jpg"],
        "in @eaDir": ["b_1.jpg"],
        ".txt files": ["readme.txt"],
    }
    run_build(tmp_path / "out", source="cub", input=folder)
    assert "1 pictures that images.txt does not list" in capsys.readouterr().out


def test_segmentations_that_are_not_used(folder):
    (inner, beside) = folder / "segmentations", folder.parent / "segmentations"
    for path in (
        *(inner / "001.Auk/a_1.PNG", inner / "001.Auk/gone.png", inner / "@eaDir/a_2.png", inner / "001.Auk/a_2.jpg"),
        *(beside / "001.Auk/a_1.png", beside / "002.Bee eater/b_1.png", beside / "001.Auk/.a_2.png"),
    ):
        save_picture(path, mode="L", kind="PNG")
    found = listing(folder)
    masks = {item.source_id: item.mask.location.path for items in found.splits.values() for item in items if item.mask}
    assert masks == {
        PICTURES[0]: str(inner / "001.Auk/a_1.PNG"),
        PICTURES[2]: str(beside / "002.Bee eater/b_1.png"),
    }
    assert passed_over(found) == {
        "segmentations without a picture": ["gone.png"],
        "segmentations of a picture that has another": ["a_1.png"],
        "segmentations that are no .png": ["a_2.jpg"],
        "in @eaDir": ["a_2.png"],
        "hidden pictures": [".a_2.png"],
    }


def pack(folder, path):
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, "CUB_200_2011")


def test_an_archive_that_was_replaced_is_unpacked_again(folder, tmp_path, capsys):
    path, output = tmp_path / "CUB.tgz", tmp_path / "out"
    pack(folder, path)
    assert run_build(output, source="cub", input=path).split("train").count == 2
    stale = tmp_path / "out.unpacked/CUB_200_2011/stale.txt"
    stale.touch()
    run_build(output, source="cub", input=path)
    assert stale.exists() and capsys.readouterr().out.count("unpacking ") == 1
    write(folder / "bounding_boxes.txt", ["1 3.0 3.0 10.0 20.0", *BOXES[1:]])
    pack(folder, path)
    info = run_build(output, source="cub", input=path)
    assert read_split(info, "train")[PICTURES[0]]["boxes"].tolist() == [[3, 3, 13, 23]]
    assert not stale.exists()
    os.utime(path, ns=(1, 1))
    archive.unpack(path, tmp_path / "out.unpacked")
    assert capsys.readouterr().out.count("unpacking ") == 2
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["CUB.tgz", "CUB_200_2011", "out", "out.unpacked"]


@pytest.mark.parametrize("name", ["out.unpacked", ".partial-out.unpacked"])
@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_was_not_unpacked_is_not_removed(folder, tmp_path, name, kind):
    pack(folder, tmp_path / "CUB.tgz")
    kept = tmp_path / name
    if kind == "folder":
        kept.mkdir()
        write(kept / "mine.txt", ["mine"])
    elif kind == "file":
        kept.write_text("mine")
    else:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / archive.STAMP).touch()
        kept.symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=rf"{name}: in the way, and nothing says that it was unpacked here"):
        cub.list_pictures(tmp_path / "CUB.tgz", tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unpacking_that_was_cut_off_starts_anew(folder, tmp_path):
    pack(folder, tmp_path / "CUB.tgz")
    partial = tmp_path / ".partial-out.unpacked"
    (partial / "CUB_200_2011").mkdir(parents=True)
    (partial / archive.STAMP).touch()
    (partial / "CUB_200_2011/half.txt").touch()
    (partial / "link").symlink_to(folder)
    cub.list_pictures(tmp_path / "CUB.tgz", tmp_path / "out")
    assert not partial.exists() and folder.is_dir()
    assert not (tmp_path / "out.unpacked/CUB_200_2011/half.txt").exists()


def test_not_a_cub_folder(tmp_path):
    with pytest.raises(UserError, match=r"no images.txt here; expected the CUB_200_2011 folder or CUB_200_2011.tgz"):
        listing(tmp_path)
    with pytest.raises(UserError, match=r"^input=.*nowhere: not found"):
        run_build(tmp_path / "out", source="cub", input=tmp_path / "nowhere")


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/CUB_200_2011_10")
def test_real_ten_classes():
    listing = cub.list_pictures(REAL, pathlib.Path("unused"))
    assert (len(listing.splits["train"]), len(listing.splits["test"])) == (300, 243)
    assert len(listing.classes) == 10 and listing.classes[0] == "001.Black_footed_Albatross"
    by_name = {item.source_id: item for item in listing.splits["test"]}
    # The first line of E2Net's labels/CUB/val.txt: corners 60 27 385 331.
    first = by_name["001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg"]
    assert first.boxes == ((60.0, 27.0, 385.0, 331.0),) and first.label == 0
