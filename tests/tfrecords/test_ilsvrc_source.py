import io
import shutil
import tarfile

import numpy as np
import pytest
from made_sources import options_with, read_split, run_build, save_picture

from e2wsol.data import images
from e2wsol.errors import UserError
from tfrecords.sources import ilsvrc
from tfrecords.sources.ilsvrc import IlsvrcOptions

WNIDS = ("n02000001", "n01000002", "n03000003")


def voc(*objects):
    boxes = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for name, box in objects
    )
    return f"<annotation><size><width>40</width><height>30</height></size>{boxes}</annotation>"


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "ilsvrc"
    for seed, wnid in enumerate(WNIDS):
        for number in range(2):
            save_picture(root / f"train/{wnid}/{wnid}_{number}.JPEG", seed=10 * seed + number, kind="JPEG")
    for number in range(1, 5):
        save_picture(root / f"val/ILSVRC2012_val_{number:08d}.JPEG", seed=number, kind="JPEG")
    annotations = root / "Annotations/CLS-LOC/val"
    annotations.mkdir(parents=True)
    for number, objects in enumerate(
        [
            [("n02000001", (1, 2, 40, 30))],
            [("n01000002", (1, 2, 10, 12)), ("n01000002", (5, 6, 20, 22)), ("n03000003", (0, 0, 9, 9))],
            [("n03000003", (1, 1, 41, 30))],
            [("n03000003", (3, 1, 4, 3))],
        ],
        1,
    ):
        (annotations / f"ILSVRC2012_val_{number:08d}.xml").write_text(voc(*objects))
    return root


def build(root, output="out", **options):
    return run_build(root.parent / output, source="ilsvrc", input=root, **options)


def test_labels_boxes_and_splits(root):
    info = build(root)
    assert info.classes == tuple(sorted(WNIDS))
    assert info.split("train").class_counts == (2, 2, 2) and info.split("test").count == 4
    records = read_split(info, "test")
    assert [records[f"val/ILSVRC2012_val_{i:08d}.JPEG"]["label"] for i in (1, 2, 3, 4)] == [1, 0, 2, 2]
    boxes = [records[f"val/ILSVRC2012_val_{i:08d}.JPEG"]["boxes"].tolist() for i in (1, 2, 3)]
    assert boxes == [[[1, 2, 40, 30]], [[1, 2, 10, 12], [5, 6, 20, 22]], [[1, 1, 40, 30]]]
    train = read_split(info, "train")
    assert train["train/n03000003/n03000003_0.JPEG"]["label"] == 2
    assert train["train/n03000003/n03000003_0.JPEG"]["boxes"].shape == (0, 4)


def as_archives(root, target):
    """The two official tar files: train is an archive of one archive a class."""
    target.mkdir()
    with tarfile.open(target / "ILSVRC2012_img_train.tar", "w") as outer:
        for wnid in WNIDS:
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w") as inner:
                for file in sorted((root / "train" / wnid).iterdir()):
                    inner.add(file, file.name)
            member = tarfile.TarInfo(f"{wnid}.tar")
            member.size = stream.tell()
            stream.seek(0)
            outer.addfile(member, stream)
    with tarfile.open(target / "ILSVRC2012_img_val.tar", "w") as tar:
        for file in sorted((root / "val").iterdir()):
            tar.add(file, file.name)
    with tarfile.open(target / "ILSVRC2012_bbox_val_v3.tgz", "w:gz") as tar:
        tar.add(root / "Annotations/CLS-LOC/val", "val")
    return target


def test_archives_give_the_same_records(root, tmp_path):
    archives = as_archives(root, tmp_path / "archives")
    left, right = build(root), build(archives, "out2")
    for split in ("train", "test"):
        a, b = read_split(left, split), read_split(right, split)
        assert list(a) == list(b)
        for name, record in a.items():
            assert record["jpeg"] == b[name]["jpeg"] and record["label"] == b[name]["label"]
            np.testing.assert_array_equal(record["boxes"], b[name]["boxes"])


