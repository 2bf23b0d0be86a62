"""The schema of result.json, as data, and where a value differs from it."""

import dataclasses
from typing import Any

NUMBER = (int, float)
MAYBE_NUMBER = (int, float, type(None))
TEXT, MAYBE_TEXT = (str,), (str, type(None))


@dataclasses.dataclass(frozen=True)
class Nullable:
    """A value of the schema, or null, or none at all."""

    schema: object


@dataclasses.dataclass(frozen=True)
class NumberPair:
    """Two numbers."""


@dataclasses.dataclass(frozen=True)
class WholeNumber:
    """A whole number, 0 or more."""


_SCORE = {
    "localizer": TEXT,
    "metric": TEXT,
    "iou": NUMBER,
    "threshold_from": TEXT,
    "threshold": Nullable(NUMBER),
    "pictures": WholeNumber(),
    "value": MAYBE_NUMBER,
    "interval": Nullable(NumberPair()),
}
_NUMBERS = Nullable({"*": NUMBER})

# What tables, charts and pages read; a result may hold more.
RESULT = {
    "dataset": {"*": object},
    "method": TEXT,
    "checkpoint": MAYBE_TEXT,
    "protocol": TEXT,
    "image_size": Nullable((int,)),
    "thresholds": {
        "protocol": MAYBE_NUMBER,
        "validation": Nullable((float, int, dict)),
        "best": Nullable((float, int, dict)),
    },
    "scores": [_SCORE],
    "sizes": Nullable({"names": [TEXT], "bounds": [NUMBER], "scores": [{"size": TEXT, **_SCORE}]}),
    "overlaps": Nullable(
        {"from": [NUMBER], "counts": [{"localizer": TEXT, "threshold_from": TEXT, "pictures": [WholeNumber()]}]}
    ),
    "max_box_acc": Nullable(
        {"*": {"mean": MAYBE_NUMBER, "mean_interval": Nullable(NumberPair()), "*": MAYBE_NUMBER}},
    ),
    "classification": {"*": MAYBE_NUMBER},
    "bootstrap": Nullable({"level": NUMBER}),
    "skipped_records": Nullable({"*": WholeNumber()}),
    "flat_maps": Nullable((int,)),
    "curves": {"thresholds": Nullable([NUMBER]), "*": {"*": [NUMBER]}},
    "pxap": _NUMBERS,
    "piou": _NUMBERS,
    "piou_thresholds": _NUMBERS,
    "pixel_intervals": Nullable({"*": {"*": Nullable(NumberPair())}}),
    "versions": Nullable({"*": object}),
    "flags": Nullable({"*": object}),
}


def mismatch(value: Any, schema: Any, place: str = "") -> str | None:
    """Where a value read from JSON differs from a schema.

    Args:
      value: anything that JSON gives.
      schema: a tuple of types; a list of one schema, for lists of it; a dict of shapes, for objects with
        those keys, the schema of "*" being that of all others; Nullable, NumberPair, WholeNumber or `object`,
        which is anything.
      place: how to call the value.

    Returns:
      One line such as "scores[2].iou is 'x', not a number"; None where all is well.
    """
    if schema is object or (isinstance(schema, Nullable) and value is None):
        return None
    if isinstance(schema, Nullable):
        return mismatch(value, schema.schema, place)
    if isinstance(schema, tuple):
        return None if isinstance(value, schema) else _is_not(place, value, _NAMES.get(schema[0], schema[0].__name__))
    if isinstance(schema, NumberPair):
        pair = isinstance(value, list) and len(value) == 2 and all(isinstance(end, NUMBER) for end in value)
        return None if pair else _is_not(place, value, "a pair of numbers")
    if isinstance(schema, WholeNumber):
        counts = isinstance(value, int) and value >= 0
        return None if counts else _is_not(place, value, "a number of things")
    if isinstance(schema, list):
        if not isinstance(value, list):
            return _is_not(place, value, "a list")
        return _first(mismatch(one, schema[0], f"{place}[{number}]") for number, one in enumerate(value))
    if not isinstance(value, dict):
        return _is_not(place, value, "an object")
    others = {key: schema["*"] for key in value if key not in schema} if "*" in schema else {}
    named = {key: inner for key, inner in schema.items() if key != "*"}
    return _first(_of_key(value, key, inner, place) for key, inner in (named | others).items())


_NAMES = {int: "a number", float: "a number", str: "text", list: "a list"}


def _of_key(value, key, schema, place):
    if key in value:
        return mismatch(value[key], schema, _join(place, key))
    return None if isinstance(schema, Nullable) else f"{place or 'it'} has no {key!r}"


def _first(problems):
    return next((problem for problem in problems if problem), None)


def _join(place, key):
    return f"{place}.{key}" if place else key


def _is_not(place, value, expected):
    text = repr(value)
    return f"{place or 'it'} is {text if len(text) < 40 else text[:36] + '...'}, not {expected}"
