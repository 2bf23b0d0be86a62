"""Boxes that colours move: what is cut out, that it is the same every time, and what is said of it."""

import concurrent.futures

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from e2wsol.localization import protocols, refine
from e2wsol.localization.boxes import extract_box
from e2wsol.localization.score_map import to_score_map

SIDE = 144
NAMES = ("maxboxacc", "bas", "spol", "e2net")


def scene(seed, side=SIDE):
    """(view, score map, (x0, y0, x1, y1)): an orange ellipse on noisy green, its map a blob about a part of it."""
    random = np.random.default_rng(seed)
    width, height = random.integers(side // 4, side // 2, 2)
    x0, y0 = random.integers(4, side - width - 4), random.integers(4, side - height - 4)
    y, x = np.mgrid[:side, :side] + 0.5
    inside = ((x - x0 - width / 2) / (width / 2)) ** 2 + ((y - y0 - height / 2) / (height / 2)) ** 2 <= 1
    view = np.where(inside[..., None], (220, 130, 30), (40, 120, 60)) + random.integers(-15, 16, (side, side, 3))
    part = x0 + 0.4 * width, y0 + 0.5 * height
    score_map = np.exp(-(((x - part[0]) / width) ** 2 + ((y - part[1]) / height) ** 2) * 4)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return view.astype(np.uint8), score_map, (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_the_box_is_the_objects_where_its_colour_is_its_own(seed, name):
    view, score_map, true = scene(seed)
    found = refine.refine(view, score_map, protocols.get(name), refine.GRABCUT)
    assert np.abs(found.box * SIDE - true).max() <= 2 and found.name == refine.CUT
    assert refine.share_iou(found.box, np.array(true) / SIDE) > 0.9
    x, y, width, height = cv2.boundingRect(found.mask.astype(np.uint8))
    assert (found.box * SIDE).tolist() == pytest.approx([x, y, x + width, y + height])


@pytest.mark.parametrize("name", NAMES)
def test_without_refinement_the_box_is_the_maps(name):
    rules = protocols.get(name)
    random = np.random.default_rng(0)
    for _ in range(5):
        raw = random.normal(size=(7, 7))
        found = refine.refine(np.zeros((64, 64, 3), np.uint8), to_score_map(raw, 64, rules), rules, refine.NONE)
        plain = extract_box(raw, image_size=(64, 64), protocol=rules, size=64)
        np.testing.assert_array_equal((found.box * 64).astype(np.float32), plain)
        assert found.name == refine.PLAIN and found.mask is None


def test_the_same_in_any_thread_and_order():
    scenes = [scene(seed, side=64)[:2] for seed in range(8)]
    rules = protocols.get("maxboxacc")

    def found(pair):
        one = refine.refine(*pair, rules, refine.AUTO)
        return one.name, one.box.tolist(), one.quality

    expected = [found(pair) for pair in scenes]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(found, scenes[::-1]))[::-1] == expected


@pytest.mark.parametrize("mode", refine.MODES)
@pytest.mark.parametrize("name", NAMES)
def test_any_map_has_a_box_and_a_quality(mode, name):
    rules, random = protocols.get(name), np.random.default_rng(1)
    view = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    single = np.zeros((40, 40))
    single[0, 39] = 1
    for score_map in (np.zeros((40, 40)), np.ones((40, 40)), single, 1 - single, random.random((40, 40))):
        found = refine.refine(view, score_map, rules, mode)
        assert np.isfinite(found.box).all() and 0 <= found.quality <= 1
        if score_map.min() == score_map.max():
            assert (found.name, found.quality, found.mask) == (refine.PLAIN, 0.0, None)


def test_auto_takes_the_box_of_the_highest_estimate():
    for seed in range(4):
        view, score_map, _ = scene(seed)
        rules = protocols.get("maxboxacc")
        measured = refine.candidates(view, score_map, rules)
        estimates = {name: refine.estimate(name, each) for name, each in measured.measures.items()}
        found = refine.refine(view, score_map, rules, refine.AUTO)
        assert found.quality == estimates[found.name] == max(estimates.values())
        np.testing.assert_array_equal(found.box, measured.boxes[found.name])
        np.testing.assert_allclose(measured.boxes["mean"] * 2, measured.boxes["plain"] + measured.boxes["cut"])


def test_iou_of_shares():
    """Against counted pixels."""
    random = np.random.default_rng(2)
    for _ in range(50):
        pixels = np.sort(random.integers(0, 17, (2, 2, 2)), axis=1)  # (box, end, axis)
        masks = np.zeros((2, 16, 16), bool)
        for mask, ((x0, y0), (x1, y1)) in zip(masks, pixels):
            mask[y0:y1, x0:x1] = True
        union = (masks[0] | masks[1]).sum()
        expected = (masks[0] & masks[1]).sum() / union if union else 0
        assert refine.share_iou(*(pixels.reshape(2, 4) / 16)) == pytest.approx(expected)


@pytest.mark.parametrize("image_size", [(160, 80), (40, 120)])
def test_outlines_enclose_the_mask(image_size):
    """Pillow fills the polygons: what it gets is the mask, but for pixels at slanted edges."""
    mask = np.zeros((40, 40), bool)
    mask[5:20, 8:30] = True
    mask[25:36, 2:13] = True
    polygons = refine.outline(mask, image_size)
    boxes = sorted((*np.min(each, axis=0), *np.max(each, axis=0)) for each in polygons)
    width, height = image_size
    shares = np.array([[2, 25, 13, 36], [8, 5, 30, 20]]) / 40
    np.testing.assert_allclose(boxes, shares * [width, height, width, height])
    _, score_map, _ = scene(0)
    blob = score_map > 0.5
    drawn = Image.new("1", (SIDE * 4, SIDE * 4))
    for polygon in refine.outline(blob, drawn.size):
        ImageDraw.Draw(drawn).polygon(polygon, fill=1)
    expected = np.kron(blob, np.ones((4, 4), bool))
    assert (np.asarray(drawn) != expected).sum() < 0.05 * expected.sum()
    assert refine.outline(np.zeros((8, 8), bool), (8, 8)) == ()
