import kit
import pytest
from spol_mask_cases import check_pseudo_mask

from e2wsol.localization import pseudo_mask

CASE = kit.SHARED_KIT / "spol_pseudo_mask"
pytestmark = pytest.mark.skipif(not CASE.is_dir(), reason="the parity kit is not here")


def test_pseudo_masks_equal_those_of_the_authors():
    report = check_pseudo_mask(*kit.load(CASE))
    assert report.status == "PASS", report.line()
    assert {"picture", "target", "weight", "moments", "prior", "foreground"} <= report.measured.keys()


def test_a_map_that_the_authors_cannot_take_must_have_no_prior():
    case, arrays = kit.load(CASE)
    arrays["status"] = arrays["status"] + 1
    assert "prior_of_nothing" in check_pseudo_mask(case, arrays).line().partition("FAIL")[2]


def test_the_checker_sees_a_wrong_gaussian(monkeypatch):
    monkeypatch.setattr(pseudo_mask, "_SHARPNESS", 9.99)
    report = check_pseudo_mask(*kit.load(CASE))
    assert report.status == "FAIL" and report.measured["picture"][0] > 100
