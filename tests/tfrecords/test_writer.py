import dataclasses
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from made_sources import decode_mask, read_split, save_picture
from PIL import Image

from e2wsol.data import dataset, images
from e2wsol.data.synthetic import SyntheticOptions
from e2wsol.errors import UserError
from tfrecords import writer
from tfrecords.items import FileItem, Item, Listing, Location, RawPicture
from tfrecords.masks import MaskFile
from tfrecords.prepare import Policies, StoreOptions
from tfrecords.sources import synthetic


@dataclasses.dataclass(frozen=True)
class MadeItem(Item):
    """A flat picture; refuses to be read while the file `switch` exists."""

    switch: str = ""
    boxes: tuple = ((1.0, 2.0, 9.0, 8.0),)

    def read(self):
        if self.switch and tf.io.gfile.exists(self.switch):
            raise UserError(f"{self.source_id}: switched off")
        return RawPicture(np.full((16, 20, 3), int(self.source_id), np.uint8), np.asarray(self.boxes))


def listing(count=10):
    items = [MadeItem(str(i), i % 2) for i in range(count)]
    return Listing("made", ("even", "odd"), {"train": items[:-2], "test": items[-2:]})


def write(output, made=None, **options):
    options = {"source": "made", "created_by": {"holdout": 0.0}, "shard_pictures": 3} | options
    return writer.write(made or listing(), output, **options)


def times(output):
    return {path.name: path.stat().st_mtime_ns for path in output.glob("*.tfrecord")}


def changed(before, after):
    return sorted(name for name in after if before.get(name) != after[name])


def test_shards_and_description(tmp_path):
    info = write(tmp_path)
    assert [path.rsplit("/", 1)[1] for path in info.split("train").files] == [
        f"train-{i:05d}-of-00003.tfrecord" for i in range(3)
    ]
    assert info.split("train").class_counts == (4, 4) and info.has_boxes and not info.has_masks
    document = json.loads((tmp_path / "dataset.json").read_text())
    assert [shard["count"] for shard in document["splits"]["train"]["shards"]] == [2, 3, 3]
    dataset.load(tmp_path, verify=True)
    assert list(read_split(info, "train")) == [str(i) for i in range(8)], "order is kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*times(tmp_path), "dataset.json"])


