import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import made_picture

from e2wsol.data import schema
from e2wsol.data.image_record import ImageRecord, check_boxes
from e2wsol.errors import UserError


def round_trip(picture):
    return {name: value.numpy() for name, value in schema.parse(schema.encode(picture)).items()}


def test_every_field_comes_back():
    mask = np.zeros((40, 30), np.uint8)
    mask[3:9, 5:20], mask[0] = 1, 255
    picture = made_picture(7, 2, mask=mask, boxes=[(0, 0, 30, 40), (1.25, 2.5, 3.75, 10)])
    record = round_trip(picture)
    assert record["jpeg"] == picture.jpeg
    assert record["size"].tolist() == [40, 30] and record["size"].dtype == np.int32
    assert record["label"] == 2 and record["class_name"] == b"class 2"
    assert record["filename"] == b"7.jpg" and record["source_id"] == b"made/7"
    assert record["boxes"].tolist() == [[0, 0, 30, 40], [1.25, 2.5, 3.75, 10]]
    decoded = cv2.imdecode(np.frombuffer(record["mask"], np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded, mask)


def test_features_have_the_object_detection_names():
    example = tf.train.Example.FromString(schema.encode(made_picture(1, 0)))
    names = set(example.features.feature)
    sides = {f"image/object/bbox/{side}" for side in ("xmin", "ymin", "xmax", "ymax")}
    plain = {"encoded", "format", "height", "width", "filename", "source_id", "class/label", "class/text"}
    assert names == sides | {f"image/{name}" for name in plain}
    assert example.features.feature["image/format"].bytes_list.value[0] == b"jpeg"
    assert example.features.feature["image/object/bbox/xmax"].float_list.value[0] == np.float32(20 / 30)


def test_no_boxes_and_no_mask():
    record = round_trip(made_picture(1, 0, boxes=()))
    assert record["boxes"].shape == (0, 4) and record["mask"] == b""


def test_a_pseudo_mask_is_added_to_what_was_there():
    plain = schema.encode(made_picture(7, 2, height=33, width=47, boxes=[(1, 2, 3, 4)]))
    assert round_trip(made_picture(7, 2))["pseudo_mask"] == b""
    asked = []

    def draw(height, width):
        asked.append((height, width))
        return np.random.default_rng(0).integers(0, 256, (height, width, 2), dtype=np.uint8)

    masked = schema.add_pseudo_mask(plain, draw)
    assert asked == [(33, 47)]
    stored = schema.parse(masked)["pseudo_mask"].numpy()
    decoded = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1]
    np.testing.assert_array_equal(decoded, np.pad(draw(33, 47), ((0, 0), (0, 0), (0, 1))), "red, green and no blue")
    before, after = (tf.train.Example.FromString(record) for record in (plain, masked))
    del after.features.feature["image/segmentation/pseudo_mask"]
    assert after == before
    again = schema.add_pseudo_mask(masked, lambda height, width: np.zeros((height, width, 2), np.uint8))
    assert schema.parse(again)["pseudo_mask"] != stored and schema.parse(again)["jpeg"] == schema.parse(plain)["jpeg"]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20_000), st.integers(1, 20_000), st.data())
def test_whole_pixels_come_back_exactly(height, width, data):
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    box = (x0, y0, data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height)))
    picture = made_picture(0, 0, boxes=[box])
    fields = {name: getattr(picture, name) for name in picture.__dataclass_fields__}
    record = round_trip(ImageRecord(**fields | {"height": height, "width": width}))
    assert record["boxes"].tolist() == [list(map(float, box))]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4), st.integers(2, 4000))
def test_any_box_comes_back_within_a_thousandth_of_a_pixel(fractions, side):
    box = np.sort(np.asarray(fractions, np.float32).reshape(2, 2), axis=0).reshape(4) * (side, 2 * side, side, 2 * side)
    picture = made_picture(0, 0, boxes=[box])
    fields = {name: getattr(picture, name) for name in picture.__dataclass_fields__}
    record = round_trip(ImageRecord(**fields | {"height": 2 * side, "width": side}))
    np.testing.assert_allclose(record["boxes"][0], box, atol=1e-3)


def test_boxes_are_clipped_within_the_slack():
    boxes = check_boxes([(-0.5, 0, 31, 40)], height=40, width=30, name="a.jpg", slack=1)
    assert boxes.tolist() == [[0, 0, 30, 40]] and boxes.dtype == np.float32
    assert check_boxes([], height=4, width=4, name="a.jpg").shape == (0, 4)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((5, 5, 5, 9), "a.jpg: box 5,5,5,9 is inverted or empty; x0 < x1 and y0 < y1 are needed"),
        ((9, 5, 5, 9), "a.jpg: box 9,5,5,9 is inverted or empty; x0 < x1 and y0 < y1 are needed"),
        ((0, 0, float("nan"), 9), "a.jpg: box 0,0,nan,9 is inverted or empty; x0 < x1 and y0 < y1 are needed"),
        ((0, 0, 32, 9), "a.jpg: box 0,0,32,9 lies outside the picture of 30x40 pixels"),
        ((31, 0, 31.5, 9), "a.jpg: box 31,0,31.5,9 lies outside the picture of 30x40 pixels"),
    ],
)
def test_impossible_boxes_name_file_and_box(box, message):
    with pytest.raises(UserError) as error:
        check_boxes([box], height=40, width=30, name="a.jpg", slack=1)
    assert str(error.value) == message
