import pytest
from two_at_once import two_at_once


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["build", "train"])
def test_of_two_processes_one_works_and_the_other_says_who(kind, tmp_path):
    """`python tests/two_at_once.py` does it thirty times."""
    found = two_at_once(kind, tmp_path, rounds=2, seed=1)
    assert found["refused"] + found["followed"] == 2 and found["refused"] > 0
