"""What lets an evaluation use all cores: threads over maps, and kernels that are compiled early."""

import collections
import concurrent.futures
import threading

import numpy as np

from e2wsol.localization import boxes, protocols
from e2wsol.localization.pxap import PixelCounter
from e2wsol.localization.score_map import to_score_map


def in_order(function, items, threads):
    """Calls a function in threads; pays where it lets other threads run, as the kernels and NumPy do.

    Args:
      function: called with one item; it must be safe in several threads.
      items: any iterable; at most 2 * threads of its items are taken ahead of the results, so a
        stream of any length needs little memory.
      threads: how many; 1 calls the function in this thread.

    Yields:
      The results in the order of the items; an exception of the function, or of `items`, comes
      through in its place.
    """
    if threads == 1:
        yield from map(function, items)
        return
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        waiting = collections.deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) == 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def warm_up():
    """Compiles every kernel of the package, or reads it from where it is kept (see compiled.py)."""
    localization_map = np.eye(3)
    for name in protocols.names():
        rules = protocols.get(name)
        score_map = to_score_map(localization_map, 8, rules)
        image, levels = boxes.to_levels(score_map, rules.thresholds, rules)
        boxes.boxes_at_levels(image, levels, rules)
    boxes.best_ious_at_levels(image, levels, np.array([[1, 1, 4, 4]]), rules)
    PixelCounter().add(score_map, np.eye(8, dtype=np.uint8))


def start_warm_up():
    """Runs `warm_up` in the background, to be called before a model is loaded; returns the Thread."""
    thread = threading.Thread(target=warm_up, name="e2wsol-warm-up")
    thread.start()
    return thread
