import dataclasses
import json

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import made_picture, write_dataset, write_shard
from PIL import Image

from e2wsol.data import dataset, pipeline, schema
from e2wsol.errors import UserError

OPTIONS = pipeline.PipelineOptions(image_size=16, resize_size=20, shuffle_buffer=8, resize_filter="bilinear")


def batches(records, count, **changes):
    settings = {"global_batch": 6, "seed": 5} | changes
    stream = pipeline.train_dataset(dataset.load(records), OPTIONS, **settings)
    return [(batch["image"].numpy(), batch["label"].numpy()) for batch in stream.take(count)]


def assert_equal(left, right):
    assert len(left) == len(right)
    for (image, label), (other_image, other_label) in zip(left, right):
        np.testing.assert_array_equal(image, other_image)
        np.testing.assert_array_equal(label, other_label)


def test_train_batches_have_the_promised_form(records):
    stream = pipeline.train_dataset(dataset.load(records), OPTIONS, global_batch=6, seed=1)
    assert stream.element_spec == {
        "image": tf.TensorSpec((6, 16, 16, 3), tf.uint8),
        "label": tf.TensorSpec((6,), tf.int32),
    }


def test_every_pass_holds_every_picture_once_in_a_new_order(records):
    labels = np.concatenate([label for _, label in batches(records, 23, global_batch=2)])
    first, second = labels[:23], labels[23:]
    assert np.bincount(first).tolist() == np.bincount(second).tolist() == [8, 8, 7]
    assert first.tolist() != second.tolist()


def test_same_seed_same_stream_whatever_the_global_seed(records):
    tf.random.set_seed(1)
    stream = batches(records, 6)
    tf.random.set_seed(2)
    assert_equal(stream, batches(records, 6))
    other = batches(records, 6, seed=6)
    assert any(not np.array_equal(image, changed) for (image, _), (changed, _) in zip(stream, other))


@pytest.mark.parametrize("start", [1, 6, 22, 23, 47])
def test_a_later_start_gives_the_rest_of_the_stream(records, start):
    whole = batches(records, 12)
    images, labels = (np.concatenate(parts) for parts in zip(*whole))
    rest = batches(records, 3, start_record=start)
    got_images, got_labels = (np.concatenate(parts) for parts in zip(*rest))
    np.testing.assert_array_equal(got_images, images[start : start + 18])
    np.testing.assert_array_equal(got_labels, labels[start : start + 18])


@pytest.mark.parametrize(("shards", "start"), [(2, 0), (3, 6), (2, 7)])
def test_shards_together_are_the_unsharded_batch(records, shards, start):
    whole = batches(records, 5, start_record=start)
    parts = [batches(records, 5, start_record=start, shard_index=i, num_shards=shards) for i in range(shards)]
    for step, (image, label) in enumerate(whole):
        for index in range(shards):
            # Record i of the stream belongs to shard i % shards, wherever the stream was entered.
            mine = (start + step * 6 + np.arange(6)) % shards == index
            np.testing.assert_array_equal(parts[index][step][0], image[mine])
            np.testing.assert_array_equal(parts[index][step][1], label[mine])


def test_a_batch_that_cannot_be_shared_out(records):
    with pytest.raises(UserError, match="6 pictures cannot be split over 4 workers"):
        batches(records, 1, num_shards=4)


def test_crops_and_flips_are_windows_of_the_resized_picture(tmp_path):
    picture = made_picture(3, 0, height=48, width=40)
    records = write_dataset(tmp_path, {"train": [[picture]]}, classes=1)
    resized = pipeline.resize(pipeline.decode(picture.jpeg), 20).numpy()
    windows = {}
    for y in range(5):
        for x in range(5):
            window = resized[y : y + 16, x : x + 16].astype(np.uint8)
            windows[window.tobytes()] = (y, x, False)
            windows[window[:, ::-1].tobytes()] = (y, x, True)
    stream = batches(records, 1, global_batch=400)[0][0]
    seen = [windows[image.tobytes()] for image in stream]
    assert {(y, x) for y, x, _ in seen} == {(y, x) for y in range(5) for x in range(5)}
    assert 0.4 < np.mean([flipped for *_, flipped in seen]) < 0.6


