import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2wsol.errors import UserError
from tfrecords import splits
from tfrecords.items import Item


def items(counts):
    return [Item(f"{label}/{number}", label) for label, count in enumerate(counts) for number in range(count)]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.floats(0.01, 0.9))
def test_hold_out_is_stratified_and_disjoint(counts, fraction):
    every = items(counts)
    stay, go = splits.hold_out(every, fraction)
    assert sorted(item.source_id for item in stay + go) == sorted(item.source_id for item in every)
    taken = collections.Counter(item.label for item in go)
    for label, count in enumerate(counts):
        assert taken[label] <= max(count - 1, 0), "every class keeps a picture"
        assert abs(taken[label] - fraction * count) <= 1 + 1e-9 and (taken[label] or count == 1)


def test_hold_out_does_not_depend_on_the_order_or_the_other_pictures():
    every = items([20, 20])
    first = {item.source_id for item in splits.hold_out(every, 0.3)[1]}
    assert first == {item.source_id for item in splits.hold_out(every[::-1], 0.3)[1]}
    alone = {item.source_id for item in splits.hold_out(every[:20], 0.3)[1]}
    assert alone == {name for name in first if name.startswith("0/")}
    assert splits.hold_out(every, 0.0) == (every, [])


def test_shuffled_order_is_fixed_and_mixes_classes():
    order = splits.shuffled(items([50, 50]))
    assert order == splits.shuffled(items([50, 50])[::-1])
    assert 15 < sum(item.label for item in order[:50]) < 35


def test_expected_counts():
    parts = {"train": items([3]), "test": items([2])}
    splits.check_counts(parts, ("train:3", "test:2"))
    with pytest.raises(UserError, match=r"^expect_counts=train:4: split train has 3 pictures"):
        splits.check_counts(parts, ("train:4",))
    with pytest.raises(UserError, match=r"^expect_counts=val:1: split val has 0 pictures"):
        splits.check_counts(parts, ("val:1",))
    with pytest.raises(UserError, match=r"^expect_counts=train: expected split:count, such as train:5994"):
        splits.check_counts(parts, ("train",))
