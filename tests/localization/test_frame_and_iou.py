import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2wsol.localization import protocols
from e2wsol.localization.frame import Frame, boxes_in_frame, mask_in_frame
from e2wsol.localization.iou import pairwise_iou

E2NET, MAXBOXACC = protocols.get("e2net"), protocols.get("maxboxacc")


@given(st.data())
def test_iou_counts_pixels(data):
    """With both ends inside, the IoU of integer boxes is a share of counted pixels."""
    coordinate = st.integers(0, 11)
    masks, boxes = [], []
    for _ in range(2):
        x0, x1 = sorted((data.draw(coordinate), data.draw(coordinate)))
        y0, y1 = sorted((data.draw(coordinate), data.draw(coordinate)))
        mask = np.zeros((12, 12), bool)
        mask[y0 : y1 + 1, x0 : x1 + 1] = True
        masks.append(mask)
        boxes.append([[x0, y0, x1, y1]])
    expected = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
    assert pairwise_iou(*boxes, 1)[0, 0] == expected


def test_iou_without_extent():
    iou = pairwise_iou([(0, 0, 2, 2), (5, 5, 5, 5)], [(1, 0, 3, 2), (5, 5, 5, 5), (0, 0, 2, 2)], 0)
    np.testing.assert_allclose(iou, [[1 / 3, 0, 1], [0, 0, 0]])


@pytest.mark.parametrize("frame", [Frame(size=224, resize=224), Frame(size=224, resize=256)])
def test_truth_goes_the_pictures_way(frame):
    boxes = [[31, 17, 333, 299], [0, 0, 375, 500]]
    sides = (375, 500)
    expected = [
        [int(value * frame.resize / sides[axis % 2] - frame.offset) for axis, value in enumerate(box)] for box in boxes
    ]
    assert boxes_in_frame(boxes, sides, frame, MAXBOXACC).tolist() == expected
    assert boxes_in_frame(boxes, sides, frame, E2NET).tolist() == expected[:1]


def test_truth_rounds_in_the_references_order():
    """x * (side / width) and x * side / width differ by a pixel where the product is an integer."""
    frame = Frame(size=224, resize=224)
    widths = np.arange(200, 600)
    found = set()
    for width in widths.tolist():
        for x in range(width):
            if int(x * (224 / width)) != int(x * 224 / width):
                found.add((x, width))
    assert found
    for x, width in found:
        for protocol, expected in ((E2NET, int(x * (224 / width))), (MAXBOXACC, int(x * 224 / width))):
            assert boxes_in_frame([[x, 0, x, 0]], (width, 224), frame, protocol)[0, 0] == expected


def test_truth_that_is_clipped_but_not_rounded():
    frame, protocol = Frame(size=224, resize=256), protocols.get("bas")
    boxes = [[0, 0, 375, 500], [200, 100, 299, 301], [0, 0, 20, 400]]
    found = boxes_in_frame(boxes, (375, 500), frame, protocol)
    inside = [[200 * 256 / 375 - 16, 100 * 256 / 500 - 16, 299 * 256 / 375 - 16, 301 * 256 / 500 - 16]]
    np.testing.assert_allclose(found[:2], [[0, 0, 224, 224], *inside], rtol=1e-12)
    # The crop left this one out: it ends before it starts and meets nothing.
    assert found[2, 2] < 0 and not pairwise_iou([[0, 0, 224, 224]], found[2:], protocol.iou_extent).any()


def test_truth_that_the_crop_leaves_out_is_dropped():
    frame, protocol = Frame(size=224, resize=256), protocols.get("spol")
    boxes = [[0, 0, 375, 500], [0, 0, 20, 400], [200, 100, 299, 301]]
    found = boxes_in_frame(boxes, (375, 500), frame, protocol)
    # The first is moved inside the picture first, to 374 and 499; that makes no difference in the crop.
    inside = [200 * 256 / 375 - 16, 100 * 256 / 500 - 16, 299 * 256 / 375 - 16, 301 * 256 / 500 - 16]
    np.testing.assert_allclose(found, [[0, 0, 224, 224], inside], rtol=1e-12)
    whole = boxes_in_frame(boxes, (375, 500), Frame(size=256, resize=256), protocol)
    np.testing.assert_allclose(whole[0], [0, 0, 374 * 256 / 375, 499 * 256 / 500], rtol=1e-12)


def test_epsilon_of_the_union():
    assert pairwise_iou([(0, 0, 1, 2)], [(0, 0, 1, 1)], 0, 1e-12)[0, 0] == 1 / (2 + 1e-12) < 0.5
    assert pairwise_iou([(0, 0, 0, 0)], [(3, 3, 3, 3)], 0, 1e-12)[0, 0] == 0


def test_no_box():
    assert boxes_in_frame(np.zeros((0, 4)), (10, 10), Frame(size=8, resize=8), E2NET).shape == (0, 4)


def test_mask_keeps_its_values_and_follows_the_crop():
    mask = np.zeros((50, 100), np.uint8)
    mask[10:40, 20:80] = 1
    mask[:, 90:] = 255
    whole = mask_in_frame(mask, Frame(size=200, resize=200))
    assert set(np.unique(whole)) == {0, 1, 255}
    assert (whole == 1).mean() == (mask == 1).mean()
    np.testing.assert_array_equal(mask_in_frame(mask, Frame(size=160, resize=200)), whole[20:180, 20:180])
