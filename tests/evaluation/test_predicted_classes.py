import json

import pytest

from e2wsol.errors import UserError
from e2wsol.evaluation import predicted_classes
from e2wsol.evaluation.predicted_classes import PredictedClasses


def read(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return PredictedClasses(folder / name, 6)


def test_csv(tmp_path):
    found = read(tmp_path, "classes.csv", 'a.jpg,3,0,1,2,4,5\n"b, c.jpg",1\n\n')
    assert found.of("a.jpg").tolist() == [3, 0, 1, 2, 4] and found.of("b, c.jpg").tolist() == [1]
    with pytest.raises(UserError, match=r"predictions=.*classes\.csv: no line for picture z\.jpg"):
        found.of("z.jpg")


def test_json_lines(tmp_path):
    lines = predicted_classes.line('ä/"x".jpg', [3, 0], [0.75, 0.1234567]) + "\n" + '{"picture": "b", "classes": [5]}'
    assert json.loads(lines.splitlines()[0])["probabilities"] == [0.75, 0.123457]
    found = read(tmp_path, "classes.jsonl", lines)
    assert found.of('ä/"x".jpg').tolist() == [3, 0] and found.of("b").tolist() == [5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.jpg,x", r"classes \[x\]; expected numbers from 0 to 5, best first"),
        ("a.jpg", r"classes \[\]; expected numbers"),
        ("a.jpg,6", r"classes \[6\]"),
        ("a.jpg,0,-1", r"classes \[0, -1\]"),
        ("b.jpg,1", r"picture b\.jpg once more; expected one line a picture"),
    ],
)
def test_bad_csv_names_the_line(tmp_path, text, words):
    with pytest.raises(UserError, match=r"predictions=.*classes\.csv: line 2: " + words):
        read(tmp_path, "classes.csv", f"b.jpg,0\n{text}\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"picture": "a", "classes": [', r'expected {"picture": ID, "classes": \[NUMBERS, best first\]}'),
        ('["a", 1]', r'expected {"picture": ID'),
        ('{"picture": 3, "classes": [1]}', r'expected {"picture": ID'),
        ('{"picture": "a", "classes": 1}', r'expected {"picture": ID'),
        ('{"picture": "a", "classes": [true]}', r"classes \[True\]; expected numbers from 0 to 5"),
        ('{"picture": "a", "classes": [1.0]}', r"classes \[1\.0\]"),
        ('{"picture": "a", "classes": []}', r"classes \[\]"),
        ('{"picture": "b", "classes": [1]}', r"picture b once more"),
    ],
)
def test_bad_json_names_the_line(tmp_path, text, words):
    with pytest.raises(UserError, match=r"predictions=.*classes\.jsonl: line 2: " + words):
        read(tmp_path, "classes.jsonl", '{"picture": "b", "classes": [0]}\n' + text + "\n")


def test_wrong_files(tmp_path):
    with pytest.raises(UserError, match=r"predictions=.*none\.csv: cannot be read"):
        PredictedClasses(tmp_path / "none.csv", 6)
    with pytest.raises(UserError, match=r"predictions=classes\.txt: unknown kind of file; give \.csv or \.jsonl"):
        PredictedClasses("classes.txt", 6)
    (tmp_path / "latin.jsonl").write_bytes(b"\xe4\n")
    with pytest.raises(UserError, match=r"latin\.jsonl: cannot be read"):
        PredictedClasses(tmp_path / "latin.jsonl", 6)
