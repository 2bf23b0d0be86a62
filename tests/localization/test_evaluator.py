"""The public Evaluator against loops over thresholds, images and pixels, with OpenCV's contours alone."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from contours import reference_best_ious, reference_box, reference_overlap, rough_maps
from hypothesis import given, settings
from hypothesis import strategies as st

from e2wsol.errors import ArgumentError
from e2wsol.localization import protocols
from e2wsol.localization.evaluator import Evaluator

SIDE, WIDTH, HEIGHT = 24, 48, 36
IOUS = (0.3, 0.5, 0.7)


def images(seed, count, *, classes=True):
    """Images with score maps of few gray levels, one to three true boxes and masks."""
    rng = np.random.default_rng(seed)
    for gray in rough_maps(seed, count, SIDE, int(rng.integers(2, 9))):
        starts = rng.integers(0, (WIDTH - 9, HEIGHT - 9), (rng.integers(1, 4), 2))
        yield {
            "score_map": gray / 255,
            "boxes": np.concatenate([starts, starts + rng.integers(2, 30, starts.shape)], axis=1),
            "image_size": (WIDTH, HEIGHT),
            "label": int(rng.integers(8)),
            "top5": rng.permutation(8)[:5] if classes else None,
            "mask": rng.choice(np.array([0, 1, 255], np.uint8), (HEIGHT, WIDTH)),
        }


def evaluator(some, protocol="maxboxaccv2", **options):
    made = Evaluator(protocol, size=SIDE, **options)
    for image in some:
        made.update(**image)
    return made


def plain_ious(image, thresholds, *, every_contour):
    """Best IoU of one image at each threshold, as the benchmark's code finds it; of equal levels once."""
    gray = (image["score_map"] * 255).astype(np.uint8)
    sides = (WIDTH, HEIGHT, WIDTH, HEIGHT)
    truth = [[int(x * SIDE / side) for x, side in zip(box, sides)] for box in image["boxes"].tolist()]
    found = {}
    for threshold in thresholds:
        level = int(threshold * float(gray.max()))
        if level not in found and every_contour:
            found[level] = reference_best_ious(gray, [level], truth, empty=(0, 0, 0, 0), clipped=True)[0]
        elif level not in found:
            box = reference_box(gray, threshold, empty=(0, 0, 0, 0), clipped=True)
            found[level] = max(reference_overlap(box, true) for true in truth)
        yield found[level]


def plain_scores(some, threshold, *, every_contour):
    """The scores of boxes and classes by counting."""
    grid = sorted({*np.arange(0, 1, 0.001).tolist(), threshold})
    ious = [list(plain_ious(image, grid, every_contour=every_contour)) for image in some]
    at = dict(zip(grid, zip(*ious)))
    ranks = [image["top5"].tolist().index(image["label"]) if image["label"] in image["top5"] else 9 for image in some]
    found = {"top1_cls": np.mean(np.array(ranks) < 1), "top5_cls": np.mean(np.array(ranks) < 5)}
    for iou in IOUS:
        known = [overlap >= iou for overlap in at[threshold]]
        found[f"gt_known_loc_{iou}"] = np.mean(known)
        for name, count in (("top1", 1), ("top5", 5)):
            found[f"{name}_loc_{iou}"] = np.mean([hit and rank < count for hit, rank in zip(known, ranks)])
        shares = [np.mean([overlap >= iou for overlap in at[each]]) for each in grid]
        found[f"max_box_acc_{iou}"], found[f"best_threshold_{iou}"] = max(shares), grid[int(np.argmax(shares))]
    found["max_box_acc_mean"] = np.mean([found[f"max_box_acc_{iou}"] for iou in IOUS])
    return found


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    protocol=st.sampled_from(["maxboxacc", "maxboxaccv2"]),
    threshold=st.sampled_from([None, 0.35, 0.8125]),
)
def test_scores_of_boxes_and_classes_by_counting(seed, protocol, threshold):
    some = list(images(seed, 4))
    found = evaluator(some, protocol, threshold=threshold).result()
    assert found["threshold"] == (threshold or 0.2)
    expected = plain_scores(some, found["threshold"], every_contour=protocol == "maxboxaccv2")
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-12)
    counts = {key: value for key, value in found.items() if key.startswith("images")}
    of_all = dict.fromkeys(("images", "images_with_boxes", "images_with_classes", "images_with_masks"), 4)
    assert counts == of_all | {"images_left_out": 0}


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_scores_of_pixels_by_counting(seed):
    """Every pixel of every image sorted by its score; gray levels fall into bins of their own."""
    some = list(images(seed, 3))
    found = evaluator(some).result()
    rows, columns = ((np.arange(SIDE) * (full / SIDE)).astype(int) for full in (HEIGHT, WIDTH))
    truth = np.concatenate([image["mask"][rows[:, None], columns].ravel() for image in some])
    scores = np.concatenate([image["score_map"].ravel() for image in some])[truth < 2]
    truth = truth[truth < 2] == 1
    area = recall = best = 0.0
    for edge in np.unique(scores)[::-1]:
        chosen = scores >= edge
        area += truth[chosen].mean() * (truth[chosen].sum() / truth.sum() - recall)
        recall = truth[chosen].sum() / truth.sum()
        best = max(best, (truth & chosen).sum() / (truth | chosen).sum())
    assert found["pxap"] == pytest.approx(area, rel=1e-12)
    assert found["piou"] == pytest.approx(best, rel=1e-12)
    at_peak = scores >= found["piou_threshold"]
    assert (truth & at_peak).sum() / (truth | at_peak).sum() == pytest.approx(best, rel=1e-12)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 99), cut=st.integers(0, 5), protocol=st.sampled_from(["maxboxaccv2", "bas", "spol"]))
