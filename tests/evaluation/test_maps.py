import numpy as np
import pytest

from e2wsol.errors import UserError
from e2wsol.evaluation.maps import StoredMaps
from e2wsol.localization import protocols
from e2wsol.localization.frame import Frame
from e2wsol.localization.metrics import LocalizationScorer

SCORES = np.linspace(0.1, 0.9, 64).reshape(8, 8).astype(np.float32)


def store(folder, name, array):
    path = folder / f"{name}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def batch(source_id, filename=""):
    return {"source_id": np.array([source_id.encode()], object), "filename": np.array([filename.encode()], object)}


@pytest.mark.parametrize("name", ["a/b.jpg", "a/b", "c.jpeg", "c"])
def test_a_map_is_found_by_id_or_file_name(tmp_path, name):
    store(tmp_path, name, SCORES)
    maps = StoredMaps(tmp_path, size=8, values="scores")
    np.testing.assert_array_equal(maps.read("a/b.jpg", "c.jpeg"), SCORES)


def test_the_full_id_comes_first(tmp_path):
    store(tmp_path, "b.v2", SCORES)
    store(tmp_path, "b.v2.jpg", SCORES / 2)
    np.testing.assert_array_equal(StoredMaps(tmp_path, size=8, values="scores").read("b.v2.jpg"), SCORES / 2)


def test_scores_are_taken_as_they_are_and_raw_maps_normalised(tmp_path):
    store(tmp_path, "a.jpg", SCORES)
    scorer = LocalizationScorer(protocols.get("maxboxacc"), Frame(size=8, resize=8))
    for values, ends in (("scores", (np.float32(0.1), np.float32(0.9))), ("raw", (0, 1))):
        (image,) = StoredMaps(tmp_path, size=8, values=values).of_batch(batch("a.jpg"))
        (stored,) = image.maps.values()
        found = stored.boxes(scorer).score_map
        assert (found.min(), found.max()) == ends and found.dtype == np.float64 and image.top5 is None
    store(tmp_path, "a.jpg", np.arange(6).reshape(2, 3))
    (image,) = StoredMaps(tmp_path, size=8, values="raw").of_batch(batch("a.jpg"))
    (stored,) = image.maps.values()
    assert stored.boxes(scorer).score_map.shape == (8, 8)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (SCORES[:4], r"4x8 values, expected 8x8 \(map_size\); map_values=raw"),
        (SCORES * 2, r"values from 0\.2 to 1\.8, expected scores from 0 to 1; map_values=raw"),
        (SCORES - 0.2, r"values from -0\.1 to 0\.7"),
        (np.full((8, 8), np.nan), "values from nan to nan"),
        (SCORES[None], r"holds float32 \(1, 8, 8\); expected one map"),
        (np.full((8, 8), "x"), "expected one map, numbers"),
        (np.array([{}]), "cannot be read as a .npy array"),
    ],
)
def test_what_is_no_map_is_named(tmp_path, array, words):
    path = store(tmp_path, "a.jpg", array)
    with pytest.raises(UserError, match=words) as error:
        StoredMaps(tmp_path, size=8, values="scores").read("a.jpg")
    assert str(error.value).startswith(str(path))


def test_missing_map_names_the_file(tmp_path):
    with pytest.raises(
        UserError, match=r"d/e\.jpg\.npy: no map of picture d/e\.jpg \(nor d/e\.npy, f\.png\.npy, f\.npy"
    ):
        StoredMaps(tmp_path, size=8, values="scores").read("d/e.jpg", "f.png")
    with pytest.raises(UserError, match=r"maps=.*nowhere: no such folder"):
        StoredMaps(tmp_path / "nowhere", size=8, values="scores")
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(UserError, match=r"cut\.npy: cannot be read"):
        StoredMaps(tmp_path, size=8, values="scores").read("cut.jpg")
