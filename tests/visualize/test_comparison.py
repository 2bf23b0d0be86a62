import made_up
import numpy as np
import pytest
from test_report_page import Checker

from e2wsol.errors import UserError
from e2wsol.visualize.comparison import EvaluatedRun, check_comparable, comparison_page, different_rules
from e2wsol.visualize.score_tables import points

MINUS = "\N{MINUS SIGN}"


def run(name, samples=None, classes=(), **changes):
    return EvaluatedRun(name, made_up.result(**changes), samples, list(classes))


def better(**changes):
    made = made_up.result(**changes)
    for score in made["scores"]:
        if score["localizer"] == made_up.METHOD:
            score["value"] += 0.125
    return made


def rows(text):
    """Every table row of the page as a list of its cells' texts."""
    cells = [row.split("</tr>")[0] for row in text.split("<tr")[1:]]
    return [[Checker(f"<p>{cell}</p>").text for cell in _cells(row)] for row in cells]


def _cells(row):
    parts = row.replace("<th", "<td").replace("</th>", "</td>").split("<td")[1:]
    return [part.split(">", 1)[1].split("</td>")[0] for part in parts]


def test_scores_stand_beside_each_other_with_differences():
    text = comparison_page(run("a"), EvaluatedRun("b", better(), None, []))
    found = rows(text)
    assert ["threshold", "a", "b", "difference"] in found
    assert ["threshold chosen on validation", "61.0at 0.300", "73.5at 0.300", "+12.5"] in found
    assert "61.0 → 73.5" in text and "+12.5 points" in text
    backwards = rows(comparison_page(EvaluatedRun("b", better(), None, []), run("a")))
    assert ["threshold chosen on validation", "73.5at 0.300", "61.0at 0.300", f"{MINUS}12.5"] in backwards


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (0.5, 0.512, "+1.2"),
        (0.512, 0.5, f"{MINUS}1.2"),
        (0.5, 0.5, "0.0"),
        (0.50049, 0.50051, "+0.1"),
        (None, 0.5, "-"),
    ],
)
def test_points_are_those_of_the_shown_figures(first, second, expected):
    assert points(first, second) == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [({"name": "cars"}, "data set 'cars'"), ({"split": "val"}, "split 'val'"), ({"pictures": 7}, "pictures 7")],
)
def test_other_pictures_are_refused(change, words):
    other = run("b", dataset=made_up.result()["dataset"] | change)
    with pytest.raises(UserError, match=words):
        check_comparable(run("a"), other)
    check_comparable(run("a"), run("b"))


def test_other_classes_are_refused_and_unknown_ones_are_not():
    with pytest.raises(UserError, match=r"other classes .*dataset\.json"):
        check_comparable(run("a", classes=["Gull", "Tern"]), run("b", classes=["Tern", "Gull"]))
    check_comparable(run("a", classes=["Gull"]), run("b"))


def test_other_rules_are_said_on_the_page():
    first, second = run("a"), run("b", protocol="maxboxacc", average="classes", backbone="resnet50")
    assert different_rules(first, second) == {
        "Box protocol": ("e2net", "maxboxacc"),
        "Averaging": ("", "mean over classes"),
    }
    text = Checker(comparison_page(first, second)).text
    assert "not scored by the same rules" in text and "Averaging: the usual against mean over classes" in text
    assert "same rules" not in comparison_page(first, run("b"))


def test_pictures_of_both_stand_under_both():
    first, second = made_up.samples(6), made_up.samples(8)
    second["ids"] = second["ids"][::-1]
    checked = Checker(comparison_page(run("runs/<a>", first), run("b", second)))
    # Six and eight pictures, two of them in the second alone; each figure holds two pictures and two maps.
    assert checked.tags.count("figure") == 6 and checked.tags.count("img") == 24
    assert "6 in all" in checked.text and "Better in runs/<a>" in checked.text and "Outcome in b" in checked.text


def test_without_a_common_picture_the_page_says_so():
    second = made_up.samples()
    second["ids"] = np.array([f"other{number}" for number in range(len(second["ids"]))])
    checked = Checker(comparison_page(run("a", made_up.samples()), run("b", second)))
    assert "figure" not in checked.tags and "no picture in common" in checked.text
    assert "no picture in common" not in comparison_page(run("a"), run("b", second))


def test_flags_that_differ_are_listed_and_others_are_not():
    second = run("b", flags={"data_dir": "<records>", "seed": 3})
    found = rows(comparison_page(run("a"), second))
    assert ["--seed", "-", "3"] in found and not any(row[:1] == ["--data_dir"] for row in found)
