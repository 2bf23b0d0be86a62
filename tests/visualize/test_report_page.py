import base64
import hashlib
import html.parser

import made_up
import pytest

from e2wsol.visualize.report_page import report_page

VOID = {"meta", "img", "br", "line", "circle", "polyline", "input", "rect"}


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
    return report_page(made_up.result(**changes), made_up.samples(), names)


def test_is_well_formed_and_escapes_what_it_is_given():
    checked = Checker(made_page())
    assert checked.tags.count("script") == 1
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
    checked = Checker(report_page(result, None, []))
    assert "img" not in checked.tags and "svg" not in checked.tags


def test_figures_tell_hit_from_miss_and_name_a_wrong_class():
    text = Checker(made_page()).text
    assert "✗ elsewhere · IoU 0.00" in text and "✓ hit · IoU 0.60" in text and "✗ wrong class · IoU 1.00" in text
    assert "classified as Gull" in text and "classified rightly" in text


def test_label_without_a_name_shows_its_number():
    assert "class 2" in Checker(report_page(made_up.result(), made_up.samples(), [])).text


def test_says_how_scores_are_averaged_and_classes_predicted():
    plain = Checker(report_page(made_up.result(), None, [])).text
    assert "mean over classes" not in plain and "crops" not in plain
    text = Checker(report_page(made_up.result(average="classes", crops=10, protocol_crops=10), None, [])).text
    assert "count as hits, mean over classes." in text and "mean of ten crops" in text


def test_script_and_style_are_the_only_ones_that_the_policy_lets_run():
    text = made_page()
    script = text.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(v for tag, name, v in Checker(text).attributes if tag == "meta" and "default-src" in v)
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert not any(name.startswith("on") for _, name, _ in Checker(text).attributes)


def test_pictures_are_counted_and_may_be_left_out():
    made = made_up.result()
    assert Checker(report_page(made, made_up.samples(30), [], pictures=12)).tags.count("figure") == 12
    without = Checker(report_page(made, made_up.samples(30), [], pictures=0))
    assert "figure" not in without.tags and "form" not in without.tags


def test_controls_have_names():
    checked = Checker(made_page())
    assert checked.tags.count("label") == checked.tags.count("input") + 1  # and the select
    assert checked.tags.count("legend") == checked.tags.count("fieldset") == 1
    assert checked.tags.count("figure") == sum(
        v.startswith("Enlarge: ") for _, n, v in checked.attributes if v and n == "aria-label"
    )


def test_new_figures_of_the_evaluator():
    made = made_up.result(
        bootstrap={"level": 0.95},
        piou={made_up.METHOD: 0.512},
        piou_thresholds={made_up.METHOD: 0.37},
        pixel_intervals={made_up.METHOD: {"pxap": [0.41, 0.49], "piou": [0.5, 0.52]}},
        max_box_acc={made_up.METHOD: {"0.5": 0.7, "0.7": 0.2, "mean": 0.45, "mean_interval": [0.4, 0.5]}},
        every_contour=True,
        skip_empty=True,
    )
    made["scores"][0]["interval"] = [0.512, 0.683]
    text = Checker(report_page(made, made_up.samples(), [])).text
    for expected in ("51.2 68.3", "41.0 49.0", "50.0 52.0", "at 0.370", "95% confidence", "left out (--skip_empty)"):
        assert expected in text.replace("\N{EN DASH}", " ")
    assert "MaxBoxAccV2, mean over IoU 0.5, 0.7" in text and "45.0" in text and "all contours" in text


def test_other_ious_are_folded():
    made = made_up.result()
    other = made["scores"][0] | {"iou": 0.7, "value": 0.123}
    text = report_page(made_up.result(scores=[*made["scores"], other]), None, [])
    main, folded = text.split("<summary>Scores at IoU 0.7</summary>")
    assert "12.3" in folded and "12.3" not in main
    alone = report_page(made_up.result(scores=[other]), None, [])
    assert "12.3" in alone and "Scores at IoU" not in alone


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ({"protocol": 0.2, "validation": {"0.3": 0.1, "0.5": 0.4}}, "threshold 0.400, chosen on validation"),
        ({"protocol": 0.2, "validation": None}, "the protocol's threshold, 0.200"),
    ],
)
def test_says_at_which_threshold_boxes_are(thresholds, words):
    assert (
        f"Boxes at {words}." in Checker(report_page(made_up.result(thresholds=thresholds), made_up.samples(), [])).text
    )
