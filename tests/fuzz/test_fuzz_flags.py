"""Damaged flagfiles: options, or one clear line."""

import math
import pathlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import damaged

from e2wsol import config, train
from e2wsol.errors import UserError

pytestmark = pytest.mark.slow
BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
FILES = [path.read_bytes() for path in sorted((pathlib.Path(__file__).parents[2] / "flags").glob("*.cfg"))]
NAMES = st.sampled_from([config.flag_name(*pair) for pair in config.fields(train.TrainFlags)])
VALUES = st.sampled_from(
    ("", "1", "-1", "1e30", "nan", "inf", "9" * 5000, "true", "a,b", "é", "\0", "../x", "{}", "--")
)
LINES = st.lists(st.builds("--{}={}".format, NAMES, VALUES), max_size=4).map(lambda lines: "\n".join(lines).encode())


@BOUNDED
@given(damaged(FILES) | LINES | st.binary(max_size=100))
def test_flagfiles(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "damaged.cfg"
    path.write_bytes(content)
    try:
        options, _, _ = config.parse(["train", f"--flagfile={path}"], train.TrainFlags)
    except UserError as error:
        assert str(error)
    else:
        for value in config.to_mapping(options).values():
            assert not isinstance(value, float) or math.isfinite(value)


def test_flagfiles_that_name_each_other(tmp_path, capsys):
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / name).write_text(f"--epochs=3\n--flagfile={tmp_path / other}\n")
    options, _, _ = config.parse(["train", f"--flagfile={tmp_path / 'a'}"], train.LoopOptions)
    assert options.epochs == 3
    with pytest.raises(UserError, match="--flagfile="):
        config.parse(["train", f"--flagfile={tmp_path}"], train.LoopOptions)
