import json
import pathlib

import cv2
import numpy as np
import pytest
from made_sources import decode_mask, options_with, read_split, run_build, save_picture

from e2wsol.errors import UserError
from tfrecords.prepare import StoreOptions
from tfrecords.sources import folder as folder_source
from tfrecords.sources.folder import FolderOptions

REAL = pathlib.Path(__file__).parents[3] / "shared/data/caltech101-animals"
HEADER = "path,class,split,x0,y0,x1,y1,width,height"


@pytest.fixture
def root(tmp_path):
    for number in range(10):
        save_picture(tmp_path / f"in/ant/{number}.jpg", seed=number)
        save_picture(tmp_path / f"in/bee/{number}.png", seed=50 + number)
    return tmp_path / "in"


def write_boxes(root, *lines, header=HEADER):
    (root / "boxes.csv").write_text("\n".join([header, *lines]) + "\n")


def build(root, output="out", **options):
    return run_build(root.parent / output, source="folder", input=root, **options)


def error(root, **options):
    with pytest.raises(UserError) as raised:
        build(root, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_plain_class_folders_are_split_by_hash(root):
    info = build(root, source_options=FolderOptions(test_fraction=0.2))
    assert info.classes == ("ant", "bee") and info.name == "in"
    assert info.split("train").class_counts == (8, 8) and info.split("test").class_counts == (2, 2)
    assert not info.has_boxes and not info.has_masks
    again = build(root, "again", source_options=FolderOptions(test_fraction=0.2))
    assert sorted(read_split(again, "test")) == sorted(read_split(info, "test"))


def test_hidden_and_other_files_are_left_out(root):
    (root / "notes.txt").write_text("x")
    (root / "ant/readme.md").write_text("x")
    (root / "ant/._0.jpg").write_bytes(b"\0")
    (root / ".cache").mkdir()
    assert build(root).split("train").class_counts == (10, 10)


def test_split_folders(tmp_path):
    for split, count in (("train", 3), ("val", 1), ("test", 2)):
        for number in range(count):
            save_picture(tmp_path / f"in/{split}/ant/{number}.jpg")
    info = build(tmp_path / "in")
    assert {name: split.count for name, split in info.splits.items()} == {"train": 3, "val": 1, "test": 2}
    assert sorted(read_split(info, "val")) == ["val/ant/0.jpg"]


def test_boxes_with_inclusive_and_exclusive_ends(root):
    write_boxes(
        root, "ant/0.jpg,ant,test,2,3,11,12,40,30", "ant/0.jpg,ant,test,0,0,39,29,40,30", "ant/1.jpg,ant,train,,,,,,"
    )
    info = build(root)
    record = read_split(info, "test")["ant/0.jpg"]
    assert record["boxes"].tolist() == [[2, 3, 12, 13], [0, 0, 40, 30]]
    assert info.split("test").count == 1 and info.split("train").count == 19, "unlisted pictures are for training"
    exclusive = build(root, "out2", source_options=FolderOptions(box_ends="exclusive"))
    assert read_split(exclusive, "test")["ant/0.jpg"]["boxes"][0].tolist() == [2, 3, 11, 12]


def test_boxes_without_a_split_column(root):
    write_boxes(root, "ant/0.jpg,1,1,5,5", "bee/0.png,1,1,5,5", header="path,x0,y0,x1,y1")
    info = build(root, source_options=FolderOptions(test_fraction=0.5))
    assert info.split("train").class_counts == (5, 5) == info.split("test").class_counts


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ant/77.jpg,ant,test,2,3,11,12,,", "boxes.csv: line 2: no picture ant/77.jpg"),
        ("ant/0.jpg,bee,test,2,3,11,12,,", "boxes.csv: line 2: class bee, but ant/0.jpg lies in ant"),
        ("ant/0.jpg,ant,any,2,3,11,12,,", "boxes.csv: line 2: split 'any'; choose one of train, val, test"),
        ("ant/0.jpg,ant,test,2,x,11,12,,", "boxes.csv: line 2: expected numbers in x0,y0,x1,y1"),
        ("ant/0.jpg,ant,test,2,,11,12,,", "boxes.csv: line 2: expected numbers in x0,y0,x1,y1"),
        ("ant/0.jpg,ant,test,20,3,11,12,,", "ant/0.jpg: box 20,3,12,13 is inverted or empty"),
        ("ant/0.jpg,ant,test,2,3,44,12,,", "ant/0.jpg: box 2,3,45,13 lies outside the picture of 40x30 pixels"),
        (
            "ant/0.jpg,ant,test,2,3,11,12,80,60",
            "ant/0.jpg: picture is 40x30 pixels, but its annotation was made for 80x60",
        ),
    ],
)
def test_bad_boxes(root, line, message):
    write_boxes(root, line)
    assert message in error(root)


def test_boxes_without_paths(root):
    write_boxes(root, header="pfad,x0")
    assert "boxes.csv: no column 'path'" in error(root)


