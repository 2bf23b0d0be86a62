"""Builds of folders made at random: every picture on disk is in the records, named, or the reason of a refusal."""

import pathlib
import tempfile

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_sources import read_split, run_build
from PIL import Image

from e2wsol.data import images
from e2wsol.errors import UserError
from tfrecords import build as build_command

SPLITS = (("",), ("train",), ("Training", "valid"), ("train", "val", "TEST"), ("train", "holiday"))
MODES = ("RGB", "L", "1", "P", "LA", "RGBA", "I;16", "broken", "empty")
MASKS = ("none", "L", "1", "P", "other size", "of no picture")
HEADERS = ("path,x0,y0,x1,y1", "File Name;xmin;ymin;xmax;ymax", "image\tx1\ty1\tx2\ty2", "path,x,y,w,h", "path,a,b,c,d")

pictures = st.lists(
    st.tuples(
        st.sampled_from(["ant", "bee", "Bär"]),
        st.sampled_from(["a.png", "b.PNG", "c.tif", ".d.png", "e.heic", "@eaDir/f.png", "deep/g.png"]),
        st.sampled_from(MODES),
        st.sampled_from(MASKS),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda entry: entry[:2],
)


def save(path, mode, size=(14, 12)):
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode in ("broken", "empty"):
        path.write_bytes(b"no picture" if mode == "broken" else b"")
        return
    pixels = np.random.default_rng(len(str(path))).integers(0, 256, (size[1], size[0]), dtype=np.uint8)
    image = Image.fromarray(pixels.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    image.save(path, "TIFF" if path.suffix == ".tif" else "PNG")


def make(root, splits, entries, header):
    """Writes the folder; returns the paths of all pictures in it, by their ending."""
    rows, delimiter = [header], next(each for each in ",;\t" if each in header)
    for number, (class_name, name, mode, mask, has_box) in enumerate(entries):
        below = pathlib.Path(splits[number % len(splits)], class_name, name)
        save(root / below, mode)
        if mask != "none":
            other = {"other size": (9, 9)}.get(mask, (14, 12))
            target = below.with_suffix(".png") if mask != "of no picture" else below.with_name(f"x{number}.png")
            save(root / "masks" / target, mask if mask in ("L", "1", "P") else "L", other)
        if has_box:
            rows.append(delimiter.join([below.as_posix(), "1", "2", "5", "6"]))
    (root / "boxes.csv").write_text("\n".join(rows) + "\n")
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and path.suffix.lower() in (*images.SUFFIXES, ".heic") and root / "masks" not in path.parents
    }


@given(
    splits=st.sampled_from(SPLITS),
    entries=pictures,
    header=st.sampled_from(HEADERS),
    policy=st.sampled_from(["skip", "error"]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_pictures_in_and_pictures_named_are_the_pictures_on_disk(splits, entries, header, policy):
    with tempfile.TemporaryDirectory() as folder:
        root, output = pathlib.Path(folder, "in"), pathlib.Path(folder, "out")
        on_disk = make(root, splits, entries, header)
        listings = []
        arrange = build_command.arrange
        try:
            build_command.arrange = lambda listing, build: listings.append(listing) or arrange(listing, build)
            info = run_build(output, source="folder", input=root, on_bad_record=policy)
        except UserError as error:
            assert "\n" not in str(error) and str(error)
            assert not (output / "dataset.json").exists()
            return
        finally:
            build_command.arrange = arrange
        used = {name for split in info.splits for name in read_split(info, split)}
        left_out = [line.partition(":")[0] for line in info.left_out_by_builder]
        passed_over = {pathlib.Path(each.path).relative_to(root).as_posix() for each in listings[0].passed_over}
        assert not used & passed_over
        assert len(used) + len(left_out) + len(passed_over & on_disk) == len(on_disk)
        bad = {name for name in on_disk if not (root / name).read_bytes().startswith((b"\x89PNG", b"II*"))}
        assert not used & bad
