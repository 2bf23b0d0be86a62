import csv
import dataclasses
import pathlib

import numpy as np
import pytest

from e2wsol.localization import protocols
from e2wsol.localization.baselines import CENTRE_BOX, CENTRE_GAUSSIAN, Baselines, centre_box, centre_gaussian
from e2wsol.localization.frame import Frame
from e2wsol.localization.iou import pairwise_iou
from e2wsol.localization.metrics import LocalizationScorer
from e2wsol.localization.pixel_metrics import pxap

ANIMALS = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data" / "caltech101-animals" / "boxes.csv"
FRAME = Frame(size=32, resize=32)


def test_centre_box_is_centred():
    np.testing.assert_allclose(centre_box((200, 100)), [[30, 15, 170, 85]])


def test_gaussian_is_symmetric_and_falls_outwards():
    gaussian = centre_gaussian(16)
    np.testing.assert_array_equal(gaussian, gaussian.T)
    np.testing.assert_allclose(gaussian, gaussian[::-1], rtol=1e-15)
    assert (np.diff(gaussian[8, 8:]) < 0).all()


@pytest.mark.parametrize("name", protocols.names())
def test_gaussian_is_scored_like_any_map(name):
    protocol = protocols.get(name)
    # Also where a method's maps are logits: the Gaussian is a map of scores.
    stretched = dataclasses.replace(protocol, normalization="min_max")
    baselines, plain = Baselines(protocol, FRAME), LocalizationScorer(stretched, FRAME)
    facts = {"boxes": [[10, 8, 60, 40]], "image_size": (64, 48), "label": 1, "top5": (1,)}
    facts["mask"] = np.eye(48, 64, dtype=np.uint8)
    baselines.update(**facts)
    plain.update(centre_gaussian(32), **facts)
    gaussian = baselines.scorers[CENTRE_GAUSSIAN]
    np.testing.assert_array_equal(gaussian.hits, plain.hits)
    assert pxap(gaussian.pixels) == pxap(plain.pixels)
    assert baselines.scorers[CENTRE_BOX].pixels.pictures == 0


def test_centre_box_hits_the_same_at_every_threshold():
    baselines = Baselines(protocols.get("e2net"), Frame(size=224, resize=256))
    facts = {"image_size": (400, 300), "label": 1, "top5": (0, 1)}
    baselines.update(boxes=centre_box((400, 300)), **facts)
    baselines.update(boxes=[[0, 0, 40, 40]], **facts)
    hits = baselines.scorers[CENTRE_BOX].hits
    assert (hits == np.array((1, 0, 1))[:, None, None]).all()
    other = Baselines(protocols.get("e2net"), Frame(size=224, resize=256))
    other.merge(baselines)
    np.testing.assert_array_equal(other.scorers[CENTRE_BOX].hits, hits)


@pytest.mark.skipif(not ANIMALS.exists(), reason="the animals' boxes are not at ../shared/data")
def test_centre_box_on_the_animals():
    """95.1% of the 287 test photos at IoU 0.5, as measured apart from this code."""
    baselines, plain = Baselines(protocols.get("maxboxacc"), Frame(size=224, resize=224)), 0
    with ANIMALS.open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    for row in rows:
        size = (int(row["width"]), int(row["height"]))
        box = [[float(row[key]) for key in ("x0", "y0", "x1", "y1")]]
        baselines.update(boxes=box, image_size=size, label=0, top5=(0,))
        plain += pairwise_iou(box, centre_box(size), 0)[0, 0] >= 0.5
    score = baselines.scorers[CENTRE_BOX].max_box_acc(0.5)
    assert (score.hits, score.pictures) == (plain, len(rows))
    assert round(100 * score.value, 1) == 95.1
