"""Pseudo masks a second, against plain OpenCV and NumPy: python benchmarks/pseudo_masks.py.

Smooth made maps of 32x32 go to foreground and Gaussian prior at 256x256. The plain way takes every quantity over
the whole frame, contour after contour, as the released code does. The two take turns in one thread, medians over
the maps; then threads make the masks of all maps, once more with what the command does to store them. The last line
is one JSON object; `identical` says that the uint8 pictures of both ways are equal.
"""

import dataclasses
import json
import os
import statistics
import time

import cv2
import numpy as np

from e2wsol import cli
from e2wsol.config import option
from e2wsol.localization.parallel import in_order
from e2wsol.localization.pseudo_mask import gaussians, pseudo_mask, to_foreground, to_picture

SIZE = 256
WIDTH, HEIGHT = 500, 375


@dataclasses.dataclass(frozen=True)
class PseudoMaskBenchmarkOptions:
    """How many maps."""

    maps: int = option(60, "different maps", minimum=2)
    repeats: int = option(20, "times that the threads make the mask of each map", minimum=1)
    threads: int = option(0, "threads; 0 for one a core", minimum=0)


def main(options, positional):
    """Prints the numbers."""
    cli.no_arguments(positional)
    cv2.setNumThreads(1)
    maps = made_maps(options.maps)
    threads = options.threads or os.cpu_count()
    seconds, same = {plain_mask: [], pseudo_mask: []}, True
    for class_map in maps:
        results = [timed(way, class_map, times) for way, times in seconds.items()]
        plain, ours = (to_picture(*result, HEIGHT, WIDTH) for result in results)
        same &= np.array_equal(plain, ours)
    plain, ours = (1 / statistics.median(times) for times in seconds.values())
    contours = statistics.mean(len(gaussians(to_foreground(one, SIZE))) for one in maps)
    rate, written = (thread_rate(make, maps * options.repeats, threads) for make in (pseudo_mask, stored_mask))
    print(f"{len(maps)} maps with {contours:.1f} Gaussians on average")
    print(f"one thread: plain {plain:.0f} maps a second, ours {ours:.0f}")
    print(f"{threads} threads: {rate:.0f} maps a second; resized to {WIDTH}x{HEIGHT} and encoded as PNG {written:.0f}")
    numbers = {"maps_per_second": round(rate), "ratio_to_plain": round(ours / plain, 1), "identical": same}
    print(json.dumps(numbers))


def made_maps(count):
    """Random fields (32, 32) float32 of several smoothnesses, negative values cut."""
    rng = np.random.default_rng(0)
    fields = rng.standard_normal((count, 32, 32)).astype(np.float32)
    return [np.maximum(cv2.GaussianBlur(field, (0, 0), 2 + index % 4), 0) for index, field in enumerate(fields)]


def timed(way, class_map, times):
    """What way(class_map) gives; its time is added to `times`."""
    start = time.thread_time()
    result = way(class_map)
    times.append(time.thread_time() - start)
    return result


def plain_mask(class_map):
    """As pseudo_mask, rule after rule."""
    foreground = cv2.resize(class_map / (class_map.max() + np.float32(1e-6)), (SIZE, SIZE))
    band = np.where((foreground >= np.float32(0.1)) & (foreground <= np.float32(0.5)), foreground, 0).astype(float)
    contours = cv2.findContours((band > 0).astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    prior = np.zeros((SIZE, SIZE))
    for contour in contours:
        if cv2.contourArea(contour) >= 20:
            weights = cv2.drawContours(np.zeros((SIZE, SIZE)), [contour], -1, 1.0, cv2.FILLED) * band
            prior = np.maximum(prior, plain_gaussian(weights / weights.sum(), x, y))
    return foreground, prior


def plain_gaussian(weights, x, y):
    """The Gaussian of the weights at all pixels."""
    x, y = x - (weights * x).sum(), y - (weights * y).sum()
    xx, yy, xy = ((weights * product).sum() / 10 for product in (x * x, y * y, x * y))
    form = x**2 / xx + y**2 / yy - 2 * x * y * xy / (xx * yy)
    return np.exp(-form / (2 * (1 - xy**2 / (xx * yy))))


def stored_mask(class_map):
    """The mask as the command stores it, but for the record around it."""
    picture = to_picture(*pseudo_mask(class_map), HEIGHT, WIDTH)
    return cv2.imencode(".png", np.dstack([np.zeros_like(picture[..., 0]), picture[..., ::-1]]))[1]


def thread_rate(make, maps, threads):
    """Calls of make(map) a second."""
    start = time.perf_counter()
    for _ in in_order(make, maps, threads):
        pass
    return len(maps) / (time.perf_counter() - start)


if __name__ == "__main__":
    cli.run(main, PseudoMaskBenchmarkOptions, description=__doc__)
