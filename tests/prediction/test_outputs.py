"""Which files predict writes, where, and what is in them beside the labels."""

import io
import json

import numpy as np
import pytest
from made_finder import red_box_picture, red_finder, save
from PIL import Image

from e2wsol import predict
from e2wsol.errors import ArgumentError, UserError
from e2wsol.owned_files import LIST, OwnedFolder
from e2wsol.prediction import inputs
from e2wsol.prediction.formats import FORMATS, Common
from e2wsol.prediction.outputs import OVERLAYS, Layout, OutputOptions, Writer

NAMES = ("gull", "tern", "auk")
DOCUMENTS = {name: set(form.documents) for name, form in FORMATS.items()}


@pytest.fixture
def photos(tmp_path):
    """A folder with two pictures."""
    save(tmp_path / "photos" / "a b.png", red_box_picture(40, 60, (5, 5, 30, 30)))
    save(tmp_path / "photos" / "sub" / "Möwe.jpg", red_box_picture(90, 50, (10, 20, 40, 80)), quality=95)
    return tmp_path / "photos"


def write(photos, output, *, replace=False, **options):
    """As the command does; returns the Found."""
    layout, folder = Layout(OutputOptions(overlays=False, **options)), OwnedFolder(output, "predict")
    pictures, _ = inputs.find_pictures([photos], leave_out=[output / OVERLAYS, *folder.earlier_files()])
    folder.check(layout.names(pictures), replace=replace)
    folder.clear()
    writer, found = Writer(folder, layout, Common(NAMES, {"model": "m"})), []
    for each in predict.predict(red_finder(class_names=NAMES), pictures):
        writer.add(each)
        found.append(each)
    writer.finish()
    assert not writer.unwritten
    names = layout.names(pictures)
    assert contents(output) == set(names) and len(names) == len(set(names))
    return found


def contents(folder):
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return {name for name in found if name != LIST}


@pytest.mark.parametrize("name", FORMATS)
def test_one_format_goes_into_the_folder_and_several_into_one_each(photos, tmp_path, name):
    copies = {"copy_pictures": bool(FORMATS[name].picture_folder)}
    write(photos, tmp_path / "one", format=(name,), **copies)
    assert contents(tmp_path / "one") >= DOCUMENTS[name]
    write(photos, tmp_path / "two", format=(name, "json" if name != "json" else "voc", name), **copies)
    for file in contents(tmp_path / "one"):
        assert (tmp_path / "two" / name / file).read_bytes() == (tmp_path / "one" / file).read_bytes(), file


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"format": ("ultralytics",)},
            "format=ultralytics: ultralytics has the pictures beside the labels; add",
        ),
        ({"format": ("json", "fiftyone")}, "format=json,fiftyone: fiftyone has the pictures beside the labels; add"),
        ({"format": ()}, "format=: unknown; choose one of json, coco"),
        (
            {"copy_pictures": True},
            "copy_pictures is set, but no format of json has pictures; ultralytics and",
        ),
        (
            {"format": ("voc", "coco"), "link_pictures": True},
            "link_pictures is set, but no format of voc, coco has",
        ),
        (
            {"format": ("fiftyone",), "copy_pictures": True, "link_pictures": True},
            "link_pictures is set beside copy_pictures; choose one of them",
        ),
    ],
)
def test_options_that_do_not_go_together(options, words):
    with pytest.raises(ArgumentError) as caught:
        Layout(OutputOptions(**options))
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(("form", "folder"), [("ultralytics", "images"), ("fiftyone", "data")])
def test_copies_and_links(photos, tmp_path, form, folder):
    write(photos, tmp_path / "copied", format=(form,), copy_pictures=True)
    write(photos, tmp_path / "linked", format=(form,), link_pictures=True)
    (tmp_path / "linked").rename(tmp_path / "moved")
    for name in ("a b.png", "sub/Möwe.jpg"):
        copy, link = (tmp_path / place / folder / name for place in ("copied", "moved"))
        assert copy.read_bytes() == link.read_bytes() == (photos / name).read_bytes()
        assert link.is_symlink() and link.resolve() == photos / name and not copy.is_symlink()


@pytest.mark.parametrize("options", [{"copy_pictures": True}, {"link_pictures": True}])
def test_what_was_written_before_is_no_picture(photos, options):
    """Also where the output lies among the pictures, and a link leads to a picture that sorts behind it."""
    output = photos / "0"
    settings = {"format": ("ultralytics", "fiftyone"), "maps": "png", **options}
    first = write(photos, output, **settings)
    second = write(photos, output, replace=True, **settings)
    assert [each.image for each in first] == [each.image for each in second]
    assert [each.image.name for each in second] == ["a b.png", "sub/Möwe.jpg"]


@pytest.mark.parametrize("options", [{"copy_pictures": True}, {"link_pictures": True}])
def test_files_of_others_stay(photos, tmp_path, options):
    mine = tmp_path / "out" / "images" / "a b.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(ArgumentError, match=r"images/a b\.png is there, and predict has no record of writing it"):
        write(photos, tmp_path / "out", format=("ultralytics",), **options)
    assert contents(tmp_path / "out") == {"images/a b.png"} and mine.read_bytes() == b"mine"


def test_maps_as_numbers_are_the_maps(photos, tmp_path):
    for found in write(photos, tmp_path / "out", maps="npy"):
        stored = np.load(tmp_path / "out" / "maps" / f"{found.image.name}.npy")
        np.testing.assert_array_equal(stored, found.map)
        assert stored.shape == (32, 32) and stored.dtype == found.map.dtype
        assert stored.min() == 0 and stored.max() == 1


def test_maps_as_pictures_lie_over_their_pictures(photos, tmp_path):
    for found in write(photos, tmp_path / "out", maps="png"):
        size = found.image.width, found.image.height
        with Image.open(photos / found.image.name) as picture:
            assert picture.size == size
        with Image.open(tmp_path / "out" / "maps" / f"{found.image.name}.png") as stored:
            assert stored.mode == "L" and stored.size == size
            levels = np.asarray(stored, np.float32)
        expected = Image.fromarray((found.map * 255).astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
        assert min(size) >= 32  # Pillow widens its filter where a picture shrinks
        np.testing.assert_allclose(levels, np.asarray(expected), atol=1.5)


def test_pictures_that_would_share_a_map(tmp_path):
    for folder in "ab":
        save(tmp_path / folder / "x.png", red_box_picture(40, 60, (5, 5, 30, 30)))
    pictures, _ = inputs.find_pictures([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(UserError, match=r"a pair of pictures would share a map: .*a/x.png and .*b/x.png; rename one"):
        Layout(OutputOptions(maps="npy")).names(pictures)
    assert Layout(OutputOptions()).names(pictures)


def test_a_run_that_ends_early_leaves_whole_documents(tmp_path):
    layout, folder = Layout(OutputOptions(format=("json", "yolo", "cvat"), overlays=False)), OwnedFolder(tmp_path, "p")
    writer = Writer(folder, layout, Common(NAMES, {}))
    writer.finish()
    assert contents(tmp_path) == {"json/predictions.json", "yolo/classes.txt", "cvat/annotations.xml"}
    assert json.load(io.StringIO((tmp_path / "json" / "predictions.json").read_text()))["pictures"] == []