def test_damaged_archive(root, tmp_path):
    archives = as_archives(root, tmp_path / "archives")
    (archives / "ILSVRC2012_img_train.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(UserError, match=r"ILSVRC2012_img_train.tar: not a readable tar archive"):
        build(archives)


def test_boxes_as_a_list_and_words(root, tmp_path):
    shutil.rmtree(root / "Annotations")
    labels = [1, 0, 2, 2]
    lines = [f"ILSVRC2012_val_{i:08d}.JPEG\t{label}\t1.0 2.0 30.0 29.0" for i, label in enumerate(labels, 1)]
    (root / "val.txt").write_text("\n".join([*lines, "ILSVRC2012_val_00000001.JPEG 1 5 5 9 9"]))
    (root / "synset_words.txt").write_text("n01000002 tench, Tinca tinca\nn02000001 crane\n")
    info = build(root)
    assert info.classes == ("n01000002 tench", "n02000001 crane", "n03000003")
    record = read_split(info, "test")["val/ILSVRC2012_val_00000001.JPEG"]
    assert record["label"] == 1 and record["boxes"].tolist() == [[1, 2, 30, 29], [5, 5, 9, 9]]


def test_training_boxes_are_filtered_to_the_synset(root):
    folder = root / "Annotations/CLS-LOC/train/n02000001"
    folder.mkdir(parents=True)
    (folder / "n02000001_0.xml").write_text(voc(("n03000003", (0, 0, 5, 5)), ("n02000001", (2, 3, 9, 9))))
    records = read_split(build(root), "train")
    assert records["train/n02000001/n02000001_0.JPEG"]["boxes"].tolist() == [[2, 3, 9, 9]]
    assert records["train/n02000001/n02000001_1.JPEG"]["boxes"].shape == (0, 4)


def test_cmyk_and_png_named_jpeg_become_rgb_jpeg(root):
    save_picture(root / "train/n02000001/cmyk.JPEG", mode="CMYK", kind="JPEG")
    save_picture(root / "train/n02000001/png.JPEG", kind="PNG")
    save_picture(root / "train/n02000001/rgb.JPEG", kind="PNG")
    records = read_split(build(root), "train")
    for name in ("cmyk", "png"):
        pixels, plain = images.decode(records[f"train/n02000001/{name}.JPEG"]["jpeg"], name)
        expected, _ = images.decode((root / "train/n02000001/rgb.JPEG").read_bytes(), "rgb")
        assert plain and np.abs(pixels.astype(int) - expected).mean() < 5


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (
            lambda root: shutil.rmtree(root / "Annotations"),
            r"no boxes of the validation pictures; put ILSVRC2012_bbox_val_v3.tgz",
        ),
        (
            lambda root: (root / "Annotations/CLS-LOC/val/ILSVRC2012_val_00000002.xml").unlink(),
            "00000002.JPEG: no box annotation",
        ),
        (
            lambda root: (root / "Annotations/CLS-LOC/val/ILSVRC2012_val_00000002.xml").write_text("<a>"),
            "not a PASCAL-VOC annotation",
        ),
        (
            lambda root: (root / "Annotations/CLS-LOC/val/ILSVRC2012_val_00000002.xml").write_text("<a/>"),
            "names no object",
        ),
        (
            lambda root: (root / "val.txt").write_text("a 1 2 3") and shutil.rmtree(root / "Annotations"),
            r"val.txt: line 1: expected name",
        ),
        (lambda root: (root / "train/n09999999").mkdir(), "class n09999999 has no picture in train"),
        (lambda root: [file.unlink() for file in (root / "val").iterdir()], "val: holds no picture"),
    ],
)
def test_bad_input(root, breakage, message):
    breakage(root)
    with pytest.raises(UserError, match=message) as error:
        build(root)
    assert "\n" not in str(error.value)


def test_label_out_of_range(root):
    shutil.rmtree(root / "Annotations")
    lines = [f"ILSVRC2012_val_{i:08d}.JPEG\t3\t1.0 2.0 30.0 29.0" for i in range(1, 5)]
    (root / "val.txt").write_text("\n".join(lines))
    with pytest.raises(
        UserError, match=r"val/ILSVRC2012_val_00000001.JPEG: label 3 of its annotation; there are 3 classes"
    ):
        build(root)


def test_paths_that_are_not_there(root, tmp_path):
    with pytest.raises(UserError, match=r"^ilsvrc_boxes=/nowhere: not found"):
        build(root, source_options=options_with(IlsvrcOptions, ilsvrc_boxes="/nowhere"))
    with pytest.raises(UserError, match=r"no train or val folder, no ILSVRC2012_img_train.tar"):
        ilsvrc.list_pictures(tmp_path / "out", IlsvrcOptions())
