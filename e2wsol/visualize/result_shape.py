"""What a result.json holds, as data, and where one differs from it."""

import dataclasses

NUMBER = (int, float)
MAYBE_NUMBER = (int, float, type(None))
TEXT, MAYBE_TEXT = (str,), (str, type(None))


@dataclasses.dataclass(frozen=True)
class Maybe:
    """A value of the shape, or null, or none at all."""

    shape: object


@dataclasses.dataclass(frozen=True)
class Interval:
    """Two numbers."""


@dataclasses.dataclass(frozen=True)
class Count:
    """A whole number, 0 or more."""


_SCORE = {
    "localizer": TEXT,
    "metric": TEXT,
    "iou": NUMBER,
    "threshold_from": TEXT,
    "threshold": Maybe(NUMBER),
    "pictures": Count(),
    "value": MAYBE_NUMBER,
    "interval": Maybe(Interval()),
}
_NUMBERS = Maybe({"*": NUMBER})

# What tables, charts and pages read; a result may hold more.
RESULT = {
    "dataset": {"*": object},
    "method": TEXT,
    "checkpoint": MAYBE_TEXT,
    "protocol": TEXT,
    "image_size": Maybe((int,)),
    "thresholds": {
        "protocol": MAYBE_NUMBER,
        "validation": Maybe((float, int, dict)),
        "best": Maybe((float, int, dict)),
    },
    "scores": [_SCORE],
    "sizes": Maybe({"names": [TEXT], "bounds": [NUMBER], "scores": [{"size": TEXT, **_SCORE}]}),
    "overlaps": Maybe(
        {"from": [NUMBER], "counts": [{"localizer": TEXT, "threshold_from": TEXT, "pictures": [Count()]}]}
    ),
    "max_box_acc": Maybe(
        {"*": {"mean": MAYBE_NUMBER, "mean_interval": Maybe(Interval()), "*": MAYBE_NUMBER}},
    ),
    "classification": {"*": MAYBE_NUMBER},
    "bootstrap": Maybe({"level": NUMBER}),
    "skipped_records": Maybe({"*": Count()}),
    "curves": {"thresholds": Maybe([NUMBER]), "*": {"*": [NUMBER]}},
    "pxap": _NUMBERS,
    "piou": _NUMBERS,
    "piou_thresholds": _NUMBERS,
    "pixel_intervals": Maybe({"*": {"*": Maybe(Interval())}}),
    "versions": Maybe({"*": object}),
    "flags": Maybe({"*": object}),
}


def mismatch(value, shape, place=""):
    """Where a value read from JSON differs from a shape.

    Args:
      value: anything that JSON gives.
      shape: a tuple of types; a list of one shape, for lists of it; a dict of shapes, for objects with
        those keys, the shape of "*" being that of all others; Maybe, Interval, Count or `object`, which is anything.
      place: how to call the value.

    Returns:
      One line such as "scores[2].iou is 'x', not a number"; None where all is well.
    """
    if shape is object or (isinstance(shape, Maybe) and value is None):
        return None
    if isinstance(shape, Maybe):
        return mismatch(value, shape.shape, place)
    if isinstance(shape, tuple):
        return None if isinstance(value, shape) else _is_not(place, value, _NAMES.get(shape[0], shape[0].__name__))
    if isinstance(shape, Interval):
        pair = isinstance(value, list) and len(value) == 2 and all(isinstance(end, NUMBER) for end in value)
        return None if pair else _is_not(place, value, "a pair of numbers")
    if isinstance(shape, Count):
        counts = isinstance(value, int) and value >= 0
        return None if counts else _is_not(place, value, "a number of things")
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _is_not(place, value, "a list")
        return _first(mismatch(one, shape[0], f"{place}[{number}]") for number, one in enumerate(value))
    if not isinstance(value, dict):
        return _is_not(place, value, "an object")
    others = {key: shape["*"] for key in value if key not in shape} if "*" in shape else {}
    named = {key: inner for key, inner in shape.items() if key != "*"}
    return _first(_of_key(value, key, inner, place) for key, inner in (named | others).items())


_NAMES = {int: "a number", float: "a number", str: "text", list: "a list"}


def _of_key(value, key, shape, place):
    if key in value:
        return mismatch(value[key], shape, _join(place, key))
    return None if isinstance(shape, Maybe) else f"{place or 'it'} has no {key!r}"


def _first(problems):
    return next((problem for problem in problems if problem), None)


def _join(place, key):
    return f"{place}.{key}" if place else key


def _is_not(place, value, expected):
    text = repr(value)
    return f"{place or 'it'} is {text if len(text) < 40 else text[:36] + '...'}, not {expected}"
