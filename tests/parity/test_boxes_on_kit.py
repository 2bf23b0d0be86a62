"""Boxes of the kit's maps by the graph, and E2Net's hand-made maps."""

import kit
import numpy as np
import pytest

from e2wsol.localization import protocols
from e2wsol.localization.boxes import best_ious_at_levels, boxes_at_levels, levels_at, to_levels
from e2wsol.localization.component_tree import contour_boxes
from e2wsol.localization.graph import boxes_of_masks, extract_boxes
from e2wsol.localization.iou import pairwise_iou
from e2wsol.localization.score_map import gray_table, to_gray, to_score_map

EVALUATION, E2NET_CASE = kit.SHARED_KIT / "evaluation", kit.SHARED_KIT / "e2net_vgg16_cub"
SPOL_CASE = kit.SHARED_KIT / "spol_seg_resnet50_cub"
MNPO_CASES = [kit.SHARED_KIT / name for name in ("mnpo_vgg16_cub", "mnpos_vgg16_ilsvrc")]
pytestmark = pytest.mark.skipif(not EVALUATION.is_dir(), reason="the parity kit is not at ../shared/parity")


@pytest.mark.slow
@pytest.mark.parametrize("name", protocols.names())
def test_graph_on_the_kits_maps(name):
    protocol, maps = protocols.get(name), kit.load(EVALUATION)[1]["maps"]
    size = maps.shape[1]
    thresholds = (protocol.default_threshold, 0.45, 0.8)
    images = [to_levels(to_score_map(one, size, protocol), thresholds, protocol) for one in maps]
    expected = np.stack([boxes_at_levels(*image, protocol) for image in images])
    for column, threshold in enumerate(thresholds):
        _, boxes = extract_boxes(maps, size=size, threshold=threshold, protocol=protocol)
        np.testing.assert_array_equal(boxes, expected[:, column])


@pytest.mark.slow
def test_graph_on_the_references_boxes():
    """Not by way of boxes.py: the benchmark's own boxes at levels spread over its grid."""
    _, arrays = kit.load(EVALUATION)
    protocol = protocols.get("maxboxacc")
    gray = (arrays["maps"].astype(np.float64) * 255).astype(np.uint8)
    for column in range(20, 1000, 245):
        masks = gray > arrays["wsol_level"][:, column, None, None]
        np.testing.assert_array_equal(boxes_of_masks(masks, protocol), arrays["wsol_single_boxes"][:, column])


def test_component_tree_on_the_references_boxes():
    """All 1000 thresholds of all maps: the benchmark's box, all of its contours, and the best of their IoUs."""
    _, arrays = kit.load(EVALUATION)
    protocol = protocols.get("maxboxacc")
    index, ends = arrays["wsol_multi_index"], np.cumsum(arrays["wsol_multi_index"][:, 2])
    for picture, score_map in enumerate(arrays["maps"].astype(np.float64)):
        gray, levels = to_gray(score_map, protocol), arrays["wsol_level"][picture].astype(int)
        single = boxes_at_levels(gray, levels, protocol)
        np.testing.assert_array_equal(single, arrays["wsol_single_boxes"][picture])
        true_boxes = arrays["wsol_gt_boxes"][picture, : arrays["gt_count"][picture]]
        ious = best_ious_at_levels(gray, levels, true_boxes, protocol)
        np.testing.assert_array_equal(ious.astype(np.float32), arrays["wsol_iou_multi"][picture])
        boxes, ranges = contour_boxes(gray)
        boxes[:, 2:] = np.minimum(boxes[:, 2:], np.array(gray.shape[::-1]) - 1)
        for row in np.flatnonzero(index[:, 0] == picture):
            found = boxes[(ranges[:, 0] <= index[row, 1]) & (index[row, 1] <= ranges[:, 1])]
            found = found[np.lexsort(found.T[::-1])] if len(found) else np.zeros((1, 4))
            np.testing.assert_array_equal(found, arrays["wsol_multi_boxes"][ends[row] - index[row, 2] : ends[row]])


def test_e2nets_hand_made_maps():
    case, arrays = kit.load(E2NET_CASE)
    protocol = protocols.get("e2net")
    size = arrays["unit_gray"].shape[1]
    grays = [to_gray(to_score_map(one, size, protocol), protocol) for one in arrays["unit_maps"]]
    np.testing.assert_array_equal(grays, arrays["unit_gray"])
    thresholds = case["config"]["thresholds"]
    boxes = [boxes_at_levels(gray, levels_at(gray, thresholds), protocol) for gray in grays]
    np.testing.assert_array_equal(boxes, arrays["unit_boxes"])
    np.testing.assert_array_equal(gray_table("cubehelix"), arrays["colormap_gray"])


def test_spols_boxes_from_its_logits():
    """From the network's 28x28 logits on: resized between their corners, sigmoid, contour of largest area."""
    _, arrays = kit.load(SPOL_CASE)
    protocol, logits = protocols.get("spol"), arrays["seg_logits"][..., 0]
    for one, box in zip(logits, arrays["box"]):
        image, levels = to_levels(to_score_map(one, 224, protocol), [0.2], protocol)
        assert boxes_at_levels(image, levels, protocol)[0].tolist() == box.tolist()
    _, boxes = extract_boxes(logits, size=224, threshold=0.2, protocol=protocol)
    np.testing.assert_array_equal(boxes, arrays["box"])
    score_maps = np.array([to_score_map(one, 224, protocol)[::7, ::7] for one in logits])
    np.testing.assert_allclose(score_maps, 1 / (1 + np.exp(-arrays["seg_logits_224_sub7"].astype(float))), atol=1e-6)


@pytest.mark.parametrize("folder", MNPO_CASES, ids=lambda folder: folder.name)
def test_mnpos_boxes_of_its_maps(folder):
    _, arrays = kit.load(folder)
    protocol = protocols.get("mnpo")
    for score_map, boxes in zip(arrays["loc_map"].astype(np.float64), arrays["boxes"]):
        image, levels = to_levels(score_map, protocol.thresholds, protocol)
        np.testing.assert_array_equal(boxes_at_levels(image, levels, protocol), boxes)


def test_e2nets_iou():
    _, arrays = kit.load(E2NET_CASE)
    pairs = arrays["iou_pairs"]
    ious = np.diag(pairwise_iou(pairs[:, :4], pairs[:, 4:], protocols.get("e2net").iou_extent))
    np.testing.assert_allclose(ious, arrays["iou_values"], rtol=1e-6)
