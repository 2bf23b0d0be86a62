import base64
import html.parser

import cv2
import made_up
import numpy as np

from e2wsol.visualize import gallery
from e2wsol.visualize.page import page

VOID = {"meta", "img", "br", "line", "circle", "polyline"}


class Checker(html.parser.HTMLParser):
    """Collects tags, attributes and text, and checks that tags nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def made_page(**changes):
    names = ["Gull <script>alert(1)</script>", "Tern & co", "Auk"]
    return page(made_up.result(**changes), made_up.samples(), names)


def test_is_well_formed_and_escapes_what_it_is_given():
    checked = Checker(made_page())
    assert "script" not in checked.tags
    assert "Gull <script>alert(1)</script>" in checked.text
    assert "birds <&>" in checked.text and "<records>" in checked.text and "picture0<.jpg" in checked.text


def test_needs_no_network_and_no_other_file():
    text = made_page()
    checked = Checker(text)
    links = [value for _, name, value in checked.attributes if name in ("src", "href", "srcset", "data", "action")]
    assert links and all(link.startswith("data:image/jpeg;base64,") for link in links)
    assert "link" not in checked.tags and "http:" not in text and "https:" not in text and "@import" not in text


def test_shows_scores_facts_and_explanations():
    text = Checker(made_page()).text
    for expected in ("60.0", "61.0", "70.0", "55.0", "45.6", "81.0%", "100 pictures counted", "at 0.300", "vgg16"):
        assert expected in text
    assert "chosen on validation" in text and "Centre Gaussian" in text and "upper bound" in text


def test_optional_parts_may_be_missing():
    result = made_up.result(pxap=None, curves={}, classification={"top1": None})
    for key in ("flags", "versions", "git_commit", "backbone", "image_size"):
        del result[key]
    result["scores"] = result["scores"][:1]
    checked = Checker(page(result, None, []))
    assert "img" not in checked.tags and "svg" not in checked.tags


def test_figures_tell_hit_from_miss_and_name_a_wrong_class():
    text = Checker(made_page()).text
    assert "✗ miss · IoU 0.00" in text and "✓ hit · IoU 1.00" in text
    assert "classified as Gull" in text and "classified rightly" in text


def test_choose_shares_no_picture():
    rng = np.random.default_rng(1)
    for count in (0, 1, 2, 3, 7, 27, 100):
        ious = rng.random(count)
        drawn = rng.random(count) < 0.5
        worst, best, random = gallery.choose(ious, drawn)
        everything = [*worst, *best, *random]
        assert len(everything) == len(set(everything))
        assert drawn[random].all() and len(random) <= 9
        assert set(np.flatnonzero(drawn)) - set(worst) - set(best) == set(random) or len(random) == min(9, count // 3)
        assert list(ious[worst]) == sorted(ious)[: len(worst)]
        assert list(ious[best]) == sorted(ious)[::-1][: len(best)]


def test_label_without_a_name_shows_its_number():
    assert "class 2" in Checker(page(made_up.result(), made_up.samples(), [])).text


def test_jpeg_uri_holds_the_picture():
    image = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    data = base64.b64decode(gallery.jpeg_uri(image).split(",")[1])
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(decoded.astype(int) - image).max() < 8


def test_says_how_scores_are_averaged_and_classes_predicted():
    plain = Checker(page(made_up.result(), None, [])).text
    assert "mean over classes" not in plain and "crops" not in plain
    text = Checker(page(made_up.result(average="classes", crops=10, protocol_crops=10), None, [])).text
    assert "count as hits, mean over classes;" in text and "mean of ten crops" in text
