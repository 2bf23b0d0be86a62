import base64
import re

import cv2
import made_up_study
import numpy as np
import pytest
from test_comparison import rows
from test_report_page import Checker

from e2wsol.visualize.forest_plot import Difference, differences, forest_plot
from e2wsol.visualize.overlay import heat_overlay
from e2wsol.visualize.study_images import shared, side_by_side
from e2wsol.visualize.study_page import study_page

MINUS = "\N{MINUS SIGN}"
TO = "\N{EN DASH}"
NAMES = ["Gull", "Tern & co", "Auk"]


def page(samples=None, **changes):
    return study_page(made_up_study.study(**changes), samples or {}, NAMES)


def test_is_well_formed_escapes_and_needs_no_network():
    text = page(made_up_study.samples())
    checked = Checker(text)
    assert checked.tags.count("script") == 1 and "http:" not in text and "https:" not in text
    for given in ("Tiny <suite>", "Weak & <b>", "The box <hits> often.", "few <epochs>", "table <1>", "p<3>"):
        assert given in checked.text
    links = [value for _, name, value in checked.attributes if name in ("src", "href", "data")]
    assert links and all(link.startswith("data:image/jpeg;base64,") for link in links)


def test_scores_stand_as_given_best_first_and_baselines_last():
    found = rows(page())
    best = ["DGLpost-hoc, block10 of CAM's network", "3", f"62.5 ± 2.0{f'56.2{TO}68.8'}", "65.6 ± 2.0", "-"]
    assert found[1] == best and found[2][0] == "CAM" and found[2][4] == f"80.0{f'73.8{TO}86.2'}"
    assert [row[0] for row in found[3:7]] == [
        "Weak & <b>has shown nothing †",
        "SPG",
        "Centre baselines: no network, the same for every picture",
        "centre box",
    ]
    assert found[3][1:3] == ["2 of 3", f"46.0 ± 2.0 †39.8{TO}52.2"]
    assert found[4][1:] == ["0 of 3", *["not measured"] * 3]
    assert found[6][1:3] == ["-", f"47.0 ± 2.0{f'40.8{TO}53.2'}"]


def test_a_localizer_above_a_baseline_in_one_main_measure_has_shown_something():
    study = made_up_study.study()
    study["suite"]["read_by"] = ["gt_known_0.5", "gt_known_0.5_best"]
    study["rows"][2]["scores"]["gt_known_0.5_best"]["mean"] = 0.51
    text = Checker(study_page(study, {}, [])).text
    assert "46.0 ± 2.0 †" in text and "51.0 ± 2.0 †" not in text and "nothing †" not in text
    study["rows"] = [row for row in study["rows"] if row["kind"] != "baseline"]
    assert "†" not in study_page(study, {}, [])


def test_what_is_missing_is_said_by_entry():
    text = Checker(page()).text
    assert "The study is not complete" in text and "SPG, seeds 0, 1: not run yet" in text
    assert "not complete" not in page(missing=[])


def test_sections_without_content_are_left_out():
    full = page(made_up_study.samples())
    heads = ["Scores", "Against CAM", "Do the papers' claims hold here?", "Paper, ours, not measured"]
    assert re.findall("<h2>(.*?)</h2>", full) == [*heads, "The same pictures under every entry"]
    alone = [row | {"against_cam": None} for row in made_up_study.study()["rows"]]
    bare = page(rows=alone, claims=[], papers=[])
    assert re.findall("<h2>(.*?)</h2>", bare) == ["Scores"] and "svg" not in Checker(bare).tags
    assert "1.5 hours" in full and rows(full)[-1] == ["keras", "3.15"]
    nothing = Checker(page(rows=[], claims=[], papers=[]))
    assert "nothing yet" in nothing.text and "SPG" in nothing.text


def test_claims_and_papers():
    found = rows(page())
    place = found.index(["entry", "claim", "difference95% interval", "here", "why"])
    assert [row[2:] for row in found[place + 1 : place + 5]] == [
        ["+12.5+5.0 to +20.0", "✓ holds", ""],
        [f"{MINUS}4.0{MINUS}9.0 to +1.0", "open", "few <epochs>"],
        [f"{MINUS}10.0{MINUS}15.0 to {MINUS}5.0", "✗ does not hold", ""],
        ["not measured", "not measured", ""],
    ]
    assert found[place + 6 : -2] == [
        ["CAM"],
        ["paper", "vgg16", "cub", "55.2", "40.0", "50.0", "not given", "table <1>"],
        ["paper", "resnet50", "cub", "66.0", "40.0", "50.0", "not given", "table <1>"],
        ["ours", "tiny, 32 pixels", "50.0", *["not measured"] * 3, "this study"],
        ["spg"],
        ["paper", "inception_v3", "cub", "not given", "40.0", "50.0", "not given", "table <1>ten <crops>"],
        ["ours", "not measured"],
    ]


