import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from e2wsol.config import from_arguments
from e2wsol.data import pipeline, views
from e2wsol.errors import UserError

SIDES = st.one_of(st.integers(1, 40), st.integers(1, 700), st.sampled_from([1, 2, 3, 223, 224, 225, 256, 4000]))


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(SIDES, SIDES, st.integers(8, 300), st.integers(0, 2**32 - 1))
def test_resizing_is_tensorflows_to_the_bit(height, width, size, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    expected = pipeline.resize(image, size).numpy()
    found = views.resize(image, size)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.int32), expected.view(np.int32))


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(SIDES, SIDES, st.integers(8, 300), st.integers(0, 2**32 - 1))
@hypothesis.example(1, 4000, 8, 0)
@hypothesis.example(4000, 3, 300, 0)
def test_antialiased_resizing_is_tensorflows_to_the_bit_and_pillows_to_one_level(height, width, size, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    expected = pipeline.resize_antialiased(image, size).numpy()
    found = views.resize_antialiased(image, size)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.int32), expected.view(np.int32))
    view = views.whole_view(image, size, "antialias")
    np.testing.assert_array_equal(view, pipeline.whole_view(image, size, "antialias"))
    of_pillow = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    difference = np.abs(view.astype(int) - of_pillow)
    assert difference.max() <= 1 and difference.mean() < 0.3


@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
def test_flat_pictures_stay_flat(value):
    for shape in [(3000, 2999, 3), (1, 1, 3), (5, 700, 3)]:
        flat = np.full(shape, value, np.uint8)
        assert (views.whole_view(flat, 64, "antialias") == value).all()


@pytest.mark.parametrize("shape", [(3000, 4000), (4000, 3000), (1, 1), (1, 333), (301, 7), (256, 256), (224, 224)])
@pytest.mark.parametrize("crop", ["center", "none"])
@pytest.mark.parametrize("resize_filter", ["bilinear", "antialias"])
def test_views_of_photos_are_those_of_the_records(shape, crop, resize_filter):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    options = views.PipelineOptions(eval_crop=crop, resize_filter=resize_filter)
    found = views.eval_view(image, options)
    assert found.dtype == np.uint8 and found.shape == (224, 224, 3)
    np.testing.assert_array_equal(found, pipeline.eval_view(image, options))
    if crop == "none":  # the graph of an exported model takes a batch
        np.testing.assert_array_equal(found, pipeline.whole_view(image[None], 224, resize_filter)[0])


def test_the_noise_of_a_large_photo_is_averaged_away():
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(60, 196, (12, 16, 3), np.uint8))
    photo = np.asarray(small.resize((4000, 3000), Image.Resampling.BICUBIC))
    noisy = np.clip(photo + rng.normal(0, 20, photo.shape).astype(np.float32), 0, 255).astype(np.uint8)

    def change(resize_filter):
        options = views.PipelineOptions(resize_filter=resize_filter)
        return np.abs(views.eval_view(noisy, options).astype(int) - views.eval_view(photo, options)).mean()

    assert change("antialias") < change("bilinear") / 4


def test_undecided_is_antialiased():
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    undecided, decided = views.PipelineOptions(), views.PipelineOptions(resize_filter="antialias")
    np.testing.assert_array_equal(views.eval_view(image, undecided), views.eval_view(image, decided))


def test_an_unknown_filter():
    with pytest.raises(UserError, match=r"^resize_filter=cubic: unknown; choose one of auto, bilinear, antialias"):
        from_arguments(views.PipelineOptions, {"resize_filter": "cubic"})
