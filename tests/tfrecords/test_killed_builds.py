import pytest
from killed_builds import killed_builds, sources


@pytest.mark.slow
def test_killed_builds_end_like_one_in_peace(tmp_path):
    """The archive is unpacked first; `python tests/tfrecords/killed_builds.py` kills more, folders too."""
    found = killed_builds(sources(tmp_path, 24)["archive"], tmp_path / "killed", kills=4, seed=0)
    assert found["kills"] == 4
