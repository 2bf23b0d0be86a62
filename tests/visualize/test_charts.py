import xml.etree.ElementTree as ET

import made_up
import pytest

from e2wsol.visualize import charts


def points(svg, kind):
    line = next(e for e in ET.fromstring(svg).iter("polyline") if e.get("class") == f"line {kind}")
    return [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]


def test_one_chart_a_metric_with_method_gaussian_and_box():
    ((_, svg),) = charts.charts(made_up.result())
    method = points(svg, "method")
    assert len(method) == len(points(svg, "baseline")) == len(points(svg, "flat")) == 10
    # SVG's y runs downwards: the best threshold, 0.2, is the highest point.
    assert min(range(10), key=lambda i: method[i][1]) == 2
    assert len({y for _, y in points(svg, "flat")}) == 1


def test_marks_stand_on_the_curve():
    ((_, svg),) = charts.charts(made_up.result())
    best = next(e for e in ET.fromstring(svg).iter("circle") if e.get("class") == "mark best")
    assert (float(best.get("cx")), float(best.get("cy"))) == pytest.approx(points(svg, "method")[2])
    names = [e.text for e in ET.fromstring(svg).iter("text")]
    assert "best 0.2: 70.0%" in names and "chosen on validation 0.3: 61.0%" in names


def test_names_are_escaped():
    line = charts.Curve("a<b&c", [0, 1], [0.1, 0.2], "method")
    svg = charts.chart([line], [], title='"<x>')
    assert "a&lt;b&amp;c" in svg and ET.fromstring(svg).get("aria-label") == '"<x>'


@pytest.mark.parametrize("thresholds", [[], [0.3], [0.05, 0.35]])
def test_few_thresholds(thresholds):
    line = charts.Curve("m", thresholds, [0.5] * len(thresholds), "method")
    ET.fromstring(charts.chart([line], [], title="t"))


def test_two_runs_share_a_chart():
    other = made_up.result(method="cam")
    other["curves"]["cam"] = {"gt_known_0.5": [0.9] * 10}
    ((iou, svg),) = charts.charts(made_up.result(), other, ("runs/a", "runs/b"))
    assert iou == 0.5 and len(points(svg, "method")) == 10
    assert len({y for _, y in points(svg, "second")}) == 1 and points(svg, "second")[0][1] < points(svg, "flat")[0][1]
    names = [e.text for e in ET.fromstring(svg).iter("text")]
    assert {"runs/a", "runs/b", "centre box"} <= set(names) and "e2net" not in names


def test_long_curves_are_thinned_and_keep_their_ends():
    thresholds = [step / 999 for step in range(1000)]
    result = made_up.result(scores=[], curves={"thresholds": thresholds, "e2net": {"top1_0.3": thresholds}})
    ((_, svg),) = charts.charts(result)
    found = points(svg, "method")
    assert 200 < len(found) < 500
    assert found[0][0] < found[-1][0] and found[0][1] == 280 and found[-1][1] == 80


def test_legend_goes_on_in_the_next_row():
    lines = [charts.Curve("a run with a long name " * 2, [0, 1], [0, 1], "method")] * 2
    root = ET.fromstring(charts.chart(lines, [], title="t"))
    names = [e for e in root.iter("text") if e.text.startswith("a run")]
    assert names[0].get("x") == names[1].get("x") and float(names[0].get("y")) < float(names[1].get("y"))
    _, top, _, height = map(float, root.get("viewBox").split())
    assert float(names[1].get("y")) < top + height


def result(*counts, method="e2net"):
    made = [
        {"localizer": name, "threshold_from": kind, "threshold": 0.1, "pictures": pictures}
        for name, kind, pictures in counts
    ]
    return made_up.result(method=method, overlaps={"from": [0.0, 0.25, 0.5, 0.75], "counts": made})


def heights(svg, kind):
    """The shares that the steps show, where the axis goes from 280 to 80."""
    line = next(e for e in ET.fromstring(svg).iter("polyline") if e.get("class") == f"line {kind} steps")
    ys = [float(pair.split(",")[1]) for pair in line.get("points").split()]
    return [(280 - y) / 200 for y in ys[1:-1:2]]


def test_steps_are_shares_of_pictures():
    svg = charts.overlap_chart(result(("e2net", "protocol", [1, 2, 5, 2]), ("centre box", "protocol", [0, 0, 10, 0])))
    assert heights(svg, "method") == pytest.approx([0.1, 0.2, 0.5, 0.2], abs=1e-3)
    assert heights(svg, "flat") == pytest.approx([0, 0, 1, 0], abs=1e-3)


def test_the_validation_threshold_comes_first_and_a_second_run_beside_it():
    first = result(("e2net", "protocol", [9, 1, 0, 0]), ("e2net", "validation", [0, 5, 5, 0]))
    second = result(("cam", "validation", [5, 5, 0, 0]), method="cam")
    svg = charts.overlap_chart(first, second, ("a", "b"))
    assert heights(svg, "method") == pytest.approx([0, 1, 1, 0], abs=1e-3)
    assert heights(svg, "second") == pytest.approx([1, 1, 0, 0], abs=1e-3)
    assert {"a", "b"} <= {e.text for e in ET.fromstring(svg).iter("text")}


def test_older_and_empty_results_have_none():
    assert charts.overlap_chart(made_up.result()) == ""
    assert charts.overlap_chart(result(("e2net", "protocol", [0, 0, 0, 0]))) == ""
