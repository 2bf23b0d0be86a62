import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from e2wsol.data import pipeline, views

SIDES = st.one_of(st.integers(1, 40), st.integers(1, 700), st.sampled_from([1, 2, 3, 223, 224, 225, 256, 4000]))


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(SIDES, SIDES, st.integers(8, 300), st.integers(0, 2**32 - 1))
def test_resizing_is_tensorflows_to_the_bit(height, width, size, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    expected = pipeline.resize(image, size).numpy()
    found = views.resize(image, size)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.int32), expected.view(np.int32))


@pytest.mark.parametrize("shape", [(3000, 4000), (4000, 3000), (1, 1), (1, 333), (301, 7), (256, 256), (224, 224)])
@pytest.mark.parametrize("crop", ["center", "none"])
def test_views_of_photos_are_those_of_the_records(shape, crop):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    options = views.PipelineOptions(eval_crop=crop)
    found = views.eval_view(image, options)
    assert found.dtype == np.uint8 and found.shape == (224, 224, 3)
    np.testing.assert_array_equal(found, pipeline.eval_view(image, options))
    if crop == "none":  # the graph of an exported model takes a batch
        np.testing.assert_array_equal(found, pipeline.whole_view(image[None], 224)[0])
