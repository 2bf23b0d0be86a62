"""Damage to bytes and to JSON documents, drawn by hypothesis."""

import copy

from hypothesis import strategies as st

NASTY = (
    None,
    True,
    0,
    -1,
    1e30,
    2**63,
    2**80,
    float("nan"),
    float("inf"),
    "",
    "../x",
    "/etc/passwd",
    "a\0b",
    "é",
    [],
    {},
)


@st.composite
def damaged(draw, data, most=4):
    """The bytes `data` after 1 to `most` flips, cuts, repetitions, insertions and swaps."""
    data = bytearray(draw(st.sampled_from(data)) if isinstance(data, list | tuple) else data)
    for _ in range(draw(st.integers(1, most))):
        start = draw(st.integers(0, max(len(data) - 1, 0)))
        stop = min(len(data), start + draw(st.integers(1, 64)))
        kind = draw(st.sampled_from(("flip", "cut", "end", "repeat", "insert", "zero")))
        if kind == "flip" and data:
            data[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del data[start:stop]
        elif kind == "end":
            del data[start:]
        elif kind == "repeat":
            data[start:start] = data[start:stop]
        elif kind == "insert":
            data[start:start] = draw(st.binary(min_size=1, max_size=16))
        else:
            data[start:stop] = bytes(stop - start)
    return bytes(data)


@st.composite
def altered(draw, document):
    """A JSON document in which one to three places hold something else or nothing."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = [*_places(document)]
        if not places:
            return draw(st.sampled_from(NASTY))
        owner, key = draw(st.sampled_from(places))
        if draw(st.integers(0, 4)) == 0:
            del owner[key]
        elif isinstance(owner[key], int) and draw(st.booleans()):
            owner[key] += draw(st.integers(-2, 2))
        else:
            owner[key] = copy.deepcopy(draw(st.sampled_from(NASTY)))
    return document


def _places(node):
    """(container, key) of everything in a document."""
    keys = range(len(node)) if isinstance(node, list) else list(node) if isinstance(node, dict) else ()
    for key in keys:
        yield node, key
        yield from _places(node[key])
