import collections
import io
import shutil
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sources import options_with, read_split, run_build, save_picture
from PIL import Image, ImageOps

from e2wsol.data import images
from e2wsol.errors import UserError
from tfrecords.frames import Frame
from tfrecords.items import Location
from tfrecords.sources import ilsvrc
from tfrecords.sources.ilsvrc import IlsvrcOptions

WNIDS = ("n02000001", "n01000002", "n03000003")


def voc(*objects, size="<size><width>40</width><height>30</height></size>"):
    boxes = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for name, box in objects
    )
    return f"<annotation>{size}{boxes}</annotation>"


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
            r"^\S+00000002.xml: not a PASCAL-VOC annotation",
        ),
        (
            lambda root: (root / "Annotations/CLS-LOC/val/ILSVRC2012_val_00000002.xml").write_text("<a/>"),
            r"^\S+00000002.xml: names no object$",
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


SIDES = "<size><width>{}</width><height>{}</height></size>"


def listing(root, **options):
    return ilsvrc.list_pictures(root, options_with(IlsvrcOptions, **options))


def passed_over(found):
    """Reason -> what was passed over, by the last part of its path."""
    reasons = collections.defaultdict(list)
    for each in found.passed_over:
        reasons[each.reason].append(each.path.rsplit("/", 1)[-1])
    return {reason: sorted(names) for reason, names in reasons.items()}


def write_val(root, number, content):
    (root / f"Annotations/CLS-LOC/val/ILSVRC2012_val_{number:08d}.xml").write_text(content)


def write_train(root, name, content):
    path = root / "Annotations/CLS-LOC/train" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def turned_box(box, height, width, orientation):
    """The box after Pillow has turned a picture of it."""
    mask = np.zeros((height, width), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 255
    picture = Image.fromarray(mask)
    picture.getexif()[0x0112] = orientation
    rows, columns = np.nonzero(np.asarray(ImageOps.exif_transpose(picture)))
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_boxes_turn_with_their_pictures(root):
    """All orientations, at two sizes of the annotation and without one; in train and in val."""
    box, expected = (3, 2, 30, 9), {}
    wnid = WNIDS[0]
    shutil.rmtree(root / "val")
    for orientation in range(1, 9):
        for kind, (size, factor) in {
            "same": (SIDES.format(40, 30), 1),
            "double": (SIDES.format(80, 60), 2),
            "none": ("", 1),
            "zero": (SIDES.format(0, 0), 1),
        }.items():
            name = f"{kind}_{orientation}"
            exif = Image.Exif()
            exif[0x0112] = orientation
            for file in (root / f"train/{wnid}/{name}.JPEG", root / f"val/{name}.JPEG"):
                file.parent.mkdir(exist_ok=True)
                Image.new("RGB", (40, 30)).save(file, "JPEG", exif=exif)
            content = voc((wnid, [factor * side for side in box]), size=size)
            write_train(root, f"{wnid}/{name}.xml", content)
            (root / f"Annotations/CLS-LOC/val/{name}.xml").write_text(content)
            expected[name] = turned_box(box, 30, 40, orientation)
    info = build(root)
    train, test = read_split(info, "train"), read_split(info, "test")
    for name, turned in expected.items():
        assert train[f"train/{wnid}/{name}.JPEG"]["boxes"].tolist() == [turned], name
        assert test[f"val/{name}.JPEG"]["boxes"].tolist() == [turned], name


@settings(max_examples=60, deadline=None)
@given(data=st.data(), orientation=st.integers(1, 8), factor=st.sampled_from([1, 2, 5]))
def test_any_box_turns_and_scales(tmp_path_factory, data, orientation, factor):
    height, width = data.draw(st.tuples(*[st.integers(2, 40)] * 2))
    x0, x1 = sorted(data.draw(st.sets(st.integers(0, width), min_size=2, max_size=2)))
    y0, y1 = sorted(data.draw(st.sets(st.integers(0, height), min_size=2, max_size=2)))
    file = tmp_path_factory.getbasetemp() / "any.JPEG"
    file.write_bytes(b"read, not decoded")
    upright = (width, height) if orientation >= 5 else (height, width)

    def placed(box, size):
        boxes, size = (tuple(factor * side for side in box),), (factor * size[0], factor * size[1])
        raw = ilsvrc.StoredFileItem("any", 0, Location(str(file)), boxes, annotated_size=size).read()
        return raw.place(raw.boxes, Frame("any", *upright, orientation)).tolist()

    turned = turned_box((x0, y0, x1, y1), height, width, orientation)
    assert placed((x0, y0, x1, y1), (height, width)) == [pytest.approx(turned, abs=1e-4)]
    if upright != (height, width):  # the annotator saw the turned picture
        assert placed(turned, upright) == [pytest.approx(turned, abs=1e-4)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (SIDES.format(80, 60), [[5, 6, 10, 15]]),
        (SIDES.format(20, 15), [[20, 24, 40, 30]]),
        (SIDES.format(80, 30), [[5, 12, 10, 30]]),
        (SIDES.format(0, 0), [[10, 12, 20, 30]]),
        (SIDES.format(80, 0), [[10, 12, 20, 30]]),
        ("<size><width>80</width></size>", [[10, 12, 20, 30]]),
        ("<size><width/><height/></size>", [[10, 12, 20, 30]]),
        ("", [[10, 12, 20, 30]]),
    ],
)
def test_size_of_the_annotation(root, size, expected):
    write_val(root, 1, voc(("n02000001", (10, 12, 20, 30)), size=size))
    assert read_split(build(root), "test")["val/ILSVRC2012_val_00000001.JPEG"]["boxes"].tolist() == expected


@pytest.mark.parametrize("size", [SIDES.format(-40, 30), SIDES.format("nan", 30), SIDES.format(40, "1e300")])
def test_sizes_that_are_none(size):
    with pytest.raises(UserError, match=r"^a.xml: not a PASCAL-VOC annotation \("):
        ilsvrc.parse_voc(voc(("n02000001", (1, 2, 3, 4)), size=size).encode(), "a.xml")


@pytest.mark.parametrize(
    ("folder", "objects", "kept", "left_out"),
    [
        ("n02000001", ["n02000001"], 1, []),
        ("n02000001", ["Chihuahua"], 1, []),
        ("n02000001", ["Chihuahua", "n02000001", "n0200000", "N03000003"], 4, []),
        ("n02000001", ["n03000003"], 0, ["n02000001_0.xml (n03000003)"]),
        ("n02000001", ["n99999999", "n02000001"], 1, ["n02000001_0.xml (n99999999)"]),
        ("n02000001", [], 0, []),
    ],
)
def test_names_of_training_objects(root, folder, objects, kept, left_out):
    content = voc(*((name, (number, 1, 20 + number, 9)) for number, name in enumerate(objects)))
    write_train(root, f"{folder}/n02000001_0.xml", content)
    found = listing(root)
    (item,) = [item for item in found.splits["train"] if item.filename == "n02000001_0.JPEG"]
    assert len(item.read().boxes) == kept
    of_val = "ILSVRC2012_val_00000002.xml (n03000003)"
    assert passed_over(found) == {"boxes of another synset": sorted([of_val, *left_out])}


def test_names_in_a_set_without_wnids(tmp_path):
    root = tmp_path / "made"
    for name in ("ant", "bee"):
        save_picture(root / f"train/{name}/0.JPEG", kind="JPEG")
    write_train(root, "ant/0.xml", voc(("bee", (1, 1, 9, 9)), ("ant", (2, 2, 9, 9))))
    found = listing(root)
    assert found.classes == ("ant", "bee")
    assert found.splits["train"][0].read().boxes.tolist() == [[2, 2, 9, 9]]
    assert passed_over(found) == {"boxes of another synset": ["0.xml (bee)"]}


def test_names_of_validation_objects(root):
    write_val(root, 1, voc(("n02000001", (1, 2, 9, 9)), ("crane", (2, 2, 9, 9)), ("n03000003", (3, 2, 9, 9))))
    found = listing(root)
    first = {item.filename: item for item in found.splits["test"]}["ILSVRC2012_val_00000001.JPEG"]
    assert (first.label, [box[0] for box in first.boxes]) == (1, [1, 2])
    assert "ILSVRC2012_val_00000001.xml (n03000003)" in passed_over(found)["boxes of another synset"]
    write_val(root, 2, voc(("crane", (1, 2, 9, 9))))
    write_val(root, 3, voc(("n99999999", (1, 2, 9, 9))))
    with pytest.raises(UserError) as error:
        listing(root)
    for text in (
        "2 annotations of validation pictures are missing or wrong",
        "val/ILSVRC2012_val_00000002.JPEG: its annotation names 'crane', which is none of the 3 classes",
        "val/ILSVRC2012_val_00000003.JPEG: its annotation names 'n99999999'",
    ):
        assert text in str(error.value)


def test_all_bad_validation_annotations_are_named(root):
    write_val(root, 1, voc())
    write_val(root, 3, "<a>")
    with pytest.raises(UserError, match=r"00000001.xml: names no object \| \S+00000003.xml: not a PASCAL") as error:
        listing(root)
    assert "\n" not in str(error.value)
    write_val(root, 1, voc(("n02000001", (1, 2, 9, 9))))
    for number in (2, 3):
        (root / f"Annotations/CLS-LOC/val/ILSVRC2012_val_{number:08d}.xml").unlink()
    with pytest.raises(UserError, match=r"00000002.JPEG: no box annotation \| \S+00000003.JPEG: no box annotation$"):
        listing(root)


def test_annotations_without_a_picture(root):
    write_train(root, "n02000001/gone.xml", "never read")
    write_train(root, "n01000002/n02000001_0.xml", "never read")
    write_train(root, "n02000001/.hidden.xml", "never read")
    write_train(root, "n02000001/@eaDir/n02000001_0.xml", "never read")
    write_val(root, 9, "never read")
    (root / "Annotations/CLS-LOC/val/._ILSVRC2012_val_00000001.xml").write_bytes(b"\0\5\x16\7")
    found = listing(root)
    assert passed_over(found)["annotations without a picture"] == [
        *("ILSVRC2012_val_00000009.xml", "gone.xml", "n02000001_0.xml")
    ]
    assert not any(isinstance(item, ilsvrc.VocItem) for item in found.splits["train"])


def test_two_annotations_of_one_picture(root):
    content = voc(("n02000001", (1, 2, 9, 9)))
    write_train(root, "n02000001/n02000001_0.xml", content)
    write_train(root, "more/n02000001/n02000001_0.XML", content)
    (root / "Annotations/CLS-LOC/val/more").mkdir()
    shutil.copy(root / "Annotations/CLS-LOC/val/ILSVRC2012_val_00000002.xml", root / "Annotations/CLS-LOC/val/more")
    listing(root)
    write_val(root, 2, content)
    with pytest.raises(UserError, match=r"00000002.xml: says otherwise than another annotation of ILSVRC"):
        listing(root)
    write_train(root, "more/n02000001/n02000001_0.XML", voc(("n02000001", (1, 2, 9, 8))))
    write_val(root, 2, voc(("n01000002", (1, 2, 10, 12)), ("n01000002", (5, 6, 20, 22)), ("n03000003", (0, 0, 9, 9))))
    with pytest.raises(UserError, match=r"n02000001_0.xml: says otherwise than \S+more/n02000001/n02000001_0.XML"):
        listing(root)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_corrected_annotation_makes_its_shard_again(root, split, capsys):
    name, write = {
        "train": (
            "train/n02000001/n02000001_0.JPEG",
            lambda text: write_train(root, "n02000001/n02000001_0.xml", text),
        ),
        "val": ("val/ILSVRC2012_val_00000001.JPEG", lambda text: write_val(root, 1, text)),
    }[split]
    for size, expected in (((40, 30), [2, 3, 9, 9]), ((20, 15), [4, 6, 18, 18])):
        write(voc(("n02000001", (2, 3, 9, 9)), size=SIDES.format(*size)))
        records = read_split(build(root), "train" if split == "train" else "test")
        assert records[name]["boxes"].tolist() == [expected]


@pytest.mark.parametrize("box", [(30, 3, 5, 20), (50, 3, 60, 20), (5, 3, 5, 20)])
def test_bad_boxes_follow_the_builders_choice(root, box):
    write_train(root, "n02000001/n02000001_0.xml", voc(("n02000001", box), ("n02000001", (2, 3, 50, 9))))
    with pytest.raises(UserError, match=r"train/n02000001/n02000001_0.JPEG: box .* on_bad_box=clip or skip"):
        build(root)
    records = read_split(build(root, on_bad_box="skip"), "train")
    assert records["train/n02000001/n02000001_0.JPEG"]["boxes"].tolist() == [[2, 3, 40, 9]]


FOREIGN = (".ipynb_checkpoints", "@eaDir", "__MACOSX", ".thumbnails")


@pytest.mark.parametrize("folder", FOREIGN)
def test_folders_of_other_programs(root, folder):
    before = listing(root)
    for place in ("train", "train/n02000001", "val"):
        save_picture(root / place / folder / "ILSVRC2012_val_00000001.JPEG", kind="JPEG")
    (root / "train/n02000001/notes.txt").write_text("")
    found = listing(root)
    assert (found.classes, found.splits) == (before.classes, before.splits)
    assert passed_over(found) == passed_over(before) | {
        f"in {folder}": ["ILSVRC2012_val_00000001.JPEG"] * 3,
        ".txt files": ["notes.txt"],
    }


def test_stray_folders_in_train(root):
    (root / "train/lists").mkdir()
    (root / "train/lists/train.txt").write_text("")
    save_picture(root / "train/loose.JPEG", kind="JPEG")
    found = listing(root)
    assert found.classes == tuple(sorted(WNIDS))
    assert passed_over(found) == {
        "folders that are no synset": ["lists"],
        ".txt files": ["train.txt"],
        "pictures outside of class folders": ["loose.JPEG"],
        "boxes of another synset": ["ILSVRC2012_val_00000002.xml (n03000003)"],
    }
    for name in ("lists", "n0200000", "n020000011", "a"):
        save_picture(root / f"train/{name}/0.JPEG", kind="JPEG")
    with pytest.raises(UserError, match=r"train holds pictures in a, lists, n0200000, n020000011, which is no synset"):
        listing(root)


def test_pictures_in_folders_of_a_class(root):
    save_picture(root / "train/n02000001/images/more.JPEG", kind="JPEG")
    assert "train/n02000001/images/more.JPEG" in {item.source_id for item in listing(root).splits["train"]}


def add(tar, name, content, kind=tarfile.REGTYPE):
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, len(content)
    tar.addfile(member, io.BytesIO(content))


def tar_of(**members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in members.items():
            add(tar, name, content)
    return stream.getvalue()


def test_foreign_members_of_archives(root, tmp_path):
    archives = as_archives(root, tmp_path / "archives")
    before = listing(archives)
    picture = (root / "train/n02000001/n02000001_0.JPEG").read_bytes()
    with tarfile.open(archives / "ILSVRC2012_img_train.tar", "a") as tar:
        add(tar, "folder", b"", tarfile.DIRTYPE)
        add(tar, "._n02000001.tar", b"AppleDouble")
        add(tar, "__MACOSX/n02000001.tar", b"AppleDouble")
        add(tar, "readme.txt", b"text")
        add(tar, "lists.tar", tar_of(**{"train.txt": b"text"}))
        class_tar = tar_of(**{"n04000004/a.JPEG": picture, "n04000004/._a.JPEG": b"AppleDouble", "a.xml": b""})
        add(tar, "folder/n04000004.tar", class_tar)
    with tarfile.open(archives / "ILSVRC2012_img_val.tar", "a") as tar:
        add(tar, "@eaDir/ILSVRC2012_val_00000001.JPEG", picture)
    (archives / "ILSVRC2012_bbox_val_v3.tgz").unlink()
    with tarfile.open(archives / "ILSVRC2012_bbox_val_v3.tgz", "w:gz") as tar:
        tar.add(root / "Annotations/CLS-LOC/val", "val")
        add(tar, "val/._ILSVRC2012_val_00000001.xml", b"AppleDouble")
        add(tar, "val/gone.XML", b"never read")
    found = listing(archives)
    assert found.classes == (*before.classes, "n04000004")
    assert found.splits["test"] == before.splits["test"]
    (added,) = set(found.splits["train"]) - set(before.splits["train"])
    assert (added.source_id, added.label, added.location.read()) == ("train/n04000004/a.JPEG", 3, picture)
    assert passed_over(found) == passed_over(before) | {
        "hidden files": ["._a.JPEG", "ILSVRC2012_img_train.tar:._n02000001.tar"],
        "in __MACOSX": ["n02000001.tar"],
        ".txt files": ["ILSVRC2012_img_train.tar:readme.txt", "ILSVRC2012_img_train.tar:train.txt"],
        ".xml files": ["ILSVRC2012_img_train.tar:a.xml"],
        "folders that are no synset": ["lists"],
        "in @eaDir": ["ILSVRC2012_val_00000001.JPEG"],
        "annotations without a picture": ["gone.XML"],
    }
    with tarfile.open(archives / "ILSVRC2012_img_train.tar", "a") as tar:
        add(tar, "a.tar", tar_of(**{"a.JPEG": picture}))
    with pytest.raises(UserError, match=r"train holds pictures in a, which is no synset"):
        listing(archives)
    with tarfile.open(archives / "ILSVRC2012_img_train.tar", "a") as tar:
        add(tar, "folder/n02000001.tar", b"")
    with pytest.raises(UserError, match=r"img_train.tar: holds two archives n02000001.tar"):
        listing(archives)


def test_members_of_one_name(root, tmp_path):
    """The last one counts, as tar unpacks them; two folders with one name do not go together."""
    archives = as_archives(root, tmp_path / "archives")
    with tarfile.open(archives / "ILSVRC2012_img_val.tar", "a") as tar:
        add(tar, "ILSVRC2012_val_00000001.JPEG", b"newer")
    first = {item.filename: item for item in listing(archives).splits["test"]}["ILSVRC2012_val_00000001.JPEG"]
    assert first.location.read() == b"newer"
    with tarfile.open(archives / "ILSVRC2012_img_val.tar", "a") as tar:
        add(tar, "other/ILSVRC2012_val_00000001.JPEG", b"another")
    with pytest.raises(UserError, match=r"img_val.tar: holds two pictures val/ILSVRC2012_val_00000001.JPEG"):
        listing(archives)


def test_val_in_class_folders(root):
    before = listing(root).splits["test"]
    for item in before:
        target = root / "val" / ("n01000002", "n02000001", "n03000003")[item.label]
        target.mkdir(exist_ok=True)
        shutil.move(root / item.source_id, target)
    found = listing(root).splits["test"]
    assert found != before and [repr(item) for item in found] == [repr(item) for item in before]
    for name in ("n03000003", "n09999999"):
        (root / "val" / name).mkdir(exist_ok=True)
        (file,) = (root / "val").rglob("ILSVRC2012_val_00000001.JPEG")
        shutil.move(file, root / "val" / name)
        with pytest.raises(UserError, match=rf"00000001.JPEG: lies in {name}, but its annotation says n02000001"):
            listing(root)


@pytest.mark.parametrize("other", ["more/ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000001.png"])
def test_two_validation_pictures_of_one_name(root, other):
    save_picture(root / "val" / other, kind="JPEG")
    with pytest.raises(UserError, match=r"two validation pictures are called ILSVRC2012_val_00000001: "):
        listing(root)


LINES = [f"ILSVRC2012_val_{i:08d}.JPEG\t{label}\t1.0 2.0 30.0 29.0" for i, label in enumerate([1, 0, 2, 2], 1)]


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(LINES),
        "\ufeff" + "\r\n".join(LINES) + "\r\n\r\n",
        "\n".join([*LINES, LINES[0], LINES[0].replace("\t", "  ").replace(".0", "")]),
        "\n".join(line.replace("ILSVRC", "val/ILSVRC") for line in LINES),
    ],
    ids=["plain", "windows", "doubled", "folders"],
)
def test_spellings_of_the_list(root, content):
    shutil.rmtree(root / "Annotations")
    (root / "val.txt").write_bytes(content.encode())
    found = listing(root)
    assert [(item.label, item.boxes) for item in found.splits["test"]] == [
        (label, ((1, 2, 30, 29),)) for label in (1, 0, 2, 2)
    ]
    assert not found.passed_over


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "ILSVRC2012_val_00000002.JPEG 2 1 2 30 29",
            r"val.txt: line 5: ILSVRC2012_val_00000002.JPEG has label 2, but 0",
        ),
        ("ILSVRC2012_val_00000002.JPEG 0 1 2 30", r"val.txt: line 5: expected name, label"),
        ("ILSVRC2012_val_00000002.JPEG 0 1 2 30 nan", r"val.txt: line 5: expected name, label"),
        ("ILSVRC2012_val_00000002.JPEG 0 1 2 30 inf", r"val.txt: line 5: expected name, label"),
    ],
)
def test_bad_lines_of_the_list(root, line, message):
    shutil.rmtree(root / "Annotations")
    (root / "val.txt").write_text("\n".join([*LINES, line]))
    with pytest.raises(UserError, match=message):
        listing(root)


def test_lines_without_a_picture(root):
    shutil.rmtree(root / "Annotations")
    (root / "val.txt").write_text("\n".join([*LINES, "gone.JPEG 77 1 2 30 29"]))
    found = listing(root)
    assert [(each.path, each.reason) for each in found.passed_over] == [
        (f"{root / 'val.txt'}: gone.JPEG", "annotations without a picture")
    ]


def test_training_boxes_in_an_archive(root, tmp_path):
    with tarfile.open(tmp_path / "boxes.tar.gz", "w:gz"):
        pass
    with pytest.raises(UserError, match=r"^ilsvrc_train_boxes=\S+boxes.tar.gz: is no folder; unpack it"):
        listing(root, ilsvrc_train_boxes=str(tmp_path / "boxes.tar.gz"))


def test_loops_of_links_among_annotations(root):
    write_train(root, "n02000001/n02000001_0.xml", voc(("n02000001", (1, 2, 9, 9))))
    for name in ("one", "other"):
        (root / "Annotations/CLS-LOC/train" / name).symlink_to(root / "Annotations")
    (found,) = [item for item in listing(root).splits["train"] if isinstance(item, ilsvrc.VocItem)]
    assert found.filename == "n02000001_0.JPEG"
