"""predict --labels: which class each picture has, or why that is not clear."""

import os
import unicodedata

import pytest

from e2wsol.errors import UserError
from e2wsol.prediction import inputs
from e2wsol.prediction.known_labels import known_labels

CLASSES = ("auk", "gull", "mö we")
PICTURES = ("gull/a.jpg", "auk/a.jpg", "auk/b.jpg", "mö we/c.jpg")


@pytest.fixture
def found(tmp_path):
    """The pictures of a folder in sorted order: auk/a, auk/b, gull/a, mö we/c."""
    for name in PICTURES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return inputs.find_pictures([str(tmp_path)])[0]


def test_folders(found, tmp_path, monkeypatch):
    assert known_labels("folder", found, CLASSES) == [0, 0, 1, 2]
    decomposed = [unicodedata.normalize("NFD", name) for name in CLASSES]
    assert known_labels("folder", found, decomposed) == [0, 0, 1, 2]
    monkeypatch.chdir(tmp_path / "gull")  # a picture without a folder in its name
    assert known_labels("folder", inputs.find_pictures(["a.jpg", "../auk/b.jpg"])[0], CLASSES) == [1, 0]


@pytest.mark.parametrize(
    "table",
    [
        "path,class\ngull/a.jpg,gull\nauk/a.jpg,auk\nb.jpg,auk\nc.jpg,mö we\nelsewhere.jpg,albatross\n",
        "\ufeffFile Name;Label\r\ngull/a.jpg;gull\r\nauk/a.jpg; auk \r\n\r\nb.jpg;auk\r\nc.jpg;mö we\r\n",
        "class\tx0\timage_path\ngull\t1\t.\\gull\\a.jpg\nauk\t2\tauk/a.jpg\nauk\t\tauk/b.jpg\nauk\t3\tauk/b.jpg\n"
        '"mö we"\t\tc.jpg\n',
        "path,class\na.jpg,auk\ngull/a.jpg,gull\nb.jpg,auk\nc.jpg,mo\u0308 we\n",
    ],
)
def test_tables(found, tmp_path, table):
    file = tmp_path / "labels.csv"
    file.write_bytes(table.encode())
    assert known_labels(str(file), found, CLASSES) == [0, 0, 1, 2]


def test_a_table_of_whole_paths(found, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("path,class\n" + "".join(f"{os.path.abspath(each.path)},gull\n" for each in found))
    assert known_labels(str(file), found, CLASSES) == [1, 1, 1, 1]


ROWS = "gull/a.jpg,gull\nauk/a.jpg,auk\nb.jpg,auk\n"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (f"path,class\n{ROWS}", r"no class for 1 of 4 pictures: mö we/c\.jpg$"),
        (
            f"path,class\n{ROWS}c.jpg,tern\n",
            r"no class of the model: tern \(mö we/c\.jpg\); it knows auk, gull, mö we$",
        ),
        (f"path,class\n{ROWS}c.jpg,1\n", r"no class of the model: 1 \("),
        (
            "path,class\na.jpg,auk\nb.jpg,auk\nc.jpg,auk\n",
            r"fit several pictures each: auk/a.jpg \(a\.jpg\), gull/a\.jpg",
        ),
        (f"path,class\n{ROWS}b.jpg,gull\n", r"line 5: class gull, but auk in a row before"),
        (f"path,class\n{ROWS}c.jpg,\n", r"line 5: no class; expected columns path and class"),
        (f"path,class\n{ROWS}c.jpg,a,b\n", r"line 5: 3 cells, but the header has 2"),
        ("a.jpg,auk\n", r"no column 'path'; expected columns path and class"),
        ("path,split\na.jpg,test\n", r"no column 'class'"),
        ("path,file,class\n", r"columns 'path' and 'file' both mean the path"),
        ("", r"no column 'path'"),
    ],
)
def test_what_is_not_clear_is_named(found, tmp_path, table, message):
    file = tmp_path / "labels.csv"
    file.write_text(table)
    with pytest.raises(UserError, match=message) as caught:
        known_labels(str(file), found, CLASSES)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_other_folders_and_no_table(found, tmp_path):
    with pytest.raises(
        UserError, match=r"labels=folder: no class of the model: gull \(gull/a\.jpg\), mö we .* knows auk$"
    ):
        known_labels("folder", found, ("auk",))
    with pytest.raises(UserError, match=r"labels=.*x\.csv: no such file; give folder, or a \.csv"):
        known_labels(str(tmp_path / "x.csv"), found, CLASSES)
