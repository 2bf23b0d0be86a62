"""Maps a second of the evaluator at the benchmark's 1000 thresholds, against plain OpenCV and NumPy.

python benchmarks/evaluation.py

Both ways go from score maps of 224x224 to accuracies: MaxBoxAcc, the largest contour at every threshold,
and MaxBoxAccV2, every contour. The plain way is the loop over all thresholds that the reference benchmark
runs. They take turns, one pass over all maps at a time, in one thread; medians over maps and passes. PxAP's
histograms are compared with np.histogram, two threads over maps with one. The last line is one JSON
object; `identical` says that all accuracies and histograms of both ways are equal.

The maps are the smooth ones of the parity kit where that is there, else made ones like them.
"""

import dataclasses
import json
import pathlib
import statistics
import time

import cv2
import numpy as np

from e2wsol import cli
from e2wsol.config import option
from e2wsol.localization import protocols
from e2wsol.localization.boxes import best_ious_at_levels, boxes_at_levels, to_levels
from e2wsol.localization.iou import best_iou
from e2wsol.localization.parallel import in_order, warm_up
from e2wsol.localization.pixel_metrics import EDGES, PixelCounter

SIDE = 224
KIT = pathlib.Path(__file__).resolve().parents[2] / "shared" / "parity" / "public" / "evaluation"
SMOOTH = ("up14", "up28", "gauss")
IOU_THRESHOLDS = np.array([[0.3], [0.5], [0.7]])
ACC, V2 = protocols.get("maxboxacc"), protocols.get("maxboxaccv2")
THRESHOLDS = np.array(ACC.thresholds)


@dataclasses.dataclass(frozen=True)
class EvaluationBenchmarkOptions:
    """What is measured, how often."""

    kit: str = option(str(KIT), "the parity kit's evaluation folder; maps are made where there is none")
    maps: int = option(12, "maps at most", minimum=1)
    repeats: int = option(5, "times that a map is scored by each way", minimum=1)
    thread_maps: int = option(600, "maps that one and two threads score", minimum=2)


def main(options, positional):
    """Prints the table and the JSON line."""
    cli.no_arguments(positional)
    cv2.setNumThreads(1)
    warm_up()
    maps, masks, source = smooth_maps(options)
    truths = [true_boxes(index) for index in range(len(maps))]
    pairs = list(zip(maps, truths))
    rows = {
        "MaxBoxAcc": compare(plain_hits, tree_hits, pairs, options.repeats),
        "MaxBoxAccV2": compare(plain_hits_v2, tree_hits_v2, pairs, options.repeats),
        "PxAP histograms": compare(plain_histograms, kernel_histograms, list(zip(maps, masks)), 5 * options.repeats),
    }
    print(f"{len(maps)} {source} of {SIDE}x{SIDE}, {len(THRESHOLDS)} thresholds")
    print("| | plain, maps a second | ours | ratio | identical |\n|---|---|---|---|---|")
    for name, (plain, ours, same) in rows.items():
        print(f"| {name} | {1 / plain:.1f} | {1 / ours:.1f} | {plain / ours:.1f} | {same} |")
    one, two = (thread_rate(pairs, threads, options) for threads in (1, 2))
    print(f"MaxBoxAcc by {one:.0f} maps a second in one thread, {two:.0f} in two")
    ratios = {name: plain / ours for name, (plain, ours, _) in rows.items()}
    numbers = {
        "maxboxacc_ratio": round(ratios["MaxBoxAcc"], 1),
        "maxboxaccv2_ratio": round(ratios["MaxBoxAccV2"], 1),
        "pxap_ratio": round(ratios["PxAP histograms"], 2),
        "thread_ratio": round(two / one, 2),
        "identical": all(same for _, _, same in rows.values()),
    }
    print(json.dumps(numbers))


def smooth_maps(options):
    """(score maps float64 in [0, 1], masks of 0, 1 and 255, what they are)."""
    rng = np.random.default_rng(0)
    folder = pathlib.Path(options.kit)
    if (folder / "case.json").is_file():
        kinds = [case["kind"] for case in json.loads((folder / "case.json").read_text())["cases"]]
        chosen = [index for index, kind in enumerate(kinds) if kind.startswith(SMOOTH)][: options.maps]
        with np.load(folder / "arrays.npz") as arrays:
            maps, source = arrays["maps"][chosen].astype(np.float64), "smooth maps of the kit"
    else:
        maps, source = np.stack([made_map(rng) for _ in range(options.maps)]), "made maps"
    masks = [cv2.blur(one, (15, 15)) > 0.6 for one in maps]
    return maps, [np.where(one < 0.05, 255, mask).astype(np.uint8) for one, mask in zip(maps, masks)], source


