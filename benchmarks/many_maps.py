"""One evaluation over very many made-up maps: python benchmarks/many_maps.py [--maps=50000].

Streams 14x14 maps with made-up true boxes, classes and masks through the scorer and both centre baselines,
as the evaluate command does, and prints how long it took and the memory held at each tenth of the way. The
last line is one JSON object.
"""

import dataclasses
import json
import os
import resource
import time

import cv2
import numpy as np
from tqdm import tqdm

from e2wsol import cli
from e2wsol.config import option
from e2wsol.localization import protocols
from e2wsol.localization.baselines import Baselines
from e2wsol.localization.metrics import LocalizationScorer
from e2wsol.localization.parallel import in_order

CLASSES = 1000
IMAGE_SIZE = (500, 375)


@dataclasses.dataclass(frozen=True)
class ManyMapsOptions:
    """How many, by which rules."""

    maps: int = option(50_000, "maps to score", minimum=10)
    protocol: str = option("maxboxacc", "box protocol")
    threads: int = option(0, "threads; 0 for one a core", minimum=0)
    masks: bool = option(False, "a mask with every picture, so that PxAP is counted as well")


def main(options, positional):
    """Prints the numbers."""
    cli.no_arguments(positional)
    cv2.setNumThreads(1)
    protocol = protocols.get(options.protocol)
    frame = protocol.frame(224)
    scorer, baselines = LocalizationScorer(protocol, frame), Baselines(protocol, frame)

    def outcomes(image):
        localization_map, facts = image
        return scorer.score_boxes(scorer.boxes_of_map(localization_map), **facts), baselines.score(**facts)

    start, memory = time.perf_counter(), []
    results = in_order(outcomes, images(options), options.threads or os.cpu_count())
    for number, (outcome, others) in enumerate(tqdm(results, total=options.maps, unit="map"), start=1):
        scorer.update_scores(outcome)
        baselines.update_scores(others)
        if number % (options.maps // 10) == 0:
            memory.append(_resident_mib())
    score = scorer.max_box_acc(0.5)
    seconds = time.perf_counter() - start
    print(f"{options.maps} maps in {seconds:.0f} s; MiB resident at each tenth: {memory}")
    numbers = {
        "maps": options.maps,
        "seconds": round(seconds, 1),
        "maps_per_second": round(options.maps / seconds, 1),
        "resident_mib": memory,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "max_box_acc": round(score.value, 4),
    }
    print(json.dumps(numbers))


def images(options):
    """Yields (map (14, 14), what the scorer wants to know): a blob near a box, and noise."""
    rng = np.random.default_rng(0)
    width, height = IMAGE_SIZE
    grid = (np.arange(14) + 0.5) / 14
    for _ in range(options.maps):
        centre, deviation = rng.uniform(0.3, 0.7, 2), rng.uniform(0.08, 0.25, 2)
        profiles = np.exp(-(((grid - centre[:, None]) / deviation[:, None]) ** 2) / 2)
        localization_map = np.outer(profiles[1], profiles[0]) + 0.1 * rng.random((14, 14))
        sides = np.clip(np.concatenate([centre - 2 * deviation, centre + 2 * deviation]), 0, 1)
        box = sides * (width, height, width, height)
        mask = None
        if options.masks:
            mask = np.zeros((height, width), np.uint8)
            mask[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = 1
        top5 = rng.choice(CLASSES, 5, replace=False)
        facts = {"boxes": box[None], "image_size": IMAGE_SIZE, "label": int(top5[rng.integers(5)]), "top5": top5}
        yield localization_map, {**facts, "mask": mask}


def _resident_mib():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 2**20


if __name__ == "__main__":
    cli.run(main, ManyMapsOptions, description=__doc__)
