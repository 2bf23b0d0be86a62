import xml.etree.ElementTree as ET

import made_up
import pytest

from e2wsol.visualize.histogram import overlap_chart


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
    svg = overlap_chart(result(("e2net", "protocol", [1, 2, 5, 2]), ("centre box", "protocol", [0, 0, 10, 0])))
    assert heights(svg, "method") == pytest.approx([0.1, 0.2, 0.5, 0.2], abs=1e-3)
    assert heights(svg, "flat") == pytest.approx([0, 0, 1, 0], abs=1e-3)


def test_the_validation_threshold_comes_first_and_a_second_run_beside_it():
    first = result(("e2net", "protocol", [9, 1, 0, 0]), ("e2net", "validation", [0, 5, 5, 0]))
    second = result(("cam", "validation", [5, 5, 0, 0]), method="cam")
    svg = overlap_chart(first, second, ("a", "b"))
    assert heights(svg, "method") == pytest.approx([0, 1, 1, 0], abs=1e-3)
    assert heights(svg, "second") == pytest.approx([1, 1, 0, 0], abs=1e-3)
    assert {"a", "b"} <= {e.text for e in ET.fromstring(svg).iter("text")}


def test_older_and_empty_results_have_none():
    assert overlap_chart(made_up.result()) == ""
    assert overlap_chart(result(("e2net", "protocol", [0, 0, 0, 0]))) == ""
