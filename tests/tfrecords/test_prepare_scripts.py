import os
import pathlib
import subprocess
import sys
import tarfile

import pytest
from made_sources import save_picture
from test_cub_source import BOXES, PICTURES, write
from test_ilsvrc_source import WNIDS, as_archives, voc

from e2wsol.data import dataset

ROOT = pathlib.Path(__file__).parents[2]


def script(name, *arguments):
    call = ["bash", str(ROOT / "scripts" / name), *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True, env=os.environ | {"PYTHON": sys.executable})


@pytest.mark.slow
def test_cub_archives(tmp_path):
    source = tmp_path / "made"
    for seed, name in enumerate(PICTURES):
        save_picture(source / "images" / name, seed=seed)
        save_picture((tmp_path / "masks" / name).with_suffix(".png"), seed=seed, mode="L")
    write(source / "images.txt", [f"{i} {name}" for i, name in enumerate(PICTURES, 1)])
    write(source / "classes.txt", ["1 001.Auk", "2 002.Bee eater"])
    write(source / "image_class_labels.txt", ["1 1", "2 1", "3 2", "4 2"])
    write(source / "bounding_boxes.txt", BOXES)
    write(source / "train_test_split.txt", ["1 1", "2 0", "3 1", "4 0"])
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    for archive, folder, name in (
        ("CUB_200_2011", source, "CUB_200_2011"),
        ("segmentations", tmp_path / "masks", "segmentations"),
    ):
        with tarfile.open(downloads / f"{archive}.tgz", "w:gz") as tar:
            tar.add(folder, name)
    result = script("prepare_cub.sh", downloads, tmp_path / "out", "--workers=1")
    assert result.returncode == 2
    assert "--expect_counts=train:5994: split train has 2 pictures; is the download complete?" in result.stderr
    result = script("prepare_cub.sh", downloads, tmp_path / "out", "--workers=1", "--expect_counts=train:2,test:2")
    assert result.returncode == 0, result.stderr
    assert dataset.load(tmp_path / "out").has_masks


@pytest.mark.slow
def test_imagenet_archives(tmp_path):
    root = tmp_path / "made"
    for wnid in WNIDS:
        save_picture(root / f"train/{wnid}/{wnid}_0.JPEG", kind="JPEG")
    save_picture(root / "val/ILSVRC2012_val_00000001.JPEG", kind="JPEG")
    (root / "Annotations/CLS-LOC/val").mkdir(parents=True)
    annotation = voc((WNIDS[0], (1, 2, 30, 20)))
    (root / "Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml").write_text(annotation)
    archives = as_archives(root, tmp_path / "archives")
    (tmp_path / "n02000001_0.xml").write_text(annotation)
    with tarfile.open(archives / "ILSVRC2012_bbox_train_v2.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "n02000001_0.xml", f"{WNIDS[0]}/n02000001_0.xml")
    arguments = (archives, tmp_path / "out", "--workers=1", "--expect_counts=train:3,test:1")
    result = script("prepare_imagenet.sh", *arguments)
    assert result.returncode == 0, result.stderr
    assert dataset.load(tmp_path / "out").split("test").count == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("prepare_cub.sh", ["CUB_200_2011.tgz", "curl -L -o"]),
        ("prepare_imagenet.sh", ["ILSVRC2012_img_train.tar", "bbox_val_v3"]),
    ],
)
def test_missing_archives_say_what_to_download(tmp_path, name, words):
    result = script(name, tmp_path)
    assert result.returncode == 2 and result.stderr.startswith("error: ")
    for word in [*words, str(tmp_path)]:
        assert word in result.stderr
