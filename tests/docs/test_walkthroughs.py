"""The pages that say how to add a method and a data set, followed word for word in a copy of the project."""

import numpy as np
import pytest
import walkthrough

from e2wsol.data import dataset, pipeline, synthetic

DOCS = walkthrough.ROOT / "docs"
MADE = synthetic.SyntheticOptions(synthetic_train=40, synthetic_classes=3, synthetic_side=64)  # as the page says


@pytest.fixture
def project(tmp_path):
    walkthrough.copy_project(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_add_a_method(project):
    walkthrough.follow(DOCS / "add_a_method.md", project)
    assert (project / "runs/tap/report/index.html").stat().st_size > 10_000


@pytest.mark.slow
def test_add_a_data_set(project):
    walkthrough.follow(DOCS / "add_a_data_set.md", project)
    assert (project / "traps.png").stat().st_size > 10_000
    records = {name: read(project / "records" / name) for name in ("photos", "traps")}
    assert len(records["photos"]) == len(records["traps"]) == MADE.synthetic_train
    for index in range(MADE.synthetic_train):
        made, file = synthetic.render(MADE, "train", index), f"{index:04d}.jpg"
        for found in (records["photos"][file], records["traps"][file]):
            assert found["class"] == synthetic.class_names(MADE)[made.label]
            assert (found["split"] == "test") == (index >= 30)
            np.testing.assert_allclose(found["boxes"], made.boxes, atol=0.5)  # the page rounds them


def read(folder):
    """File name -> class, split and boxes of its record."""
    info, found = dataset.load(folder), {}
    view = pipeline.PipelineOptions(image_size=32, resize_size=32)
    for split in info.splits:
        for batch in pipeline.eval_dataset(info, view, split=split, batch=1).as_numpy_iterator():
            record = {"class": info.classes[batch["label"][0]], "split": split, "boxes": batch["boxes"][0]}
            found[batch["filename"][0].decode()] = record
    return found


def test_shape_of_what_is_printed():
    shown = "train: 48 pictures\n...\nwrote x:  4 classes\n"
    assert walkthrough.prints_like(shown, "train: 9 pictures\nval: 3 pictures\nwrote x: 12 classes\n")
    assert walkthrough.prints_like(shown, "train: 9 pictures\nwrote x: 12 classes\n")
    assert not walkthrough.prints_like(shown, "train: 9 pictures\nwrote y: 12 classes\n")
    assert not walkthrough.prints_like(shown, "train: 9 pictures\nwrote x: 12 classes\nmore\n")


def test_edits_need_their_line(tmp_path):
    file = tmp_path / "file"
    file.write_text("a\n  b\na\n")
    walkthrough.edit(file, "b", "c\n", keep=True)
    assert file.read_text() == "a\n  b\nc\na\n"
    walkthrough.edit(file, "c", "d\n", keep=False)
    assert file.read_text() == "a\n  b\nd\na\n"
    for line in ("a", "nowhere"):
        with pytest.raises(ValueError, match="unpack"):
            walkthrough.edit(file, line, "c\n", keep=True)