def test_merged_ones_equal_one_run(seed, cut, protocol):
    some = list(images(seed, 5))
    first, second = evaluator(some[:cut], protocol), evaluator(some[cut:], protocol)
    first.merge(pickle.loads(pickle.dumps(second)))
    assert first.result() == evaluator(some, protocol).result()
    first.reset()
    assert first.result() == Evaluator(protocol, size=SIDE).result() and first.result()["images"] == 0


class Tensor:
    """What a framework's tensor looks like to NumPy."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values.astype(dtype or self.values.dtype)


@pytest.mark.parametrize("protocol", protocols.names())
def test_a_map_of_any_size_and_kind_of_array(protocol):
    """Maps of logits or of any other range, smaller than the view; what holds them makes no difference."""
    localization_map = np.zeros((12, 12), np.float32)
    localization_map[3:9, 3:9] = 6
    localization_map -= 3
    image = {"boxes": [[12, 9, 36, 27]], "image_size": (WIDTH, HEIGHT)}
    kinds = localization_map, localization_map.tolist(), localization_map.astype(np.float16), Tensor(localization_map)
    scores = [evaluator([{"localization_map": each, **image}], protocol).result() for each in kinds]
    assert scores[0]["gt_known_loc_0.7"] == scores[0]["max_box_acc_mean"] == 1
    assert scores[1:] == scores[:1] * 3


def test_the_crop_moves_the_truth():
    """Of 32 pixels the middle 24 are seen: a box over the whole view is 4/32 to 28/32 of the image."""
    seen = {"score_map": np.ones((SIDE, SIDE)), "boxes": [[8, 8, 56, 56]], "image_size": (64, 64)}
    assert evaluator([seen], "e2net", resize_size=32, iou_thresholds=(0.99,)).result()["gt_known_loc_0.99"] == 1
    straight = evaluator([seen], "e2net", iou_thresholds=(0.5, 0.6)).result()
    assert (straight["gt_known_loc_0.5"], straight["gt_known_loc_0.6"]) == (1, 0)


def test_what_was_not_measured_is_left_out():
    boxes_only = evaluator(image | {"mask": None} for image in images(0, 2, classes=False)).result()
    assert not {key for key in boxes_only if key.startswith(("top", "px", "piou"))} and "gt_known_loc_0.5" in boxes_only
    masks_only = evaluator(image | {"boxes": []} for image in images(0, 2, classes=False)).result()
    assert set(masks_only) - set(Evaluator().result()) == {"pxap", "piou", "piou_threshold"}


def test_images_that_a_protocol_leaves_out():
    """SPOL does not score an image without a pixel above the threshold."""
    some = [image | {"score_map": np.full((SIDE, SIDE), value)} for image, value in zip(images(0, 2), (0.1, 0.9))]
    found = evaluator(some, "spol").result()
    assert (found["images_with_boxes"], found["images_left_out"]) == (2, 1)
    nothing = evaluator(some[:1], "spol", threshold=0.5).result()
    assert "gt_known_loc_0.5" not in nothing and nothing["images_left_out"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "wsol"}, "protocol=wsol: unknown; choose one of bas"),
        ({"size": 0}, "size=0: must be a whole number"),
        ({"size": 22.5}, "size=22.5: must be a whole number"),
        ({"resize_size": 200}, "resize_size=200: must be at least size=224"),
        ({"threshold": 1.5}, "threshold=1.5: must be a number from 0 to 1"),
        ({"threshold": float("nan")}, "threshold=nan: must be"),
        ({"iou_thresholds": (0.5, 50)}, "iou_thresholds=50: must be a number from 0 to 1"),
        ({"iou_thresholds": ()}, "iou_thresholds: must hold"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ArgumentError, match=message):
        Evaluator(**options)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"score_map": None}, "localization_map: give either"),
        ({"localization_map": np.ones((4, 4))}, "localization_map: give either"),
        ({"score_map": np.ones((4, 4))}, r"score_map: must be of shape \(24, 24\), not \(4, 4\)"),
        ({"score_map": np.full((SIDE, SIDE), 1.5)}, r"score_map: must lie in \[0, 1\], not from 1.5 to 1.5"),
        ({"score_map": np.full((SIDE, SIDE), np.nan)}, "score_map: holds NaN"),
        ({"score_map": None, "localization_map": np.ones((4, 4, 1))}, r"localization_map: .* not of \(4, 4, 1\)"),
        ({"score_map": None, "localization_map": [[1, 2], [3]]}, "localization_map: cannot be read as an array"),
        ({"boxes": [[1, 2, 3]]}, r"boxes: must be of shape \(n, 4\), not \(1, 3\)"),
        ({"boxes": [[9, 9, 4, 12]]}, "boxes: a box ends before it starts"),
        ({"boxes": [[0, 0, np.inf, 9]]}, "boxes: holds NaN or infinity"),
        ({"image_size": (48,)}, "image_size=48: must be"),
        ({"image_size": (48, 0)}, "image_size=48,0: must be"),
        ({"mask": np.zeros((WIDTH, HEIGHT), np.uint8)}, r"mask: must be of the image's \(height, width\)"),
        ({"mask": np.zeros((HEIGHT, WIDTH))}, "mask: must hold integers"),
        ({"mask": np.full((HEIGHT, WIDTH), 257)}, "mask: must hold integers"),
        ({"top5": 3}, "top5: must be a list of class numbers"),
        ({"top5": None}, "top5: predicted classes must come with every image or with none"),
    ],
)
def test_a_wrong_image_is_refused_and_not_counted(wrong, message):
    good, other = images(0, 2)
    made = evaluator([good])
    before = made.result()
    with pytest.raises(ArgumentError, match=message):
        made.update(**(other | wrong))
    assert made.result() == before


def test_only_the_same_rules_merge():
    made = evaluator(images(0, 1))
    for other in (Evaluator(size=SIDE, threshold=0.3), Evaluator("maxboxacc", size=SIDE), Evaluator()):
        with pytest.raises(ArgumentError, match="other: only scorers of the same protocol"):
            made.merge(other)
    with pytest.raises(ArgumentError, match="other: predicted classes"):
        made.merge(evaluator(images(0, 1, classes=False)))


def test_boxes_and_scores_need_no_framework():
    """The modules' examples run where neither TensorFlow nor Keras can be imported."""
    script = (
        "import sys; sys.modules |= dict.fromkeys(('tensorflow', 'keras', 'torch', 'jax'))\n"
        "import doctest; from e2wsol.localization import boxes, evaluator\n"
        "results = [doctest.testmod(module) for module in (boxes, evaluator)]\n"
        "assert all(result.attempted for result in results) and not any(result.failed for result in results)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
