import made_up
import pytest

from e2wsol.visualize.text_tables import score_table


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


def with_intervals():
    made = made_up.result(bootstrap={"level": 0.95, "draws": 1000, "seed": 0})
    for score in made["scores"][:3]:
        score["interval"] = [score["value"] - 0.0321, score["value"] + 0.029]
    return made


def test_intervals_stand_behind_their_score():
    text = score_table(with_intervals())
    assert "60.0 [56.8, 62.9] (t 0.100)  61.0 [57.8, 63.9] (t 0.300)  70.0 [66.8, 72.9] (t 0.200)" in text
    assert "[95% interval over pictures]" in text.splitlines()[0]
    assert "[95%" not in score_table(made_up.result())


def test_rows_by_size_name_their_bounds():
    scores = [
        {**made_up.result()["scores"][0], "size": size, "value": value, "pictures": 30, "interval": [0.1, 0.9]}
        for size, value in (("small", 0.2), ("medium", 0.5), ("large", None))
    ]
    other = {**scores[0], "iou": 0.7, "value": 0.99}
    sizes = {"names": ["small", "medium", "large"], "bounds": [0.1, 0.4], "scores": [*scores, other]}
    lines = score_table(made_up.result(sizes=sizes)).splitlines()
    start = next(number for number, line in enumerate(lines) if "e2net by size of the object" in line)
    assert [line.split("  ")[1] for line in lines[start + 1 : start + 4]] == [
        "small (below 10% of the frame)",
        "medium (10% to 40% of the frame)",
        "large (40% and more of the frame)",
    ]
    assert "20.0 [10.0, 90.0] (t 0.100)" in lines[start + 1] and lines[start + 1].endswith("30")
    assert "99.0" not in "".join(lines)


def test_says_that_pictures_are_left_out_and_how_many_count():
    made = made_up.result(skip_empty=True)
    made["scores"][1]["pictures"] = 97
    text = score_table(made)
    assert "Denominators: pictures without a pixel above the threshold are left out (--skip_empty)" in text
    assert "100/97" in text and "Denominators" not in score_table(made_up.result())


@pytest.mark.parametrize(("every", "name"), [(False, "MaxBoxAcc"), (True, "MaxBoxAccV2")])
def test_max_box_acc_and_pixel_figures(every, name):
    found = {"0.3": 0.9, "0.5": 0.7, "0.7": 0.2, "mean": 0.6, "mean_interval": [0.5, 0.7]}
    figures = {"piou": {"e2net": 0.333}, "pixel_intervals": {"e2net": {"pxap": [0.4, 0.5], "piou": None}}}
    lines = score_table(made_up.result(max_box_acc={"e2net": found}, every_contour=every, **figures)).splitlines()
    assert f"{name} e2net: IoU 0.3 90.0, IoU 0.5 70.0, IoU 0.7 20.0, mean 60.0 [50.0, 70.0]" in lines
    assert "PxAP e2net: 45.6 [40.0, 50.0]" in lines and "PIoU e2net: 33.3" in lines
    assert "PxAP centre Gaussian: 32.1" in lines
