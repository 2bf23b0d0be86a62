import dataclasses
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2wsol import cli, config
from e2wsol.config import option
from e2wsol.errors import ArgumentError, UserError


@dataclasses.dataclass(frozen=True)
class Colours:
    paint: str = option("red", "which", choices=("red", "blue"))
    layers: tuple[str, ...] = option(("a", "b"), "some", choices=("a", "b", "c"))
    depth: tuple[float, ...] = option((), "how deep", minimum=0.0)


@dataclasses.dataclass(frozen=True)
class Numbers:
    count: int = option(3, "how many", minimum=1, maximum=9)
    rate: float = option(0.5, "how fast", minimum=0.0)
    dry: bool = option(False, "whether")
    name: str = option("", "called")


@dataclasses.dataclass(frozen=True)
class Flags:
    colours: Colours
    numbers: Numbers


def parse(*arguments):
    flags, positional, help_text = config.parse(["command", *arguments], Flags)
    return flags.colours, flags.numbers, positional, help_text


def test_defaults():
    assert parse() == (Colours(), Numbers(), [], None)


def test_every_type():
    colours, numbers, positional, _ = parse(
        "--paint=blue", "--layers=c,a", "--depth=1,2.5", "--count", "7", "--rate=1e-3", "--dry", "--name=x y", "file"
    )
    assert colours == Colours("blue", ("c", "a"), (1.0, 2.5))
    assert numbers == Numbers(7, 0.001, True, "x y") and positional == ["file"]
    assert parse("--nodry", "--layers=")[:2] == (Colours(layers=()), Numbers())


def test_flags_may_stand_behind_arguments():
    _, numbers, positional, _ = parse("one.jpg", "--count=4", "two.jpg")
    assert numbers.count == 4 and positional == ["one.jpg", "two.jpg"]
    assert parse("--count=4", "--", "--count=5")[2] == ["--count=5"]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--count=ten", "--count=ten: expected a whole number"),
        ("--count=1.5", "--count=1.5: expected a whole number"),
        ("--rate=fast", "--rate=fast: expected a number"),
        ("--rate=nan", "--rate=nan: expected a number"),
        ("--rate=inf", "--rate=inf: expected a number"),
        ("--count=1" + "0" * 30, "--count=1" + "0" * 30 + ": expected a whole number"),
        ("--dry=maybe", "--dry=maybe: expected true or false"),
        ("--depth=1,x", "--depth=x: expected a number"),
        ("--count=0", "--count=0: must be at least 1"),
        ("--count=10", "--count=10: must be at most 9"),
        ("--rate=-0.1", "--rate=-0.1: must be at least 0"),
        ("--depth=1,-2", "--depth=-2.0: must be at least 0"),
        ("--paint=green", "--paint=green: unknown; choose one of red, blue"),
        ("--layers=a,d", "--layers=d: unknown; choose one of a, b, c"),
        ("--cuont=3", "cuont"),
        ("--flagfile=/no/such.cfg", "--flagfile=/no/such.cfg: "),
    ],
)
def test_wrong_values_are_named(argument, expected):
    with pytest.raises(UserError) as caught:
        parse(argument)
    message = cli.in_flags(caught.value, Flags)
    assert expected in message and "\n" not in message
    assert "invalid literal" not in message and "ERROR" not in message


def test_unknown_flag_suggests_a_known_one():
    with pytest.raises(UserError, match=r"cuont.*count"):
        parse("--cuont=3")


def test_flagfile_with_comments_and_order(tmp_path):
    (tmp_path / "inner.cfg").write_text("--count=5\n--rate=2\n")
    file = tmp_path / "run.cfg"
    file.write_text(f"# a comment\n// another\n\n--paint=blue\n--flagfile={tmp_path}/inner.cfg\n--layers=c\n--rate=3\n")
    colours, numbers, _, _ = parse(f"--flagfile={file}", "--count=6")
    assert colours == Colours("blue", ("c",)) and numbers == Numbers(6, 3.0)
    # The command line's last word wins over the file.
    assert parse("--count=6", f"--flagfile={file}")[1].count == 5


