import json

import made_up
import numpy as np
import pytest

from e2wsol.errors import UserError
from e2wsol.visualize import results


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
        ("[]", "holds a list"),
        ("{}", "has no 'dataset'"),
        (json.dumps(made_up.result(scores=[])), "'scores'"),
        (json.dumps(made_up.result(scores=[{"metric": "x"}])), r"scores\[0\] has no 'localizer'"),
        (
            json.dumps(made_up.result()).replace("0.61,", '"x",', 1).replace("0.61}", '"x"}', 1),
            "'value' = 'x', not a number",
        ),
        (json.dumps(made_up.result(curves=[])), "'curves' is no object"),
    ],
)
def test_malformed_result_is_named(tmp_path, text, found):
    file = tmp_path / "result.json"
    file.write_text(text)
    with pytest.raises(UserError, match=found) as error:
        results.load_result(file)
    assert str(file) in str(error.value)


def test_missing_result(tmp_path):
    with pytest.raises(UserError, match=r"--result=.*result\.json"):
        results.result_path(tmp_path)
    with pytest.raises(UserError, match="--result is missing"):
        results.result_path("")


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