def test_split_of_folder_and_table_disagree(tmp_path):
    save_picture(tmp_path / "in/train/ant/0.jpg")
    write_boxes(tmp_path / "in", "train/ant/0.jpg,ant,test,,,,,,")
    assert "train/ant/0.jpg has split test, but lies in folder train" in error(tmp_path / "in")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("nonzero", [0, 1, 1, 1, 1]),
        ("majority", [0, 0, 0, 0, 1]),
        ("index", [0, 1, 1, 1, 255]),
        ("trimap", [0, 1, 0, 255, 1]),
    ],
)
def test_mask_rules(root, rule, expected):
    gray = np.zeros((30, 40), np.uint8)
    gray[:, :5] = [0, 1, 2, 3, 255]
    (root / "masks/ant").mkdir(parents=True)
    cv2.imwrite(str(root / "masks/ant/0.png"), gray)
    info = build(root, mask_rule=rule, source_options=FolderOptions(test_fraction=0.0))
    mask = decode_mask(read_split(info, "train")["ant/0.jpg"])
    expected[0] = {"trimap": 255}.get(rule, expected[0])
    assert mask[0, :5].tolist() == expected and info.has_masks


def test_unreadable_mask(root):
    (root / "masks/ant").mkdir(parents=True)
    (root / "masks/ant/0.png").write_bytes(b"")
    assert "masks/ant/0.png: not a readable mask" in error(root)


def test_outlines_are_filled(root):
    square = [[5, 6], [15, 6], [15, 20], [5, 20]]
    (root / "contours.json").write_text(
        json.dumps({"ant/0.jpg": square, "bee/0.png": [square, [[30, 1], [35, 1], [35, 4]]]})
    )
    records = read_split(build(root, source_options=FolderOptions(test_fraction=0.0)), "train")
    expected = np.zeros((30, 40), np.uint8)
    expected[6:21, 5:16] = 1
    np.testing.assert_array_equal(decode_mask(records["ant/0.jpg"]), expected)
    two = decode_mask(records["bee/0.png"])
    assert two[6:21, 5:16].all() and two[2, 34] == 1 and two[4, 30] == 0


@pytest.mark.parametrize("text", ["[", "[1]", '{"ant/0.jpg": [1, 2]}', '{"ant/0.jpg": []}'])
def test_bad_outlines(root, text):
    (root / "contours.json").write_text(text)
    assert "contours.json: expected" in error(root)


def test_outline_of_no_picture(root):
    (root / "contours.json").write_text('{"ant/x.jpg": [[1, 2], [3, 4], [5, 6]]}')
    assert "contours.json: no picture ant/x.jpg" in error(root)


def test_empty_folders(root, tmp_path):
    (root / "cow").mkdir()
    assert f"{root / 'cow'}: class folder holds no picture" in error(root)
    (tmp_path / "empty").mkdir()
    assert "empty: no class folders here" in error(tmp_path / "empty")
    assert "nowhere: no such folder" in error(tmp_path / "nowhere")


def test_class_without_a_training_picture(root):
    write_boxes(root, *[f"ant/{number}.jpg,ant,test,,,,,," for number in range(10)])
    assert "class ant has no picture in split train" in error(root)


@pytest.mark.parametrize("content", [b"", b"not a picture", None])
def test_unreadable_pictures(root, content):
    path = root / "ant/3.jpg"
    path.write_bytes(path.read_bytes()[:-200] if content is None else content)
    assert "ant/3.jpg: not a readable picture" in error(root)


@pytest.mark.parametrize(("store", "shape"), [("resized", (16, 21, 3)), ("square", (16, 16, 3))])
def test_resized_store_keeps_the_annotated_frame(root, store, shape):
    write_boxes(root, "ant/0.jpg,ant,test,2,3,11,12,40,30")
    gray = np.full((30, 40), 255, np.uint8)
    (root / "masks/ant").mkdir(parents=True)
    cv2.imwrite(str(root / "masks/ant/0.png"), gray)
    info = build(root, store=options_with(StoreOptions, store=store, short_side=16, jpeg_quality=90))
    record = read_split(info, "test")["ant/0.jpg"]
    stored = cv2.imdecode(np.frombuffer(record["jpeg"], np.uint8), cv2.IMREAD_COLOR)
    assert stored.shape == shape
    assert record["size"].tolist() == [30, 40] and record["boxes"].tolist() == [[2, 3, 12, 13]]
    assert decode_mask(record).shape == (30, 40)


def test_resized_store_does_not_touch_small_pictures(root):
    info = build(root, store=options_with(StoreOptions, store="resized", short_side=64))
    records = read_split(info, "train")
    assert records["ant/0.jpg"]["jpeg"] == (root / "ant/0.jpg").read_bytes()
    assert records["bee/0.png"]["jpeg"].startswith(b"\xff\xd8")


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/caltech101-animals")
def test_real_animals():
    listing = folder_source.list_pictures(REAL, FolderOptions(), "nonzero")
    assert {name: len(items) for name, items in listing.splits.items()} == {"train": 400, "test": 287}
    assert len(listing.classes) == 12
    item = next(item for item in listing.splits["test"] if item.source_id == "ant/image_0001.jpg")
    assert item.boxes == ((25.0, 19.0, 263.0, 190.0),) and item.annotated_size == (205, 300)
    ys, xs = np.nonzero(item.mask.render(205, 300))
    assert abs(xs.min() - 25) < 4 and abs(xs.max() - 262) < 6 and abs(ys.max() - 189) < 20
