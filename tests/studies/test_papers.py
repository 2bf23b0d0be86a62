import pathlib
import re

import pytest

from e2wsol.errors import UserError
from e2wsol.localizers import LOCALIZERS
from e2wsol.methods import METHODS
from e2wsol.studies import papers

FLAGS = pathlib.Path(__file__).resolve().parents[2] / "flags"
HEADER = "method,backbone,dataset,top1_loc,top5_loc,gt_known,top1_class,protocol_note,source"


def test_every_name_is_one_of_the_library():
    stages = {name.split("_")[0] for name in METHODS}
    assert set(papers.METHODS) <= {*METHODS, *LOCALIZERS, *stages}
    assert set(METHODS) - {"spol_cam", "spol_seg"} <= set(papers.METHODS)


def test_the_rows_agree_with_themselves():
    rows = papers.load()
    assert len(rows) == len(papers.PATH.read_text().splitlines()) - 1
    for row in rows:
        localized = [score for score in (row.top1_loc, row.top5_loc, row.gt_known) if score is not None]
        assert localized == sorted(localized), row
        if row.top1_loc is not None and row.top1_class is not None:
            assert row.top1_loc <= row.top1_class, row
    keys = [(row.method, row.backbone, row.dataset, row.protocol_note, row.source) for row in rows]
    assert len(set(keys)) == len(keys)


def test_the_rows_are_those_of_the_flagfiles():
    """The heads of the released flagfiles quote the same three figures."""
    rows = {
        (row.method, row.backbone, row.dataset): row for row in papers.load() if "DenseNet" not in row.protocol_note
    }
    quoted = 0
    for path in FLAGS.glob("*.cfg"):
        text = re.sub(r"\s*\n# ", " ", path.read_text())
        found = re.search(r"Top-1 / Top-5 / GT-known Loc[^:.]*: ([\d.]+) / ([\d.]+) / (\d+\.\d+)", text)
        if not found:
            continue
        quoted += 1
        method, _, backbone = path.stem.removesuffix("_ilsvrc").partition("_")
        dataset = "ilsvrc" if path.stem.endswith("_ilsvrc") else "cub"
        row = rows[method, "resnet50" if method == "spol" else backbone, dataset]
        assert [float(figure) for figure in found.groups()] == [row.top1_loc, row.top5_loc, row.gt_known], path
    assert quoted >= 12


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cem,vgg16,cub,1,2,3,4,,a", "line 2: method=cem: unknown; choose one of cam, has"),
        ("cam,vgg16,voc,1,2,3,4,,a", "line 2: dataset=voc: unknown; choose one of cub, ilsvrc"),
        ("cam,vgg16,cub,1,2,3,104,,a", "line 2: top1_class=104: expected per cent from 0 to 100"),
        ("cam,vgg16,cub,nan,2,3,4,,a", "line 2: top1_loc=nan: expected per cent"),
        ("cam,vgg16,cub,1,2,x,4,,a", "line 2: gt_known=x: expected per cent"),
        ("cam,vgg16,cub,,,,,,a", "line 2: no score"),
        ("cam,vgg16,cub,1,2,3,4,, ", "line 2: source is empty"),
        ("cam,,cub,1,2,3,4,,a", "line 2: backbone is empty"),
        ("cam,vgg16,cub,1,2,3,4", "line 2: must have 9 columns"),
        ("cam,vgg16,cub,1,2,3,4,,a,b", "line 2: must have 9 columns"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    path = tmp_path / "rows.csv"
    path.write_text(f"{HEADER}\n{line}\n")
    with pytest.raises(UserError, match=re.escape(f"{path}, {message}")):
        papers.load(path)


def test_other_columns_are_refused(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("method,score\ncam,1\n")
    with pytest.raises(UserError, match=r"columns .*must be method, backbone"):
        papers.load(path)
