import pathlib

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


TWO = (("ants/0.jpg", "0.jpg"), ("bees/0.jpg", "0.jpg"))


@pytest.mark.parametrize(
    ("files", "images", "serves_two"),
    [
        (["0"], TWO, "0"),
        (["0.jpg"], TWO, "0.jpg"),
        (["a/b"], (("a/b.jpg", "b.jpg"), ("a/b.png", "b.png")), "a/b"),
        (["bird.v1"], (("bird.v1.jpg", ""), ("bird.v1.png", "")), "bird.v1"),
        (["ants/0", "0"], (*TWO, ("cats/0.jpg", "0.jpg")), "0"),
        (["ants/0", "0"], TWO, None),  # what is named by id wins, the other file is the other picture's
        (["ants/0.jpg", "bees/0"], TWO, None),
        (["A/0", "a/0"], (("A/0.jpg", ""), ("a/0.jpg", "")), None),
        (["ants/0"], (TWO[0], TWO[0]), None),  # the same picture in two splits
    ],
)
def test_one_file_is_the_map_of_one_picture(tmp_path, files, images, serves_two):
    for name in files:
        store(tmp_path, name, SCORES)
    maps = StoredMaps(tmp_path, size=8, values="scores")
    if serves_two is None:
        assert maps.check(images) == []
        return
    with pytest.raises(UserError) as caught:
        maps.check(images)
    first, second = images[-2:] if serves_two == "0" and len(images) == 3 else images[:2]
    words = f"would be the map of two pictures, {first[0]} and {second[0]}; name maps by picture id: {first[0]}.npy"
    assert str(caught.value).startswith(f"{tmp_path / serves_two}.npy: {words}")


def test_on_a_file_system_without_capitals_two_names_are_one_file(tmp_path):
    """A link stands in for such a file system."""
    store(tmp_path, "ants/a", SCORES)
    (tmp_path / "ants/A.npy").hardlink_to(tmp_path / "ants/a.npy")
    with pytest.raises(UserError, match=r"A\.npy: would be the map of two pictures, ants/a\.jpg and ants/A\.jpg"):
        StoredMaps(tmp_path, size=8, values="scores").check([("ants/a.jpg", ""), ("ants/A.jpg", "")])


def test_files_of_no_picture_are_listed(tmp_path):
    for name in ("ants/0", "bees/0", "bees/1", "0"):
        store(tmp_path, name, SCORES)
    pathlib.Path(tmp_path, "result.json").write_text("{}")
    found = StoredMaps(tmp_path, size=8, values="scores").check([*TWO, ("cats/9.jpg", "9.jpg")])
    assert found == ["0.npy", "bees/1.npy"]
