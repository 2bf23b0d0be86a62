import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2wsol.localization.pseudo_mask import (
    gaussians,
    nearest_indices,
    pseudo_mask,
    targets,
    to_picture,
    to_prior,
)

SIZE = 256


def plain_pseudo_mask(class_map):
    """The released rules one after the other, a picture of the frame's size for every quantity."""
    foreground = cv2.resize(class_map / (class_map.max() + np.float32(1e-6)), (SIZE, SIZE))
    band = np.where((foreground >= np.float32(0.1)) & (foreground <= np.float32(0.5)), foreground, 0).astype(float)
    contours = cv2.findContours((band > 0).astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    prior = np.zeros((SIZE, SIZE))
    for contour in contours:
        if cv2.contourArea(contour) < 20:
            continue
        weights = cv2.drawContours(np.zeros((SIZE, SIZE)), [contour], -1, 1.0, cv2.FILLED) * band
        weights /= weights.sum()
        dx, dy = x - (weights * x).sum(), y - (weights * y).sum()
        xx, yy, xy = ((weights * product).sum() / 10 for product in (dx * dx, dy * dy, dx * dy))
        root = -1 / (2 * (1 - xy**2 / (xx * yy)))
        prior = np.maximum(prior, np.exp(root * (dx**2 / xx + dy**2 / yy - 2 * dx * dy * xy / (xx * yy))))
    return foreground, prior


def blobs(seed, side, spread, *, clip=None, shift=0.0):
    """A smooth random map (side, side) float32, never below 0; `shift` lowers it, `clip` cuts its tops."""
    noise = np.random.default_rng(seed).standard_normal((side, side)).astype(np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), spread, borderType=cv2.BORDER_CONSTANT)
    field = np.maximum(field / np.abs(field).max() - np.float32(shift), 0)
    return np.minimum(field, np.float32(clip)) if clip else field


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from((14, 28, 32, 96, 256)),
    st.floats(0.6, 6),
    st.sampled_from((None, 0.2, 0.5)),
    st.sampled_from((0.0, 0.1, 0.4)),
    st.tuples(st.integers(8, 500), st.integers(8, 500)),
)
def test_equal_to_the_plain_way(seed, side, spread, clip, shift, size):
    class_map = blobs(seed, side, spread, clip=clip, shift=shift)
    foreground, prior = pseudo_mask(class_map)
    plain_foreground, plain_prior = plain_pseudo_mask(class_map)
    np.testing.assert_array_equal(foreground, plain_foreground)
    np.testing.assert_allclose(prior, plain_prior, rtol=1e-9, atol=1e-12)
    three = np.stack([255.0 * plain_foreground, 255 * plain_prior, 0 * prior], axis=-1)
    stored = np.uint8(cv2.resize(three, size))
    np.testing.assert_array_equal(to_picture(foreground, prior, size[1], size[0]), stored[..., :2])


def binary_map():
    """Nothing between 0 and 1: the band is empty where no resize blurs the edge."""
    class_map = np.zeros((SIZE, SIZE), np.float32)
    class_map[80:200, 60:180] = 1
    return class_map


def specks():
    """Band pixels in groups of 5x5, whose contours enclose 16 square pixels."""
    class_map = binary_map()
    for start in range(5, 60, 10):
        class_map[start : start + 5, start : start + 5] = 0.3
    return class_map


@pytest.mark.parametrize(
    "class_map",
    [
        np.zeros((32, 32), np.float32),
        np.full((32, 32), 3, np.float32),
        np.full((28, 28), -2, np.float32),
        blobs(0, 32, 3) * np.float32(1e-8),
        binary_map(),
        specks(),
        np.full((7, 7), np.nan, np.float32),
        np.where(blobs(0, 14, 3) > 0.9, np.float32(np.inf), 0),
    ],
    ids=["zero", "constant", "negative", "tiny peak", "empty band", "specks", "nan", "infinite"],
)
def test_maps_without_a_usable_contour_have_no_prior(class_map):
    foreground, prior = pseudo_mask(class_map)
    assert not prior.any() and prior.shape == (SIZE, SIZE)
    assert foreground.min() >= 0 and foreground.max() <= 1  # NaN is neither
    picture = to_picture(foreground, prior, 40, 50)
    assert not picture[..., 1].any()
    target, weight = targets(picture, 32)
    np.testing.assert_array_equal(target, cv2.resize(picture[..., 0], (32, 32), interpolation=cv2.INTER_NEAREST) >= 64)
    assert (weight >= target).all()


def test_negative_values_count_as_zero():
    class_map = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    for ours, expected in zip(pseudo_mask(class_map), pseudo_mask(np.maximum(class_map, 0))):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize(("height", "width", "kept"), [(5, 6, 1), (5, 5, 0), (2, 21, 1), (2, 20, 0), (1, 99, 0)])
def test_contours_of_exactly_the_least_area_are_kept(height, width, kept):
    """A rectangle's contour runs through its border pixels: (height - 1) * (width - 1)."""
    foreground = np.zeros((SIZE, SIZE), np.float32)
    foreground[30 : 30 + height, 40 : 40 + width] = 0.3
    assert len(gaussians(foreground)) == kept