def test_differences_pair_seeds_and_their_figures_stand_beside_the_plot():
    found = differences(made_up_study.study(), "gt_known_0.5")
    assert [(item.name, item.clear) for item in found] == [("DGL", True), ("Weak & <b>", False)]
    assert found[0].by_seed == () and found[1].by_seed == pytest.approx((0.5 - 0.48, 0.42 - 0.52))
    table = rows(page())
    assert ["DGL", "+12.5", "+5.0 to +20.0", "<0.001"] in table
    assert ["Weak & <b>", f"{MINUS}4.0", f"{MINUS}9.0 to +1.0", "0.120"] in table


@pytest.mark.parametrize("scale", [1.0, 0.003, 0.0])
def test_forest_plot_places_all_on_the_axis_of_its_ticks(scale):
    items = [
        Difference("a", 0.31 * scale, (0.12 * scale, 0.43 * scale), 0.01, (0.2 * scale, 0.45 * scale)),
        Difference("b" * 50, -0.07 * scale, (-0.2 * scale, 0.06 * scale), 0.4, ()),
    ]
    svg = forest_plot(items, "<title>")
    Checker(svg)
    ticks = re.findall(rf'x="([\d.]+)" y="[\d.]+" text-anchor="middle">([+\d.{MINUS}]+)</text>', svg)
    at, points = np.array([(float(x), float(text.replace(MINUS, "-"))) for x, text in ticks]).T
    slope, shift = np.polyfit(points, at, 1)
    # Coordinates are written with one decimal, and so is what the line was fitted to.
    assert np.abs(slope * points + shift - at).max() < 0.11 and 0 in points
    drawn = {
        "point": re.findall(r'class="point" cx="([\d.]+)"', svg),
        "seed": re.findall(r'class="seed" cx="([\d.]+)"', svg),
        "low": re.findall(r'class="whisker" x1="([\d.]+)"', svg),
        "high": re.findall(r'class="whisker" x1="[\d.]+" y1="[\d.]+" x2="([\d.]+)"', svg),
    }
    expected = {
        "point": [item.value for item in items],
        "seed": [value for item in items for value in item.by_seed],
        "low": [item.interval[0] for item in items],
        "high": [item.interval[1] for item in items],
    }
    for kind, values in expected.items():
        found = np.array(drawn[kind], float)
        np.testing.assert_allclose(found, slope * 100 * np.array(values) + shift, atol=0.2)
        assert at.min() <= found.min() + 0.11 and found.max() <= at.max() + 0.11
    zero = float(re.search(r'class="zero" x1="([\d.]+)"', svg)[1])
    assert zero == pytest.approx(shift, abs=0.11) and svg.count('class="zero"') == 1
    assert svg.count('<g class="clear">') == (scale > 0)


def test_pictures_are_those_drawn_at_random_that_all_entries_kept():
    samples = made_up_study.samples()
    assert shared(samples, 12) == ["p<3>", "p4", "p5"] and shared(samples, 2) == ["p<3>", "p4"]
    found = [row for row in rows(page(samples)) if row[0].startswith(("Gull", "Tern", "Auk"))]
    assert found == [
        ["Gullp<3>", "CAM✓ hit · 0.60", "DGL✓ hit · 0.60", "Weak & <b>✓ hit · 0.60"],
        ["Tern & cop4", "CAM✓ hit · 0.80", "DGL✓ hit · 0.80", "Weak & <b>✓ hit · 0.80"],
        ["Aukp5", "CAM✓ hit · 1.00", "DGL✓ hit · 1.00", "Weak & <b>✓ hit · 1.00"],
    ]
    samples["weak"] = None
    assert "DGL✓ hit" in Checker(page(samples)).text and "Weak & <b>✓ hit" not in Checker(page(samples)).text
    samples["dgl"]["ids"] = np.array(list("abcdef"))
    assert "no picture in common" in page(samples)


def test_a_tile_is_the_map_over_the_picture_with_boxes_in_its_pixels():
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 255, (5, 5, 3), dtype=np.uint8), (320, 320))
    score_map = cv2.resize(rng.integers(0, 255, (4, 4), dtype=np.uint8), (320, 320))
    arrays = {name: array[:1] for name, array in made_up_study.samples()["cam"].items()}
    arrays |= {"images": image[None], "maps": score_map[None], "hits": np.array([False])}
    arrays["predicted_boxes"] = np.float32([[20, 40, 100, 300]])
    text = side_by_side(made_up_study.study()["rows"][1:2], {"cam": arrays}, NAMES, ["cam0"])
    tile = base64.b64decode(re.findall(r"base64,([^\"]+)", text)[1])
    decoded = cv2.imdecode(np.frombuffer(tile, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    expected = cv2.resize(heat_overlay(image, score_map), (160, 160), interpolation=cv2.INTER_AREA)
    assert decoded.shape == (160, 160, 3) and np.abs(decoded.astype(int) - expected).mean() < 3
    assert '<rect class="predicted" x="10.0" y="20.0" width="40.0" height="130.0"/>' in text
    # The made-up true box, once over the picture and once over the map; its padding is not drawn.
    assert (
        text.count('<rect class="true" x="4.0" y="4.0" width="8.0" height="8.0"/>') == text.count('class="true"') == 2
    )
    assert "✗ miss" in text
