"""Boxes, true boxes and scores of the kit's BAS cases, without their networks."""

import bas_boxes
import kit
import numpy as np
import pytest
from report import Report

from e2wsol.data import pipeline

CASES = sorted(kit.SHARED_KIT.glob("bas_*"))
pytestmark = pytest.mark.skipif(not CASES, reason="no BAS case of the parity kit at ../shared/parity")


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_boxes_and_scores(folder):
    report = Report(folder.name)
    bas_boxes.check_boxes(report, *kit.load(folder))
    assert not report.failed, report.line()
    assert len(report.measured) > 10


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_centre_of_the_ten_crops(folder):
    _, arrays = kit.load(folder)
    crops = pipeline.ten_crops(arrays["tencrop_image256_uint8"][0], bas_boxes.SIZE)
    np.testing.assert_array_equal(crops[4], arrays["images_uint8"][0])
