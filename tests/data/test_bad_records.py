"""--on_bad_record=skip against data sets that were written without the bad records in the first place."""

import dataclasses
import json

import numpy as np
import pytest
from made_records import assert_equal, class_counts, made_picture, write_dataset, write_shard

from e2wsol.data import bad_records, dataset, pipeline, record_checks, record_streams, schema
from e2wsol.errors import ArgumentError, UserError

OPTIONS = pipeline.PipelineOptions(image_size=16, resize_size=20, shuffle_buffer=4)
SPLITS = ("train",)


def shards():
    """Three shards of good records, by name of picture."""
    return [{f"made/{i}": schema.encode(made_picture(i, i % 3)) for i in part} for part in np.split(np.arange(15), 3)]


def write(folder, parts):
    folder.mkdir()
    write_dataset(folder, {"train": []})
    document = json.loads((folder / dataset.FILE_NAME).read_text())
    entries = [write_shard(folder / f"part{i}", list(part.values())) for i, part in enumerate(parts)]
    labels = [int(name.split("/")[1]) % 3 for part in parts for name in part]
    document["splits"]["train"] = {"count": len(labels), "shards": entries, "class_counts": class_counts(labels, 3)}
    (folder / dataset.FILE_NAME).write_text(json.dumps(document))
    return folder


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """(records with seven bad ones of six kinds, the same without them)."""
    root = tmp_path_factory.mktemp("broken")
    bad, good = shards(), shards()
    for name, record in {
        "made/0": schema.encode(dataclasses.replace(made_picture(0, 0), jpeg=b"no picture")),
        "made/2": schema.encode(dataclasses.replace(made_picture(2, 2), jpeg=made_picture(2, 2).jpeg[:-300])),
        "made/6": schema.encode(made_picture(6, 3)),
        "made/7": b"not an example",
        "made/9": schema.encode(made_picture(9, 0, mask=np.ones((40, 30), np.uint8))).replace(b"IDAT", b"IXAT"),
    }.items():
        next(part for part in bad if name in part)[name] = record
        del next(part for part in good if name in part)[name]
    folder = write(root / "bad", bad)
    content = bytearray((folder / "part2").read_bytes())
    content[len(content) * 7 // 10] ^= 255  # in the fourth of five records, whose checksum does not hold any more
    (folder / "part2").write_bytes(content)
    for name in ("made/13", "made/14"):
        del good[2][name]
    return folder, write(root / "good", good)


def without_bad(folder, run_dir="nowhere"):
    return dataset.load(folder, on_bad_record="skip").without_bad_records(SPLITS, run_dir)


def train_batches(info, count=8, **settings):
    stream = pipeline.train_dataset(info, OPTIONS, **{"global_batch": 4, "seed": 3} | settings)
    return [tuple(batch[name].numpy() for name in ("image", "label")) for batch in stream.take(count)]


@pytest.mark.slow
def test_reading_is_as_without_the_bad_records(broken):
    skipped, clean = without_bad(broken[0]), dataset.load(broken[1])
    assert skipped.split("train").count == clean.split("train").count == 8
    assert_equal(train_batches(skipped), train_batches(clean))
    assert_equal(train_batches(skipped, 2, start_record=12), train_batches(clean, 5)[3:])
    streams = [pipeline.eval_dataset(info, OPTIONS, split="train", batch=3, limit=7) for info in (skipped, clean)]
    for one, other in zip(*streams, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_what_is_left_out_is_counted_and_named(broken, capsys):
    split = without_bad(broken[0]).split("train")
    found = [(bad.file[-5:], bad.record, bad.picture, bad.count, bad.rest) for bad in split.left_out]
    assert found == [
        ("part0", 0, "made/0", 1, False),
        ("part0", 2, "made/2", 1, False),
        ("part1", 1, "made/6", 1, False),
        ("part1", 2, "", 1, False),
        ("part1", 4, "made/9", 1, False),
        ("part2", 3, "", 2, True),
    ]
    starts = ["holds no readable JPEG", "holds no readable JPEG", "has label 3", "is not a picture record"]
    starts += ["holds no readable mask", "is damaged"]
    assert all(bad.reason.startswith(start) for bad, start in zip(split.left_out, starts, strict=True))
    assert capsys.readouterr().out == (
        "split train: 7 of 15 records cannot be read and are left out: made/0, made/2, made/6 and 3 more\n"
    )


def test_the_same_set_is_used_again(broken, tmp_path, monkeypatch):
    first = without_bad(broken[0], tmp_path)
    first.save_bad_records(tmp_path)
    content = (tmp_path / bad_records.FILE_NAME).read_text()
    monkeypatch.setattr(record_checks, "find_bad_records", None)  # nobody looks again
    again = without_bad(broken[0], tmp_path)
    assert again == first
    again.save_bad_records(tmp_path)
    assert (tmp_path / bad_records.FILE_NAME).read_text() == content
    with pytest.raises(TypeError):
        without_bad(broken[1], tmp_path)  # other records have a list of their own
    (tmp_path / bad_records.FILE_NAME).write_text("[]")
    with pytest.raises(UserError, match=r"bad_records.json: not a list of bad records"):
        without_bad(broken[0], tmp_path)


@pytest.mark.slow
def test_with_nothing_bad_nothing_changes(broken, capsys):
    info = without_bad(broken[1])
    assert info.split("train").left_out == () and not info.split("train").skipped
    assert_equal(train_batches(info), train_batches(dataset.load(broken[1])))
    assert info.skipped(("train", None)) == {} and capsys.readouterr().out == ""


@pytest.mark.parametrize("records", [0, 3])
@pytest.mark.slow
def test_a_shard_cut_between_records_loses_its_rest(tmp_path, records):
    folder = write(tmp_path / "cut", shards())
    kept = list(shards()[1].values())[:records]
    write_shard(folder / "part1", kept)
    with pytest.raises(UserError, match=r"part1: shard has \d+ bytes, expected"):
        dataset.load(folder)
    split = without_bad(folder).split("train")
    assert split.count == 10 + records and split.skipped == 5 - records
    assert split.shard(folder / "part1").count == records and split.shard("part0").left_out == ()
    ids = [record.numpy() for record in record_streams.stored(split)]
    assert ids == [record for part in (shards()[0].values(), kept, shards()[2].values()) for record in part]


def test_nothing_left_is_an_error(tmp_path):
    folder = write(tmp_path / "all", [{"made/0": b"no", "made/1": b"no"}])
    with pytest.raises(UserError, match=r"no record of split 'train' can be read; .*part0: record 0 is not a picture"):
        without_bad(folder)


@pytest.mark.slow
def test_a_record_that_breaks_later_is_still_an_error(broken, tmp_path):
    without_bad(broken[0]).save_bad_records(tmp_path)
    document = json.loads((tmp_path / bad_records.FILE_NAME).read_text())
    next(iter(document.values()))["train"].pop(1)
    (tmp_path / bad_records.FILE_NAME).write_text(json.dumps(document))
    info = without_bad(broken[0], tmp_path)
    with (
        pytest.raises(UserError, match=r"record 2 \(made/2\) holds no readable JPEG"),
        info.reading("train"),
    ):
        for _ in pipeline.eval_dataset(info, OPTIONS, split="train", batch=3):
            pass


def test_errors_are_the_default_and_write_nothing(broken, tmp_path, capsys):
    info = dataset.load(broken[1])
    assert info.without_bad_records(SPLITS, tmp_path) is info and capsys.readouterr().out == ""
    info.save_bad_records(tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ArgumentError, match=r"on_bad_record=ignore: unknown; choose one of error, skip"):
        dataset.load(broken[1], on_bad_record="ignore")


def test_looking_writes_nothing_until_it_is_saved(broken, tmp_path):
    info = without_bad(broken[0], tmp_path / "run")
    assert not (tmp_path / "run").exists() and info.skipped(SPLITS) == {"train": 7}
    info.save_bad_records(tmp_path)
    (listed,) = json.loads((tmp_path / "bad_records.json").read_text()).values()
    assert listed["train"][0] == {
        "file": "part0",
        "record": 0,
        "picture": "made/0",
        "reason": "holds no readable JPEG; replace the picture and run the builder again",
        "count": 1,
        "rest": False,
    }
