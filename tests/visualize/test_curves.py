import xml.etree.ElementTree as ET

import made_up
import pytest

from e2wsol.visualize import curves


def points(svg, kind):
    line = next(e for e in ET.fromstring(svg).iter("polyline") if e.get("class") == f"line {kind}")
    return [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]


def test_one_chart_a_metric_with_method_gaussian_and_box():
    (svg,) = curves.charts(made_up.result())
    method = points(svg, "method")
    assert len(method) == len(points(svg, "baseline")) == len(points(svg, "flat")) == 10
    # SVG's y runs downwards: the best threshold, 0.2, is the highest point.
    assert min(range(10), key=lambda i: method[i][1]) == 2
    assert len({y for _, y in points(svg, "flat")}) == 1


def test_marks_stand_on_the_curve():
    (svg,) = curves.charts(made_up.result())
    best = next(e for e in ET.fromstring(svg).iter("circle") if e.get("class") == "mark best")
    assert (float(best.get("cx")), float(best.get("cy"))) == pytest.approx(points(svg, "method")[2])
    names = [e.text for e in ET.fromstring(svg).iter("text")]
    assert "best 0.2: 70.0%" in names and "chosen on validation 0.3: 61.0%" in names


def test_names_are_escaped():
    line = curves.Line("a<b&c", [0.1, 0.2], "method")
    svg = curves.chart([0, 1], [line], [], title='"<x>')
    assert "a&lt;b&amp;c" in svg and ET.fromstring(svg).get("aria-label") == '"<x>'


@pytest.mark.parametrize("thresholds", [[], [0.3], [0.05, 0.35]])
def test_few_thresholds(thresholds):
    line = curves.Line("m", [0.5] * len(thresholds), "method")
    ET.fromstring(curves.chart(thresholds, [line], [], title="t"))