def test_lines_and_points_have_no_gaussian_even_without_a_least_area():
    foreground = np.zeros((SIZE, SIZE), np.float32)
    foreground[10, 10] = foreground[50, 20:90] = foreground[60:90, 200] = 0.3
    assert gaussians(foreground, min_area=0).shape == (0, 5)
    foreground[100:103, 100:103] = 0.3
    np.testing.assert_allclose(gaussians(foreground, min_area=0), [[101, 101, 8 / 120, 8 / 120, 0]], atol=1e-12)


def test_moments_of_a_rectangle():
    """A uniform row of n pixels has the variance (n^2 - 1) / 12."""
    foreground = np.zeros((SIZE, SIZE), np.float32)
    foreground[100:141, 20:51] = 0.4
    np.testing.assert_allclose(gaussians(foreground), [[35, 120, 960 / 120, 1680 / 120, 0]], atol=1e-9)
    prior = to_prior(gaussians(foreground), SIZE)
    assert prior[120, 35] == prior.max() == pytest.approx(1)
    np.testing.assert_allclose(prior[120, 39], np.exp(-(4**2) / (2 * 8)), rtol=1e-9)
    np.testing.assert_allclose(prior[115, 35], np.exp(-(5**2) / (2 * 14)), rtol=1e-9)


def test_the_band_has_both_its_ends():
    foreground = np.zeros((SIZE, SIZE), np.float32)
    foreground[10:30, 10:30], foreground[50:70, 10:30] = 0.1, 0.5
    foreground[10:30, 50:70], foreground[50:70, 50:70] = np.nextafter(np.float32((0.1, 0.5)), np.float32((0, 1)))
    np.testing.assert_allclose(gaussians(foreground)[:, :2], [[19.5, 59.5], [19.5, 19.5]])
    assert len(gaussians(foreground, band=(0.05, 0.6))) == 4


def test_a_hole_has_a_gaussian_of_its_own_from_the_ring_around_it():
    """The hole's contour is filled too, and only its border holds band pixels."""
    foreground = np.zeros((SIZE, SIZE), np.float32)
    foreground[40:161, 60:181] = 0.3
    foreground[80:101, 100:121] = 0.9
    outer, hole = gaussians(foreground)[np.argsort(-gaussians(foreground)[:, 2])]
    assert hole[0] == pytest.approx(110) and hole[1] == pytest.approx(90)
    # The ring's pixels: the sides of a square of half side 11 without its corners.
    side = np.arange(-10, 11)
    variance = (2 * (side**2).sum() + 2 * len(side) * 11**2) / (4 * len(side))
    np.testing.assert_allclose(hole[2:], [variance / 10, variance / 10, 0], atol=1e-9)
    weights = np.where(foreground == np.float32(0.3), foreground, 0) / foreground[foreground < 0.5].sum()
    np.testing.assert_allclose(outer[1], (weights.sum(axis=1) * np.arange(SIZE)).sum(), rtol=1e-6)
    prior = to_prior(np.array([outer, hole]), SIZE)
    np.testing.assert_array_equal(prior, np.maximum(to_prior(outer[None], SIZE), to_prior(hole[None], SIZE)))


@pytest.mark.parametrize("centre", [(0, 0), (0, 16), (31, 31), (31, 5)])
def test_blobs_on_the_border(centre):
    y, x = np.mgrid[:32, :32] - np.reshape(centre, (2, 1, 1))
    class_map = np.exp(-(x**2 + y**2) / 60).astype(np.float32)
    prior = pseudo_mask(class_map)[1]
    np.testing.assert_allclose(prior, plain_pseudo_mask(class_map)[1], rtol=1e-9, atol=1e-12)
    assert prior.max() > 0.99 and np.isfinite(prior).all()


def test_stored_values_are_truncated():
    foreground, prior = (np.full((SIZE, SIZE), value) for value in (63.99 / 255, 1.0))
    assert np.unique(to_picture(foreground.astype(np.float32), prior, 30, 20)[..., 0]).tolist() == [63]
    assert np.unique(to_picture(foreground, prior, 30, 20)[..., 1]).tolist() == [255]


def test_gray_levels_of_object_background_and_ignored_pixels():
    levels = [(64, 0), (63, 0), (3, 0), (2, 0), (0, 64), (0, 63), (10, 63), (10, 64)]
    picture = np.repeat(np.array(levels, np.uint8)[None], 8, axis=0)
    target, weight = targets(picture, 8)
    assert target[0].tolist() == [1, 0, 0, 0, 1, 0, 0, 1] and target.dtype == weight.dtype == np.uint8
    assert weight[0].tolist() == [1, 0, 0, 1, 1, 1, 0, 1]
    target, weight = targets(picture, 8, threshold=0.01, background=0.05)
    assert target[0].tolist() == [1, 1, 1, 0, 1, 1, 1, 1] and weight.all()


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 600))
def test_nearest_indices_are_those_of_opencv(source, target):
    row = np.arange(source, dtype=np.float32)[None]
    expected = cv2.resize(row, (target, 1), interpolation=cv2.INTER_NEAREST)[0]
    np.testing.assert_array_equal(nearest_indices(source, target), expected)
    assert nearest_indices(210, 256)[128] == 104, "rounding takes 105 down by one"
