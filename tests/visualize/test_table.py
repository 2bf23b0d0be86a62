import made_up
import pytest

from e2wsol.visualize.table import score_table


def test_rows_columns_and_figures():
    lines = score_table(made_up.result()).splitlines()
    method = next(line for line in lines if line.startswith("  e2net"))
    assert method.split() == ["e2net", "60.0", "(t", "0.100)", "61.0", "(t", "0.300)", "70.0", "(t", "0.200)", "100"]
    box = next(line for line in lines if line.startswith("  centre box"))
    assert box.split() == ["centre", "box", "55.0", "-", "-", "100"]
    assert "GT-known Loc, IoU 0.5" in lines
    assert "Classification Top-1: 81.0" in lines and "PxAP e2net: 45.6" in lines


def test_rows_end_in_one_column():
    lines = score_table(made_up.result()).splitlines()
    assert len({len(line) for line in lines if line.startswith("  ") and line.strip()}) == 1


@pytest.mark.parametrize("unknown", [None, float("nan")])
def test_without_pxap_and_unknown_scores(unknown):
    result = made_up.result(pxap=None)
    result["scores"][1]["value"] = unknown
    text = score_table(result)
    assert "PxAP" not in text and "61.0" not in text and "nan" not in text


def test_says_how_scores_are_averaged_and_classes_predicted():
    plain = score_table(made_up.result())
    assert plain == score_table(made_up.result(average="pictures", crops=1, protocol_crops=1))
    assert "mean over" not in plain and "crops" not in plain
    text = score_table(made_up.result(average="classes", crops=10, protocol_crops=10))
    assert "protocol e2net, scores in %, mean over classes, t = threshold" in text
    assert "Classes predicted from: mean of ten crops" in text.splitlines()


@pytest.mark.parametrize(
    ("crops", "usual", "words"),
    [
        (1, 10, "one view, where protocol e2net takes ten crops"),
        (10, 1, "mean of ten crops, where protocol e2net takes one"),
    ],
)
def test_says_that_crops_are_not_the_protocols(crops, usual, words):
    assert f"Classes predicted from: {words}" in score_table(made_up.result(crops=crops, protocol_crops=usual))