def test_worker_processes_write_the_same_bytes(tmp_path):
    # Items of a class that worker processes can import.
    made = synthetic.list_pictures(SyntheticOptions(synthetic_train=5, synthetic_val=0, synthetic_test=2))
    for name, workers in (("one", 1), ("two", 2)):
        write(tmp_path / name, made, workers=workers, store=StoreOptions())
    for file in ("train-00000-of-00002.tfrecord", "test-00000-of-00001.tfrecord"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_an_interrupted_build_goes_on(tmp_path):
    switch = tmp_path / "switch"
    switch.touch()
    output = tmp_path / "out"
    made = listing(10)
    made.splits["train"][6] = dataclasses.replace(made.splits["train"][6], switch=str(switch))
    with pytest.raises(UserError, match=r"^6: switched off; mend it, or leave such pictures out by on_bad_record=skip"):
        write(output, made)
    finished = times(output)
    assert sorted(finished) == [
        "test-00000-of-00001.tfrecord",
        "train-00000-of-00003.tfrecord",
        "train-00001-of-00003.tfrecord",
    ], "all but the one with the bad picture"
    assert not (output / "dataset.json").exists() and not list(output.glob(".tmp*"))
    switch.unlink()
    info = write(output, made)
    assert changed(finished, times(output)) == ["train-00002-of-00003.tfrecord"]
    assert info.split("train").count == 8 and not (output / writer.PROGRESS).exists()


def test_a_second_run_writes_nothing(tmp_path):
    write(tmp_path)
    before = times(tmp_path)
    write(tmp_path)
    assert changed(before, times(tmp_path)) == []


@pytest.mark.parametrize("damage", [b"", b"cut", None])
def test_a_damaged_shard_is_made_again(tmp_path, damage):
    write(tmp_path)
    before = times(tmp_path)
    shard = tmp_path / "train-00001-of-00003.tfrecord"
    content = shard.read_bytes()
    if damage is None:
        shard.unlink()
    else:
        shard.write_bytes(damage)
    with pytest.raises(UserError, match=shard.name):
        dataset.load(tmp_path)
    write(tmp_path)
    assert shard.read_bytes() == content
    assert changed(before, times(tmp_path)) == [shard.name]


def test_a_corrected_annotation_rewrites_its_shard_alone(tmp_path):
    write(tmp_path)
    before = times(tmp_path)
    made = listing()
    made.splits["train"][4] = dataclasses.replace(made.splits["train"][4], boxes=((0.0, 0.0, 5.0, 5.0),))
    info = write(tmp_path, made)
    assert changed(before, times(tmp_path)) == ["train-00001-of-00003.tfrecord"]
    assert read_split(info, "train")["4"]["boxes"].tolist() == [[0, 0, 5, 5]]


def file_listing(folder, count=6):
    """Pictures with masks, boxes in their items: what lies behind a path can change."""
    for number in range(count):
        save_picture(folder / f"{number}.png", height=12, width=16, seed=number)
        save_picture(folder / f"mask{number}.png", height=12, width=16, seed=number, mode="L")
    items = [
        FileItem(
            str(number),
            number % 2,
            Location(str(folder / f"{number}.png")),
            mask=MaskFile(Location(str(folder / f"mask{number}.png")), "nonzero"),
        )
        for number in range(count)
    ]
    return Listing("files", ("even", "odd"), {"train": items})


@pytest.mark.parametrize("file", ["4.png", "mask4.png"])
def test_changed_content_under_the_old_name_rewrites_its_shard_alone(tmp_path, file):
    made, output = file_listing(tmp_path / "in"), tmp_path / "out"
    write(output, made)
    before = times(output)
    stamp = (tmp_path / "in" / file).stat()
    save_picture(tmp_path / "in" / file, height=12, width=16, seed=99, mode="L" if "mask" in file else "RGB")
    os.utime(tmp_path / "in" / file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    info = write(output, made)
    assert changed(before, times(output)) == ["train-00001-of-00002.tfrecord"]
    pixels = np.asarray(Image.open(tmp_path / "in/4.png"))
    record = read_split(info, "train")["4"]
    assert record["jpeg"] == images.encode_jpeg(pixels, 95)
    np.testing.assert_array_equal(decode_mask(record), np.asarray(Image.open(tmp_path / "in/mask4.png")) > 0)


def test_touched_or_moved_files_of_the_same_content_are_kept(tmp_path):
    made, output = file_listing(tmp_path / "in"), tmp_path / "out"
    write(output, made)
    before = times(output)
    for path in (tmp_path / "in").iterdir():
        os.utime(path, ns=(1, 1))
    write(output, made)
    assert changed(before, times(output)) == []
    write(output, file_listing(tmp_path / "elsewhere"))
    assert changed(before, times(output)) == []
    write(output, made, rebuild=True)
    assert changed(before, times(output)) == sorted(before)


def test_shards_of_an_older_builder_are_made_again(tmp_path):
    write(tmp_path)
    path = tmp_path / "dataset.json"
    document = json.loads(path.read_text())
    for shard in document["splits"]["train"]["shards"]:
        for name in ("content_sha256", "stamps_sha256", "policies", "skipped", "mended_boxes"):
            del shard[name]
    path.write_text(json.dumps(document))
    dataset.load(tmp_path)
    before = times(tmp_path)
    write(tmp_path)
    assert changed(before, times(tmp_path)) == [f"train-{i:05d}-of-00003.tfrecord" for i in range(3)]


def bad_listing(tmp_path, *bad):
    switch = tmp_path / "switch"
    switch.touch()
    made = listing()
    for number in bad:
        made.splits["train"][number] = dataclasses.replace(made.splits["train"][number], switch=str(switch))
    return made


def test_all_bad_pictures_are_named_at_once(tmp_path):
    made = bad_listing(tmp_path, 0, 3, 7)
    with pytest.raises(UserError) as error:
        write(tmp_path / "out", made)
    assert str(error.value) == (
        "3 of 10 pictures cannot be used: 0: switched off | 3: switched off | 7: switched off; "
        "mend them, or leave such pictures out by on_bad_record=skip"
    )
    (tmp_path / "switch").unlink()
    assert write(tmp_path / "out", made).split("train").count == 8


def test_bad_pictures_are_left_out_counted_and_named(tmp_path):
    made, policies = bad_listing(tmp_path, 0, 3, 7), Policies(record="skip")
    info = write(tmp_path / "out", made, policies=policies)
    assert list(read_split(info, "train")) == ["1", "2", "4", "5", "6"]
    assert info.split("train").count == 5 and info.split("train").class_counts == (3, 2)
    assert info.left_out_by_builder == tuple(f"{number}: switched off" for number in (0, 3, 7))
    before = times(tmp_path / "out")
    write(tmp_path / "out", made, policies=policies)
    assert changed(before, times(tmp_path / "out")) == []
    with pytest.raises(UserError, match=r"^3 of 8 pictures cannot be used"):
        write(tmp_path / "out", made)


@pytest.mark.parametrize(
    ("bad", "message"),
    [(range(8), "no picture of split train can be used"), ((1, 3, 5, 7), "no picture of class odd in split train can")],
)
def test_nothing_left_of_a_split_or_class(tmp_path, bad, message):
    with pytest.raises(UserError, match=message):
        write(tmp_path / "out", bad_listing(tmp_path, *bad), policies=Policies(record="skip"))


NAN = float("nan")


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ((9.0, 8.0, 1.0, 2.0), [[1, 2, 9, 8]]),
        ((5.0, 8.0, 30.0, 2.0), [[5, 2, 20, 8]]),
        ((-9.0, -9.0, 99.0, 99.0), [[0, 0, 20, 16]]),
        ((30.0, 2.0, 40.0, 8.0), []),
        ((3.0, 3.0, 3.0, 8.0), []),
        ((NAN, 3.0, 5.0, 8.0), []),
    ],
)
def test_bad_boxes_are_refused_cut_or_left_out(tmp_path, box, clipped):
    good = (1.0, 2.0, 9.0, 8.0)
    made = listing()
    made.splits["train"][4] = dataclasses.replace(made.splits["train"][4], boxes=(good, box))
    with pytest.raises(UserError, match=r"^4: box .*; or choose on_bad_box=clip or skip; mend it"):
        write(tmp_path / "out", made)
    for policy, expected in (("clip", clipped), ("skip", [])):
        info = write(tmp_path / "out", made, policies=Policies(box=policy))
        assert read_split(info, "train")["4"]["boxes"].tolist() == [list(good), *expected]
        (mended,) = info.mended_boxes
        assert mended.startswith("4: box ") and mended.endswith("cut" if expected else "left out")


