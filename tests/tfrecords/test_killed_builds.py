import pytest
from killed_builds import killed_builds, sources


@pytest.mark.slow
def test_killed_builds_end_like_one_in_peace(tmp_path):
    for name, flags in sources(tmp_path, 24).items():
        found = killed_builds(flags, tmp_path / name, kills=3, seed=0)
        assert found["kills"] == 3
