"""boxes.csv in the spellings of other tools; what could be read in two ways is refused."""

import csv
import io
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2wsol.errors import UserError
from tfrecords import boxes_table
from tfrecords.folder_layout import ClassPicture

PICTURES = {name: ClassPicture(pathlib.Path(name), "ant", None) for name in ("ant/0.jpg", "ant/1.jpg", "ant/bär.jpg")}


def read(tmp_path, text, box_format="corners", ends="exclusive"):
    path = tmp_path / "boxes.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return boxes_table.read(path, PICTURES, box_format, ends)


def error(tmp_path, text, **options):
    with pytest.raises(UserError) as raised:
        read(tmp_path, text, **options)
    assert "\n" not in str(raised.value) and "boxes.csv" in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("path", ["path", "Path", "filename", "File Name", "image", "image_path", "img"])
@pytest.mark.parametrize(
    "corners",
    [
        "x0,y0,x1,y1",
        "xmin,ymin,xmax,ymax",
        "X_Min, Y_Min, X_Max, Y_Max",
        "x1,y1,x2,y2",
        "left,top,right,bottom",
        " x0 ,y0, x1,y1 ",
    ],
)
def test_spellings_of_columns(tmp_path, path, corners):
    found = read(tmp_path, f"{path},{corners}\nant/0.jpg,1,2,10.5,12\n")
    assert {name: each.boxes for name, each in found.items()} == {"ant/0.jpg": ((1, 2, 10.5, 12),)}


@pytest.mark.parametrize("columns", ["x,y,w,h", "x,y,width,height", "left,top,width,height", "X,Y,W,H"])
def test_left_top_width_height_must_be_asked_for(tmp_path, columns):
    text = f"path,{columns}\nant/0.jpg,1,2,10,12\n"
    assert read(tmp_path, text, box_format="xywh")["ant/0.jpg"].boxes == ((1, 2, 11, 14),)
    assert "has columns of left, top, width and height; say so by box_format=xywh" in error(tmp_path, text)


def test_size_of_the_picture_beside_corners(tmp_path):
    text = "path,xmin,ymin,xmax,ymax,width,height\nant/0.jpg,1,2,10,12,40,30\n"
    assert read(tmp_path, text)["ant/0.jpg"].size == (30, 40)


@pytest.mark.parametrize("ends", ["inclusive", "exclusive"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_forms_of_the_file(tmp_path, ends, delimiter, line_end, mark):
    rows = ["path x0 y0 x1 y1 split", "ant/bär.jpg 1 2 3 4 Validation", "", "ant/1.jpg 5 6 7 8 train"]
    text = mark + line_end.join(row.replace(" ", delimiter) for row in rows).encode()
    found, last = read(tmp_path, text, ends=ends), 1 if ends == "inclusive" else 0
    assert found["ant/bär.jpg"].boxes == ((1, 2, 3 + last, 4 + last),) and found["ant/bär.jpg"].split == "val"
    assert found["ant/1.jpg"].boxes == ((5, 6, 7 + last, 8 + last),) and found["ant/1.jpg"].split == "train"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,x0,y0,x1,y1,note\nant/0.jpg,1,2,3,4,x", "column 'note' is not known; rename or remove it"),
        ("path,x0,y0,x1,yl\nant/0.jpg,1,2,3,4", "column 'x0', 'y0', 'x1', 'yl' is not known, and no four corners"),
        ("path,xmin,ymin,x1,y1\nant/0.jpg,1,2,3,4", "is not known, and no four corners"),
        ("path,x0,y0,x1,y1,x0\nant/0.jpg,1,2,3,4,5", "column 'x0' twice"),
        ("path,file,x0,y0,x1,y1\na,b,1,2,3,4", "columns 'path' and 'file' both mean the path"),
        ("x0,y0,x1,y1\n1,2,3,4", "no column 'path'"),
        ("", "no column 'path'"),
        ("path,x0,y0,x1,y1\nant/0.jpg,1,5,2,5,10,5,12,5", "line 2: 9 cells, but the header has 5"),
        ("path,x0,y0,x1,y1\nant/0.jpg,1,2,3", "line 2: 4 cells, but the header has 5"),
        ("path;x0;y0;x1;y1\nant/0.jpg;1,5;2,5;10,5;12,5", "line 2: expected numbers in x0,y0,x1,y1"),
        ("path,x0,y0,x1,y1\nant/0.jpg,1,,3,4", "line 2: expected numbers in x0,y0,x1,y1"),
        ("path,x0,y0,x1,y1\nant/0.jpg,1,nan,3,4", "line 2: expected numbers in x0,y0,x1,y1"),
        ("path,x0,y0,x1,y1\n,1,2,3,4", "line 2: no picture "),
        ("path,x0,y0,x1,y1\nant/0.JPG,1,2,3,4", "line 2: no picture ant/0.JPG; did you mean ant/0.jpg?"),
        ("path,split\nant/0.jpg,train\nant/0.jpg,test", "line 3: ant/0.jpg has another split than in a row before"),
        (
            "path,x0,y0,x1,y1,width,height\nant/0.jpg,1,2,3,4,9,9\nant/0.jpg,1,2,3,4,9,8",
            "line 3: ant/0.jpg has another size than in a row before",
        ),
        ("path,x0,y0,x1,y1\nant/0.jpg,,,,\nant/0.jpg,1,2,3,4", "line 3: ant/0.jpg has a row without a box and another"),
        ("path,x0,y0,x1,y1\nant/0.jpg,1,2,3,4\nant/0.jpg,,,,", "line 3: ant/0.jpg has a row without a box and another"),
        ('path,x0,y0,x1,y1\n"ant/0.jpg,1,2,3,4\n' + "x" * 200_000, "not a table of comma-separated values"),
    ],
)
def test_what_is_refused(tmp_path, text, message):
    assert message in error(tmp_path, text)


def test_the_same_box_twice_counts_once(tmp_path):
    text = "path,x0,y0,x1,y1\nant/0.jpg,1,2,3,4\nant/0.jpg,5,6,7,8\n./ant/0.jpg,1,2,3,4\n"
    assert read(tmp_path, text)["ant/0.jpg"].boxes == ((1, 2, 3, 4), (5, 6, 7, 8))


@given(
    st.lists(st.tuples(st.sampled_from(sorted(PICTURES)), *[st.integers(0, 99)] * 4), min_size=1, max_size=8),
    st.permutations(["path", "x0", "y0", "x1", "y1"]),
)
def test_columns_in_any_order(tmp_path_factory, rows, order):
    stream = io.StringIO()
    writer = csv.DictWriter(stream, order)
    writer.writeheader()
    writer.writerows(dict(zip(("path", "x0", "y0", "x1", "y1"), row)) for row in rows)
    found = read(tmp_path_factory.mktemp("table"), stream.getvalue())
    expected = {name: {row[1:] for row in rows if row[0] == name} for name, *_ in rows}
    assert {name: set(each.boxes) for name, each in found.items()} == expected
