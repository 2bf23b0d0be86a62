import pathlib
import tarfile

import cv2
import numpy as np
import pytest
from made_sources import decode_mask, read_split, run_build, save_picture

from e2wsol.errors import UserError
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
    assert run_build(tmp_path / "out2", source="cub", input=tmp_path).split("test").count == 2


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
        ("bounding_boxes.txt", ["1 a 3 4 5", *BOXES[1:]], "bounding_boxes.txt: image 1 has no four numbers"),
        ("bounding_boxes.txt", ["1 2 3"], "bounding_boxes.txt: entry 1 should be a number and 4 more columns"),
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


def test_not_a_cub_folder(tmp_path):
    with pytest.raises(UserError, match=r"no images.txt here; expected the CUB_200_2011 folder or CUB_200_2011.tgz"):
        run_build(tmp_path / "out", source="cub", input=tmp_path)
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
