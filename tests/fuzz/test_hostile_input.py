"""Files made to use up memory, disk or time, or to lead out of the folder that they lie in."""

import io
import os
import pathlib
import tarfile

import hostile
import pytest
from limits import limited

from e2wsol.data import images
from e2wsol.errors import UserError
from e2wsol.prediction.inputs import find_pictures
from tfrecords import archive
from tfrecords.build import BuildOptions, arrange
from tfrecords.items import Location
from tfrecords.prepare import StoreOptions, prepare
from tfrecords.sources import cub, folder, ilsvrc

pytestmark = pytest.mark.slow
HERE = pathlib.Path(__file__).parent


def list_folder(root):
    return arrange(folder.list_pictures(root, folder.FolderOptions(), "nonzero"), BuildOptions())


def test_bombs_take_neither_memory_nor_time(tmp_path):
    """In 3 GB of address space, of which TensorFlow's libraries take one."""
    done = limited(HERE / "read_hostile.py", tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == 20 and all(float(seconds) < 10 for _, seconds in rows)
    results = dict(row[0].split(": ") for row in rows)
    refused = {name for name, result in results.items() if result in ("UserError", "InvalidArgumentError")}
    assert refused >= {name for name in results if not name.startswith("wide jpeg")}


@pytest.mark.parametrize("size", [(99_999_999, 1), (1, 99_999_999), (70_000, 8)])
def test_thin_pictures_are_refused_by_their_header(size):
    with pytest.raises(UserError, match=r"a\.png: picture of \d+x\d+ pixels; a side may have 65,535, reduce it"):
        images.decode(hostile.png_that_claims(*size), "a.png")


@pytest.mark.parametrize("depth", [10, 100_000])
def test_xml_bombs(depth):
    with pytest.raises(UserError, match=r"a\.xml: not a PASCAL-VOC annotation"):
        ilsvrc.parse_voc(hostile.laughs(), "a.xml")
    with pytest.raises(UserError, match=r"a\.xml: not a PASCAL-VOC annotation"):
        ilsvrc.parse_voc(b"<a>" * depth, "a.xml")
    assert ilsvrc.parse_voc(b"<a>" * depth + b"</a>" * depth, "a.xml").objects == ()


def tar_with(path, *members, mode="w:gz"):
    """A tar of (name, content or number of zeros, type, link)."""
    with tarfile.open(path, mode) as tar:
        for name, content, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            info.size = content if isinstance(content, int) else len(content)
            tar.addfile(info, io.BytesIO(bytes(content)))
    return path


@pytest.mark.parametrize(
    "members",
    [
        [("../outside", b"x", tarfile.REGTYPE, "")],
        [("/tmp/outside_of_the_archive", b"x", tarfile.REGTYPE, "")],
        [("link", b"", tarfile.SYMTYPE, "../.."), ("link/outside", b"x", tarfile.REGTYPE, "")],
        [("device", b"", tarfile.CHRTYPE, "")],
        [("zeros", 1 << 26, tarfile.REGTYPE, "")],
    ],
    ids=["up", "absolute", "link", "device", "bomb"],
)
def test_archives_stay_inside(tmp_path, members):
    path = tar_with(tmp_path / "a.tgz", *members)
    try:
        unpacked = archive.unpack(path, tmp_path / "in" / "records.unpacked")
    except UserError as error:
        assert str(error).startswith(f"{path}: cannot be unpacked (")
        assert not list((tmp_path / "in").iterdir()), "nothing is left behind"
    else:  # tarfile takes the leading slash off
        assert members[0][0].startswith("/") and (unpacked / members[0][0].lstrip("/")).is_file()
    assert not pathlib.Path("/tmp/outside_of_the_archive").exists() and not (tmp_path / "outside").exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.tgz", "in"]


def test_large_xml_in_an_archive(tmp_path):
    path = tar_with(tmp_path / "boxes.tgz", ("a.xml", 1 << 26, tarfile.REGTYPE, ""))
    with pytest.raises(UserError, match=r"a\.xml has 67,108,864 bytes, at most"):
        list(ilsvrc._xml_files(path))


def test_cut_box_archive(tmp_path):
    path = tar_with(tmp_path / "boxes.tgz", ("a.xml", os.urandom(9999), tarfile.REGTYPE, ""))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"boxes\.tgz: not a readable tar archive"):
        list(ilsvrc._xml_files(path))


def test_large_files_are_no_pictures(tmp_path):
    path = tmp_path / "sparse.jpg"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match=r"sparse\.jpg: larger than 256 MB; not a picture"):
        Location(str(path)).read()


def test_loops_of_links(tmp_path):
    root = tmp_path / "photos"
    for name in ("ant", "bee"):
        (root / name).mkdir(parents=True)
        (root / name / "0.jpg").write_bytes(hostile.jpeg())
        (root / name / "loop").symlink_to(root)
    (root / "ant" / "self.jpg").symlink_to(root / "ant" / "self.jpg")
    (root / "ant" / "gone.jpg").symlink_to(root / "nowhere.jpg")
    os.mkfifo(root / "bee" / "pipe.jpg")
    (root / "bee" / "zero.jpg").symlink_to("/dev/zero")
    assert sorted(item.source_id for items in list_folder(root).splits.values() for item in items) == [
        "ant/0.jpg",
        "bee/0.jpg",
    ]
    assert [picture.name for picture in find_pictures([str(root)])[0]] == ["ant/0.jpg", "bee/0.jpg"]


def test_names(tmp_path):
    root = tmp_path / "photos"
    (root / "Vögel 鳥 🐦\n").mkdir(parents=True)
    (root / "Vögel 鳥 🐦\n" / "a\tb.jpg").write_bytes(hostile.jpeg())
    listing = list_folder(root)
    (item,) = listing.splits["train"]
    picture = prepare(item, classes=listing.classes, options=StoreOptions(), slack=1, on_bad_box="error").record
    assert picture.class_name == "Vögel 鳥 🐦\n" and picture.source_id == "Vögel 鳥 🐦\n/a\tb.jpg"
    (pathlib.Path(os.fsdecode(os.fsencode(root) + b"/\xff"))).mkdir()
    (pathlib.Path(os.fsdecode(os.fsencode(root) + b"/\xff/a.jpg"))).write_bytes(hostile.jpeg())
    with pytest.raises(UserError, match=r"a name that is not UTF-8; rename it"):
        list_folder(root)


def test_cub_names_stay_inside(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(hostile.jpeg())
    root = tmp_path / "CUB_200_2011"
    (root / "images").mkdir(parents=True)
    tables = {"classes": "1 a", "image_class_labels": "1 1", "bounding_boxes": "1 1 1 9 9", "train_test_split": "1 1"}
    for name in ("../../secret.jpg", str(tmp_path / "secret.jpg")):
        for table, line in (tables | {"images": f"1 {name}"}).items():
            (root / f"{table}.txt").write_text(line)
        with pytest.raises(UserError, match=r"images\.txt: image 1 is .*secret\.jpg, which lies outside of images/"):
            cub.list_pictures(root, tmp_path / "out")
