"""Damaged tables, outlines and XML files beside sound pictures: records, or one clear line."""

import json
import shutil

import pytest
from hostile import jpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import altered, damaged

from e2wsol.errors import UserError
from tfrecords.build import BuildOptions, arrange
from tfrecords.prepare import StoreOptions, prepare
from tfrecords.sources import cub, folder, ilsvrc

pytestmark = pytest.mark.slow
BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
NUMBERS = st.sampled_from(
    ("1", "2.5", "30", "1e30", "-1e30", "nan", "inf", "", "x", "\u0661", "1e400", "-0", "1_0", "0x1", "\u00b2")
)
BOX = b"""<annotation><object><name>n00000001</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>20</xmax><ymax>9</ymax>
</bndbox></object></annotation>"""


def sound_or_clear(list_pictures):
    """Whether all pictures of a listing become sound Pictures; a UserError will do as well."""
    try:
        listing = arrange(list_pictures(), BuildOptions())
        for items in listing.splits.values():
            for item in items:
                picture = prepare(
                    item, classes=listing.classes, options=StoreOptions(), slack=listing.slack, on_bad_box="error"
                ).record
                if picture is None:
                    return False
                limits = [picture.width, picture.height] * 2
                assert (picture.boxes >= 0).all() and (picture.boxes <= limits).all()
                assert picture.mask is None or picture.mask.shape == (picture.height, picture.width)
    except UserError as error:
        assert len(str(error).splitlines()) == 1
        return False
    return True


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for name in ("ant/0.jpg", "ant/1.jpg", "bee/0.jpg"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(jpeg())
    return root


def list_folder(root):
    return sound_or_clear(lambda: folder.list_pictures(root, folder.FolderOptions(), "nonzero"))


def row(*values):
    return ",".join(values)


TABLE = row("path", "class", "split", "x0", "y0", "x1", "y1", "width", "height")
ROWS = st.lists(
    st.builds(
        row,
        st.sampled_from(("ant/0.jpg", "bee/0.jpg", "../ant/0.jpg", "", "é.jpg")),
        st.sampled_from(("ant", "bee", "")),
        st.sampled_from(("train", "test", "", "dev")),
        *[NUMBERS] * 6,
    ),
    max_size=3,
)


TABLES = ROWS.map(lambda rows: "\n".join([TABLE, *rows]).encode())


@BOUNDED
@given(TABLES | damaged((TABLE + "\nant/0.jpg,ant,test,1,2,9,9,,").encode()))
def test_boxes_csv(photos, content):
    (photos / "boxes.csv").write_bytes(content)
    list_folder(photos)
    (photos / "boxes.csv").unlink()


def test_huge_boxes_csv_cell(photos):
    (photos / "boxes.csv").write_text(TABLE + "\n" + "x" * 200_000)
    assert not list_folder(photos)
    (photos / "boxes.csv").write_text(TABLE + "\nant/0.jpg,ant,test,1,2,9,9,32,24")
    assert list_folder(photos)
    (photos / "boxes.csv").unlink()


OUTLINES = {"ant/0.jpg": [[1, 1], [9, 1], [5, 9]], "bee/0.jpg": [[[1, 1], [9, 1], [5, 9]], [[2, 2], [3, 2], [3, 3]]]}


@BOUNDED
@given(altered(OUTLINES).map(json.dumps).map(str.encode) | damaged(json.dumps(OUTLINES).encode()))
def test_contours_json(photos, content):
    (photos / "contours.json").write_bytes(content)
    list_folder(photos)
    (photos / "contours.json").unlink()


def test_deep_contours_json(photos):
    (photos / "contours.json").write_text('{"ant/0.jpg":' + "[" * 100_000)
    assert not list_folder(photos)
    (photos / "contours.json").write_text(json.dumps(OUTLINES))
    assert list_folder(photos)
    (photos / "contours.json").unlink()


@BOUNDED
@given(damaged(BOX) | NUMBERS.map(lambda number: BOX.replace(b"20", number.encode())))
def test_xml(content):
    try:
        found = ilsvrc.parse_voc(content, "a.xml")
    except UserError as error:
        assert str(error).startswith("a.xml: ")
    else:
        assert all(isinstance(name, str) and len(box) == 4 for name, box in found.objects)


CUB = {
    "images.txt": "1 001.Auk/a.jpg\n2 001.Auk/b.jpg",
    "classes.txt": "1 001.Auk",
    "image_class_labels.txt": "1 1\n2 1",
    "bounding_boxes.txt": "1 1.0 2.0 9.0 9.0\n2 0.0 0.0 32.0 24.0",
    "train_test_split.txt": "1 1\n2 0",
}


@BOUNDED
@given(st.data())
def test_cub_tables(tmp_path_factory, data):
    root = tmp_path_factory.getbasetemp() / "CUB_200_2011"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("a.jpg", "b.jpg"):
        (root / "images/001.Auk").mkdir(parents=True, exist_ok=True)
        (root / "images/001.Auk" / name).write_bytes(jpeg())
    victim = data.draw(st.sampled_from([None, *CUB]))
    for name, text in CUB.items():
        (root / name).write_bytes(data.draw(damaged(text.encode())) if name == victim else text.encode())
    sound = sound_or_clear(lambda: cub.list_pictures(root, root / "out"))
    assert sound or victim is not None


@BOUNDED
@given(damaged(b"a.JPEG\t0\t1 2 20 9\nb.JPEG\t0\t0 0 32 24\n"))
def test_box_list(tmp_path_factory, content):
    root = tmp_path_factory.getbasetemp() / "ilsvrc"
    for name in ("train/n00000001/x.JPEG", "val/a.JPEG", "val/b.JPEG"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(jpeg())
    (root / "val.txt").write_bytes(content)
    sound_or_clear(lambda: ilsvrc.list_pictures(root, ilsvrc.IlsvrcOptions()))