def made_map(rng):
    """A map as a network gives it: 14x14 values, enlarged and stretched."""
    scores = cv2.resize(rng.random((14, 14)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return (scores - scores.min()) / np.ptp(scores)


def true_boxes(seed):
    """(1 to 3, 4) boxes in the frame."""
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, SIDE // 2, (1 + seed % 3, 2))
    return np.concatenate([starts, starts + rng.integers(SIDE // 4, SIDE // 2, starts.shape)], axis=1)


def compare(plain, ours, items, repeats):
    """(median seconds a map of the plain way, of ours, whether the results are equal)."""
    seconds, results = {plain: [], ours: []}, {}
    for _ in range(repeats):
        for way, times in seconds.items():
            results[way] = []
            for item in items:
                start = time.thread_time()  # of this thread alone, whatever else the machine does
                results[way].append(way(*item))
                times.append(time.thread_time() - start)
    same = all(map(np.array_equal, results[plain], results[ours]))
    return *(statistics.median(times) for times in seconds.values()), same


def tree_hits(score_map, truth):
    """(3, T) hits of the largest contour."""
    boxes = boxes_at_levels(*to_levels(score_map, THRESHOLDS, ACC), ACC)
    return ACC.is_hit(best_iou(boxes, truth, ACC), IOU_THRESHOLDS)


def tree_hits_v2(score_map, truth):
    """(3, T) hits of any contour."""
    return V2.is_hit(best_ious_at_levels(*to_levels(score_map, THRESHOLDS, V2), truth, V2), IOU_THRESHOLDS)


def plain_hits(score_map, truth):
    """As tree_hits, a threshold at a time with OpenCV."""
    boxes = [box_of(max(found, key=cv2.contourArea)) if found else [0, 0, 0, 0] for found in contours(score_map)]
    return plain_ious(np.array(boxes), truth) >= IOU_THRESHOLDS


def plain_hits_v2(score_map, truth):
    """As tree_hits_v2, a threshold at a time with OpenCV; the IoUs of all contours at once."""
    boxes = [[box_of(contour) for contour in found] or [[0, 0, 0, 0]] for found in contours(score_map)]
    starts = np.cumsum([0] + [len(one) for one in boxes[:-1]])
    ious = plain_ious(np.concatenate(boxes), truth)
    return np.maximum.reduceat(ious, starts) >= IOU_THRESHOLDS


def contours(score_map):
    """Yields all contours at each threshold."""
    gray = (score_map * 255).astype(np.uint8)
    top = gray.max()
    for threshold in THRESHOLDS:
        _, mask = cv2.threshold(gray, int(threshold * top), 255, cv2.THRESH_BINARY)
        yield cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]


def box_of(contour):
    """x0, y0, x1, y1 with the ends clipped to the last pixel."""
    x, y, width, height = cv2.boundingRect(contour)
    return [x, y, min(x + width, SIDE - 1), min(y + height, SIDE - 1)]


def plain_ious(boxes, truth):
    """(A,) best IoU of each box, both ends inside."""
    starts = np.maximum(boxes[:, None, :2], truth[None, :, :2])
    ends = np.minimum(boxes[:, None, 2:], truth[None, :, 2:])
    common = np.maximum(0, ends - starts + 1).prod(-1)
    areas = [(one[:, 2:] - one[:, :2] + 1).prod(-1) for one in (boxes, truth)]
    return (common / (areas[0][:, None] + areas[1] - common)).max(1)


def kernel_histograms(score_map, mask):
    """(2, 1002) pixels by score, on the object and beside it."""
    counter = PixelCounter()
    counter.update(score_map, mask)
    return np.stack([counter.object_pixels, counter.background_pixels])


def plain_histograms(score_map, mask):
    """As kernel_histograms, by np.histogram."""
    return np.stack([np.histogram(score_map[mask == label], EDGES)[0] for label in (1, 0)])


def thread_rate(pairs, threads, options):
    """Maps a second that so many threads score, the median of the repeats."""
    items = [pairs[index % len(pairs)] for index in range(options.thread_maps)]
    rates = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        for _ in in_order(lambda item: tree_hits(*item), items, threads):
            pass
        rates.append(len(items) / (time.perf_counter() - start))
    return statistics.median(rates)


if __name__ == "__main__":
    cli.run(main, EvaluationBenchmarkOptions, description=__doc__)
