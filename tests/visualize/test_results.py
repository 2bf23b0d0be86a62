import copy
import json

import made_up
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2wsol.errors import UserError
from e2wsol.visualize import report_page, results
from e2wsol.visualize.text_tables import score_table


def test_rows_are_grouped_by_metric_then_localizer():
    rows = results.score_rows(made_up.result())
    assert [row.localizer for row in rows] == ["e2net", "centre box", "centre Gaussian"]
    assert {kind: score["hits"] for kind, score in rows[0].scores.items()} == {
        "protocol": 60,
        "validation": 61,
        "best": 70,
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "no JSON"),
        ("[]", "it is .., not an object"),
        ("{}", "it has no 'dataset'"),
        (json.dumps(made_up.result(scores=[])), "scores is empty"),
        (json.dumps(made_up.result(scores=[{"metric": "x"}])), r"scores\[0\] has no 'localizer'"),
        (json.dumps(made_up.result(curves=[])), "curves is .., not an object"),
        (json.dumps(made_up.result(curves={"thresholds": [0.1], "a": {"b": []}})), "curves.a .* each of 1 thresholds"),
        (json.dumps(made_up.result(sizes={"names": []})), "sizes has no 'bounds'"),
        (json.dumps(made_up.result(max_box_acc={"cam": 3})), "max_box_acc.cam is 3, not an object"),
        (json.dumps(made_up.result(pixel_intervals={"cam": {"pxap": [1]}})), "cam.pxap is .*, not a pair of numbers"),
    ],
)
def test_malformed_result_is_named(tmp_path, text, found):
    file = tmp_path / "result.json"
    file.write_text(text)
    with pytest.raises(UserError, match=found) as error:
        results.load_result(file)
    assert str(file) in str(error.value)


KINDS = [None, True, 3, -0.5, "text", [], [1], {}, {"a": 1}]


def places(value, path=()):
    """Paths of all values inside a value that JSON gave."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, one in inner:
        yield *path, key
        yield from places(one, (*path, key))


def with_value(document, path, value):
    document = copy.deepcopy(document)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return document


@settings(max_examples=200, deadline=None)
@given(path=st.sampled_from(list(places(made_up.full_result()))), value=st.sampled_from(KINDS))
def test_a_mangled_result_is_a_page_or_one_line(tmp_path_factory, path, value):
    """Whatever stands in whatever place: never a traceback."""
    file = tmp_path_factory.mktemp("mangled") / "result.json"
    file.write_text(json.dumps(with_value(made_up.full_result(), path, value)))
    try:
        result = results.load_result(file)
    except UserError as error:
        assert str(file) in str(error) and "\n" not in str(error)
        return
    assert result["method"] in report_page.report_page(result, None, [])
    assert result["method"] in score_table(result)


def test_missing_result(tmp_path):
    with pytest.raises(UserError, match=r"run_dir=.*result\.json"):
        results.result_path(tmp_path, "run_dir")
    with pytest.raises(UserError, match="run_dir is missing"):
        results.result_path("", "run_dir")


def test_samples_are_optional_but_must_be_whole(tmp_path):
    assert results.load_samples(tmp_path / "samples.npz") is None
    (tmp_path / "samples.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(UserError, match=r"samples\.npz"):
        results.load_samples(tmp_path / "samples.npz")
    np.savez(tmp_path / "samples.npz", ids=np.zeros(3))
    with pytest.raises(UserError, match="images"):
        results.load_samples(tmp_path / "samples.npz")
    np.savez(tmp_path / "samples.npz", **(made_up.samples() | {"hits": np.zeros(2, bool)}))
    with pytest.raises(UserError, match="different lengths"):
        results.load_samples(tmp_path / "samples.npz")


def test_class_names(tmp_path):
    assert results.class_names(tmp_path) == []
    made_up.write_run(tmp_path)
    assert results.class_names(tmp_path)[1:] == ["Tern & co", "Auk"]