def test_flags_in_the_place_of_their_flagfiles(tmp_path):
    (tmp_path / "inner.cfg").write_text("--count=5\n")
    (tmp_path / "run.cfg").write_text(f"# a comment\n\n--paint=blue\n--flagfile={tmp_path}/inner.cfg\n")
    found = config.without_flagfiles(["--rate=2", f"--flagfile={tmp_path}/run.cfg", "--rate=3"])
    assert found == ["--rate=2", "--paint=blue", "--count=5", "--rate=3"]
    with pytest.raises(UserError, match=r"^--flagfile=nowhere\.cfg: No such file"):
        config.without_flagfiles(["--flagfile=nowhere.cfg"])
    (tmp_path / "run.cfg").write_bytes(b"--paint=\xff\n")
    with pytest.raises(UserError, match="cannot be read as UTF-8 text"):
        config.without_flagfiles([f"--flagfile={tmp_path}/run.cfg"])


def test_wrong_flag_in_a_flagfile(tmp_path):
    (tmp_path / "run.cfg").write_text("--cuont=5\n")
    with pytest.raises(UserError, match="cuont"):
        parse(f"--flagfile={tmp_path}/run.cfg")


def test_help_names_every_flag_with_its_text():
    help_text = parse("--help")[3]
    for field in (*dataclasses.fields(Colours), *dataclasses.fields(Numbers)):
        assert f"--{field.name}" in help_text.replace("--[no]", "--") and field.metadata["help"] in help_text


def test_mapping_round_trip():
    instances = Colours("blue", ("a",), (1.5,)), Numbers(4, 2.0, True, "x")
    mapping = config.to_mapping(*instances)
    assert mapping["layers"] == ["a"] and mapping["dry"] is True
    assert tuple(config.from_mapping(type(instance), mapping) for instance in instances) == instances
    assert config.from_mapping(Numbers, {"other": 1}) == Numbers()


def test_mapping_is_checked():
    for values in ({"count": "many"}, {"count": 99}, {"rate": None}):
        with pytest.raises(UserError, match=r"(count|rate)="):
            config.from_mapping(Numbers, values)


@dataclasses.dataclass(frozen=True)
class Paint:
    flag_prefix: ClassVar[str] = "paint_"

    layer: int = option(1, "which", minimum=1)
    batch_size: int = option(8, "how many", flag="batch_size", aliases=("batch",))


@dataclasses.dataclass(frozen=True)
class Inner:
    paint: Paint


@dataclasses.dataclass(frozen=True)
class Nested:
    colours: Colours
    inner: Inner


def test_prefixes_aliases_and_groups_in_groups():
    flags, _, help_text = config.parse(["x", "--paint_layer=3", "--batch=4", "--paint=blue"], Nested)
    assert flags.inner.paint == Paint(3, 4) and flags.colours.paint == "blue" and help_text is None
    assert config.instances(flags) == [flags.colours, flags.inner.paint]
    mapping = config.to_mapping(flags)
    assert (mapping["paint_layer"], mapping["batch_size"], mapping["paint"]) == (3, 4, "blue")
    assert config.from_mapping(Nested, mapping) == flags
    assert config.from_mapping(Paint, {"batch": 5, "layer": 7}) == Paint(batch_size=5)


def test_the_alias_is_named_in_the_help():
    help_text = config.parse(["x", "--help"], Nested)[2]
    assert "--batch:" in help_text and "Alias for --batch_size" in help_text


def test_an_error_names_the_argument_and_a_command_its_flag():
    with pytest.raises(ValueError, match=r"^layer=0: must be at least 1$") as caught:
        config.from_arguments(Paint, {"layer": 0})
    assert cli.in_flags(caught.value, Nested) == "--paint_layer=0: must be at least 1"
    assert cli.in_flags(ArgumentError("depth", (1, 2), "no"), Nested) == "--depth=1,2: no"
    assert cli.in_flags(ArgumentError("images", None, "none given"), Nested) == "images: none given"
    assert cli.in_flags(UserError("file: gone"), Nested) == "file: gone"


def test_keyword_arguments():
    assert config.from_arguments(Colours, {"layers": "b", "depth": [1, 2]}) == Colours(layers=("b",), depth=(1.0, 2.0))
    with pytest.raises(TypeError, match="unexpected argument 'layer'; Colours has paint, layers, depth"):
        config.from_arguments(Colours, {"layer": "b"})


@given(st.integers(1, 9), st.floats(0, 1e6), st.booleans(), st.lists(st.sampled_from("abc"), max_size=4))
def test_any_valid_values_come_through(count, rate, dry, layers):
    colours, numbers, _, _ = parse(
        f"--count={count}", f"--rate={rate!r}", f"--dry={dry}", f"--layers={','.join(layers)}"
    )
    assert numbers == Numbers(count, rate, dry) and colours.layers == tuple(layers)