def test_shards_of_a_larger_listing_are_removed(tmp_path):
    write(tmp_path)
    info = write(tmp_path, listing(6))
    assert sorted(times(tmp_path)) == sorted(
        path.rsplit("/", 1)[1] for split in info.splits.values() for path in split.files
    )


def test_other_options_are_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(UserError, match=r"^output=.*: made with holdout=0.0, now holdout=0.1; choose another"):
        write(tmp_path, created_by={"holdout": 0.1})
    dataset.load(tmp_path)


def test_foreign_folders_are_refused(tmp_path):
    (tmp_path / "x.tfrecord").touch()
    with pytest.raises(UserError, match=r"holds x.tfrecord, but no dataset.json"):
        write(tmp_path)
    (tmp_path / "dataset.json").write_text('{"format": 1}')
    with pytest.raises(UserError, match=r"dataset.json: not written by this builder"):
        write(tmp_path)


def test_label_out_of_range(tmp_path):
    made = dataclasses.replace(listing(), classes=("even",))
    with pytest.raises(
        UserError, match=r"^5 of 10 pictures cannot be used: 1: label 1; there are 1 classes, from 0 \| 3: "
    ):
        write(tmp_path, made)


def test_pixels_are_stored_as_jpeg_of_the_quality(tmp_path):
    info = write(tmp_path, store=StoreOptions(jpeg_quality=30))
    record = read_split(info, "train")["5"]
    assert record["jpeg"] == images.encode_jpeg(np.full((16, 20, 3), 5, np.uint8), 30)


def test_a_full_disk_is_an_oserror(tmp_path, monkeypatch):
    class FullWriter:
        def __init__(self, path):
            open(path, "wb").close()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def write(self, record):
            raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.io, "TFRecordWriter", FullWriter)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path)
    assert not list(tmp_path.glob("*.tfrecord"))