def test_every_view_of_records_is_antialiased(tmp_path):
    """Training windows, evaluation views and ten crops are cut from what Pillow resizes, one gray level beside it."""
    picture = made_picture(3, 0, height=148, width=140)
    data = dataset.load(write_dataset(tmp_path, {"train": [[picture]], "test": [[picture]]}, classes=1))
    options = dataclasses.replace(OPTIONS, resize_filter="antialias", flip=False)
    decoded = Image.fromarray(pipeline.decode(picture.jpeg).numpy())
    resized, whole = (
        np.asarray(decoded.resize((side, side), Image.Resampling.BILINEAR)).astype(int) for side in (20, 16)
    )
    windows = [resized[y : y + 16, x : x + 16] for y in range(5) for x in range(5)]
    for seen in next(iter(pipeline.train_dataset(data, options, global_batch=32, seed=0)))["image"].numpy():
        assert min(np.abs(seen - window).max() for window in windows) <= 1
    batch = next(iter(pipeline.eval_dataset(data, options, split="test", batch=1, crops=10)))
    assert np.abs(batch["image"].numpy()[0] - resized[2:18, 2:18]).max() <= 1
    assert np.abs(batch["crops"].numpy()[0, 0] - resized[:16, :16]).max() <= 1
    straight = dataclasses.replace(options, eval_crop="none")
    batch = next(iter(pipeline.eval_dataset(data, straight, split="test", batch=1)))
    assert np.abs(batch["image"].numpy()[0] - whole).max() <= 1


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 90), st.integers(2, 90), st.integers(2, 70), st.integers(0, 2**31))
def test_resize_agrees_with_opencv(height, width, size, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = cv2.resize(image.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(pipeline.resize(image, size).numpy(), expected, atol=2e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.booleans(), st.integers(0, 2**31))
def test_views_are_those_of_the_plain_operations(height, width, saturated, seed):
    """Bit for bit those of the resize of uint8 pictures, clipped, cut and mirrored value by value."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = (image // 128 * 255).astype(np.uint8) if saturated else image
    plain = np.clip(tf.image.resize(image, (20, 20)).numpy(), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(pipeline.eval_view(image, OPTIONS), plain[2:18, 2:18])
    key = tf.constant([seed, 1], tf.int64)
    y, x, flip = tf.random.stateless_uniform([3], seed=key, alg="philox").numpy() * (5, 5, 1)
    window = plain[int(y) : int(y) + 16, int(x) : int(x) + 16]
    expected = window[:, ::-1] if flip < 0.5 else window
    np.testing.assert_array_equal(pipeline._train_view(image, OPTIONS, key), expected)


def test_decode_agrees_with_opencv():
    image = np.random.default_rng(0).integers(0, 256, (37, 51, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", cv2.GaussianBlur(image, (5, 5), 0))[1].tobytes()
    expected = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    difference = np.abs(pipeline.decode(jpeg).numpy().astype(int) - expected)
    assert difference.max() <= 2 and difference.mean() < 0.05


def test_eval_batches(records):
    info = dataset.load(records)
    first, second = pipeline.eval_dataset(info, OPTIONS, split="test", batch=4).as_numpy_iterator()
    assert first["image"].shape == (4, 16, 16, 3) and first["image"].dtype == np.uint8
    assert first["source_id"].tolist() == [f"made/{i}".encode() for i in range(100, 104)]
    assert first["num_boxes"].tolist() == [0, 1, 2, 3] and first["boxes"].shape == (4, 3, 4)
    assert first["boxes"][2].tolist() == [[0, 0, 10, 12], [1, 1, 11, 13], [-1, -1, -1, -1]]
    assert first["size"].tolist() == [[40, 30]] * 4 and first["mask"].tolist() == [b""] * 4
    assert second["filename"].tolist() == [b"104.jpg"] and second["mask"][0].startswith(b"\x89PNG")


def test_eval_view_is_the_truncated_centre(records):
    info = dataset.load(records)
    jpeg = made_picture(100, 0).jpeg
    resized = pipeline.resize(pipeline.decode(jpeg), 20).numpy()
    batch = next(iter(pipeline.eval_dataset(info, OPTIONS, split="test", batch=1)))
    np.testing.assert_array_equal(batch["image"][0], resized[2:18, 2:18].astype(np.uint8))
    straight = dataclasses.replace(OPTIONS, eval_crop="none")
    batch = next(iter(pipeline.eval_dataset(info, straight, split="test", batch=1)))
    np.testing.assert_array_equal(
        batch["image"][0], pipeline.resize(pipeline.decode(jpeg), 16).numpy().astype(np.uint8)
    )


def test_ten_crops_are_corners_and_centre_of_both_images():
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    crops = pipeline.ten_crops(image, 16).numpy()
    assert crops.shape == (10, 16, 16, 3) and crops.dtype == np.uint8
    for half, source in ((crops[:5], image), (crops[5:], image[:, ::-1])):
        corners = source[:16, :16], source[:16, -16:], source[-16:, :16], source[-16:, -16:]
        for crop, expected in zip(half, (*corners, source[2:18, 2:18])):
            np.testing.assert_array_equal(crop, expected)
    both = pipeline.ten_crops(np.stack([image, image[::-1]]), 16).numpy()
    np.testing.assert_array_equal(both[0], crops)


def test_eval_batches_with_ten_crops(records):
    info = dataset.load(records)
    plain = next(iter(pipeline.eval_dataset(info, OPTIONS, split="test", batch=4)))
    batch = next(iter(pipeline.eval_dataset(info, OPTIONS, split="test", batch=4, crops=10)))
    assert "crops" not in plain and batch["crops"].shape == (4, 10, 16, 16, 3) and batch["crops"].dtype == tf.uint8
    np.testing.assert_array_equal(batch["crops"][:, 4], batch["image"])
    straight = dataclasses.replace(OPTIONS, eval_crop="none")
    other = next(iter(pipeline.eval_dataset(info, straight, split="test", batch=4, crops=10)))
    np.testing.assert_array_equal(other["crops"], batch["crops"])


def test_eval_limit_and_shards(records):
    def ids(**changes):
        stream = pipeline.eval_dataset(dataset.load(records), OPTIONS, split="test", batch=2, **changes)
        return [name.decode()[-3:] for batch in stream for name in batch["source_id"].numpy()]

    assert ids(limit=3) == ["100", "101", "102"]
    assert ids(shard_index=1, num_shards=2) == ["101", "103"]
    assert ids(shard_index=0, num_shards=2) == ["100", "102", "104"]


def test_supervised_pairs(records):
    stream = pipeline.train_dataset(dataset.load(records), OPTIONS, global_batch=4, seed=0)
    image, label = next(iter(pipeline.supervised(stream)))
    assert image.shape == (4, 16, 16, 3) and label.shape == (4,)


def test_crop_larger_than_the_resized_picture():
    with pytest.raises(UserError, match=r"^resize_size=200: must be at least image_size=224"):
        pipeline.PipelineOptions(resize_size=200)


def read_all(folder):
    info = dataset.load(folder)
    with info.reading("test"):
        for _ in pipeline.eval_dataset(info, OPTIONS, split="test", batch=2):
            pass


def broken_picture(**changes):
    picture = made_picture(1, 0)
    fields = {name: getattr(picture, name) for name in picture.__dataclass_fields__}
    return type(picture)(**fields | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jpeg": b"no picture"}, r"record 1 \(made/1\) holds no readable JPEG"),
        ({"jpeg": made_picture(1, 0).jpeg[:-300]}, r"record 1 \(made/1\) holds no readable JPEG"),
        ({"label": 3}, r"record 1 \(made/1\) has label 3; dataset.json names 3 classes"),
        ({"label": 2**32}, r"record 1 \(made/1\) has label 2147483647; dataset.json names 3 classes"),
        ({"label": 2**32 + 1}, r"record 1 \(made/1\) has label 2147483647; dataset.json names 3 classes"),
        ({"label": -(2**32)}, r"record 1 \(made/1\) has label -2147483648; dataset.json names 3 classes"),
    ],
)
def test_guard_names_the_broken_record(tmp_path, monkeypatch, changes, message):
    pictures = [made_picture(0, 0), broken_picture(**changes)]
    monkeypatch.setattr("made_records.class_counts", lambda labels, classes: [len(labels), 0, 0])
    write_dataset(tmp_path, {"test": [pictures]})
    with pytest.raises(UserError, match=f"test-00000-of-00001.tfrecord: {message}"):
        read_all(tmp_path)


def test_guard_names_the_damaged_shard(tmp_path):
    write_dataset(tmp_path, {"test": [[made_picture(i, 0) for i in range(3)]]})
    shard = tmp_path / "test-00000-of-00001.tfrecord"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 255
    shard.write_bytes(content)
    with pytest.raises(UserError, match=f"{shard}: record 1 is damaged"):
        read_all(tmp_path)


def test_guard_lets_other_errors_through(records):
    with pytest.raises(tf.errors.InvalidArgumentError), dataset.load(records).reading("test"):
        tf.reshape(tf.zeros(3), (2, 2))


def test_an_empty_split(tmp_path):
    info = dataset.load(write_dataset(tmp_path, {"train": [[]]}))
    with pytest.raises(UserError, match="split 'train' holds no picture"):
        pipeline.train_dataset(info, OPTIONS, global_batch=2, seed=0)


def self_masked(picture):
    """The record of a picture with a pseudo mask that is its own red and green, and the mask."""
    mask = pipeline.decode(picture.jpeg).numpy()[..., :2]
    return schema.add_pseudo_mask(schema.encode(picture), lambda height, width: mask), mask


@pytest.fixture(scope="module")
def masked_records(tmp_path_factory):
    """Pictures of many sizes, each masked by itself; train has masks, test has none."""
    folder = tmp_path_factory.mktemp("masked")
    train = [made_picture(i, i % 3, height=21 + 3 * i, width=58 - 2 * i) for i in range(12)]
    write_dataset(folder, {"train": [train[:7], train[7:]], "test": [[made_picture(50, 0)]]})
    document = json.loads((folder / dataset.FILE_NAME).read_text())
    shards = [
        write_shard(folder / f"m{i}", [self_masked(p)[0] for p in part])
        for i, part in enumerate((train[:7], train[7:]))
    ]
    document["splits"]["train"]["shards"] = shards
    (folder / dataset.FILE_NAME).write_text(json.dumps(document | {"pseudo_mask_splits": ["train"]}))
    return folder, train


def test_pseudo_masks_change_nothing_else(masked_records):
    info = dataset.load(masked_records[0])
    settings = {"global_batch": 5, "seed": 3, "start_record": 4}
    plain = pipeline.train_dataset(info, OPTIONS, **settings)
    masked = pipeline.train_dataset(info, OPTIONS, pseudo_masks=True, **settings)
    assert masked.element_spec == plain.element_spec | {"pseudo_mask": tf.TensorSpec((5, 16, 16, 2), tf.uint8)}
    for one, other in zip(plain.take(4), masked.take(4)):
        for name in ("image", "label"):
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("flip", [True, False])
def test_pseudo_masks_have_the_crop_and_flip_of_their_pictures(masked_records, flip):
    """All windows of all resized pictures are known; each must come with the same window of its resized mask."""
    folder, train = masked_records
    options = dataclasses.replace(OPTIONS, flip=flip)
    windows = {}
    for picture in train:
        mask = self_masked(picture)[1]
        resized = pipeline.resize(pipeline.decode(picture.jpeg), 20).numpy().astype(np.uint8)
        nearest = cv2.resize(mask, (20, 20), interpolation=cv2.INTER_NEAREST)
        for y in range(5):
            for x in range(5):
                pair = resized[y : y + 16, x : x + 16], nearest[y : y + 16, x : x + 16]
                windows[pair[0].tobytes()] = (*pair, False)
                windows[pair[0][:, ::-1].tobytes()] = (*(one[:, ::-1] for one in pair), True)
    stream = pipeline.train_dataset(dataset.load(folder), options, global_batch=48, seed=1, pseudo_masks=True)
    flips = []
    for batch in stream.take(3):
        for image, mask in zip(batch["image"].numpy(), batch["pseudo_mask"].numpy()):
            _, expected, flipped = windows[image.tobytes()]
            np.testing.assert_array_equal(mask, expected)
            flips.append(flipped)
    assert 0.3 < np.mean(flips) < 0.7 if flip else not any(flips)


def test_missing_pseudo_masks(masked_records, records):
    info = dataset.load(masked_records[0])
    with pytest.raises(
        UserError, match=r"split 'test' has no pseudo masks; make them with python -m e2wsol\.pseudo_masks"
    ):
        pipeline.train_dataset(info, OPTIONS, split="test", global_batch=2, seed=0, pseudo_masks=True)
    with pytest.raises(UserError, match=f"^{records}: split 'train' has no pseudo masks"):
        pipeline.train_dataset(dataset.load(records), OPTIONS, global_batch=2, seed=0, pseudo_masks=True)


def test_guard_names_the_record_without_a_readable_pseudo_mask(tmp_path):
    write_dataset(tmp_path, {"train": [[made_picture(i, 0) for i in range(3)]]})
    document = json.loads((tmp_path / dataset.FILE_NAME).read_text())
    (tmp_path / dataset.FILE_NAME).write_text(json.dumps(document | {"pseudo_mask_splits": ["train"]}))
    info = dataset.load(tmp_path)
    with (
        pytest.raises(UserError, match=r"record 0 \(made/0\) holds no readable pseudo mask"),
        info.reading("train"),
    ):
        next(iter(pipeline.train_dataset(info, OPTIONS, global_batch=2, seed=0, pseudo_masks=True)))


@pytest.mark.parametrize("size", [16, 224, 256])
def test_nearest_resize_agrees_with_opencv(size):
    """In the graph of tf.data as in eager mode, also where an exact product is rounded down."""
    sizes = [*range(1, 90), 186, 198, 210, 234, 372, 500]
    rows = (np.arange(source, dtype=np.float32)[:, None, None] for source in sizes)
    stream = tf.data.Dataset.from_tensor_slices(sizes).map(
        lambda source: pipeline.resize_nearest(tf.range(source)[:, None, None], size)
    )
    for row, streamed in zip(rows, stream, strict=True):
        expected = cv2.resize(row, (size, size), interpolation=cv2.INTER_NEAREST)[..., None]
        np.testing.assert_array_equal(streamed, expected)
        np.testing.assert_array_equal(pipeline.resize_nearest(row, size), expected)
