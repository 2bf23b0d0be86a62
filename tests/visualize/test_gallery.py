import base64
import re

import cv2
import made_up
import numpy as np

from e2wsol.visualize import gallery


def test_choose_shares_no_picture():
    rng = np.random.default_rng(1)
    for count in (0, 1, 2, 3, 7, 27, 100):
        ious = rng.random(count)
        drawn = rng.random(count) < 0.5
        worst, best, random = gallery.choose(ious, drawn, 9)
        everything = [*worst, *best, *random]
        assert len(everything) == len(set(everything))
        assert drawn[random].all() and len(random) <= 9
        assert set(np.flatnonzero(drawn)) - set(worst) - set(best) == set(random) or len(random) == min(9, count // 3)
        assert list(ious[worst]) == sorted(ious)[: len(worst)]
        assert list(ious[best]) == sorted(ious)[::-1][: len(best)]


def test_split_by_gain_takes_only_what_gains_or_loses():
    better, worse, rest = gallery.split_by_gain(np.array([0.3, 0.0, -0.2, 0.5, 0.1, 0.2]), 9)
    assert (better.tolist(), worse.tolist(), rest.tolist()) == ([3, 0], [2], [1, 4, 5])
    better, worse, rest = gallery.split_by_gain(np.zeros(4), 9)
    assert len(better) == len(worse) == 0 and rest.tolist() == [0, 1, 2, 3]
    better, worse, _ = gallery.split_by_gain(np.array([0.5]), 9)
    assert better.tolist() == [0] and len(worse) == 0


def test_common_pairs_the_places_of_an_id():
    assert gallery.common(np.array(["a", "b", "c"]), np.array(["c", "x", "a"])) == [(0, 2), (2, 0)]


def test_figures_carry_class_and_outcome_of_each_run():
    first, second = made_up.samples(3), made_up.samples(3)
    second["hits"][:] = True
    text = gallery.paired(gallery.RunSamples("a", first), gallery.RunSamples("b", second), ["Gull", "Tern", "Auk"], 48)
    found = re.findall(r'data-class="(\d)" data-outcome0="([a-z-]+)" data-outcome1="([a-z-]+)"', text)
    assert sorted(found) == [
        ("0", "elsewhere", "hit"),
        ("1", "wrong-class", "wrong-class"),
        ("2", "wrong-class", "wrong-class"),
    ]


def test_boxes_at_the_border_stay_inside_and_padding_is_left_out():
    samples = made_up.samples(1, size=100)
    samples["predicted_boxes"][0] = (-5, 0, 100, 120)
    text = gallery.single(samples, [], 48)
    assert text.count('class="true"') == 1
    assert '<rect class="predicted" x="0.8" y="0.8" width="98.4" height="98.4"/>' in text


def test_jpeg_uri_holds_the_picture():
    image = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    data = base64.b64decode(gallery.jpeg_uri(image).split(",")[1])
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(decoded.astype(int) - image).max() < 8
