"""What lets an evaluation use all cores: threads over maps, and kernels that are compiled early."""

import collections
import concurrent.futures
import contextlib
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np

from e2wsol.localization import boxes, protocols
from e2wsol.localization.pixel_metrics import PixelCounter
from e2wsol.localization.score_map import to_score_map

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_order(
    function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int, chunk: int = 16
) -> Iterator[_Result]:
    """Calls a function in threads; pays where it lets other threads run, as the kernels and NumPy do.

    Args:
      function: called with one item; it must be safe in several threads.
      items: any iterable; at most 2 * threads * chunk of its items are taken ahead of the results,
        so a stream of any length needs little memory.
      threads: how many; 1 calls the function in this thread.
      chunk: items that a thread is handed at a time: handing over costs tens of microseconds.

    Yields:
      The results in the order of the items; an exception of the function, or of `items`, comes
      through in its place.
    """
    if threads == 1:
        yield from map(function, items)
        return
    with concurrent.futures.ThreadPoolExecutor(threads) as pool, _quick_switches():
        waiting: collections.deque[concurrent.futures.Future] = collections.deque()
        try:
            for some, error in _chunks(items, chunk):
                waiting.append(pool.submit(_outcomes, function, some, error))
                if len(waiting) == 2 * threads:
                    yield from _results(waiting.popleft())
            while waiting:
                yield from _results(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()


def _chunks(items: Iterable[_Item], size: int) -> Iterator[tuple[list[_Item], Exception | None]]:
    """Yields (list of `size` items or, at the end, fewer; the exception that the items ended in, or None)."""
    left = iter(items)
    chunk: list[_Item] = []
    while True:
        try:
            chunk.append(next(left))
        except StopIteration:
            yield chunk, None
            return
        except Exception as error:
            yield chunk, error
            return
        if len(chunk) == size:
            yield chunk, None
            chunk = []


def _outcomes(
    function: Callable[[Any], _Result], items: list, error: Exception | None
) -> tuple[list[_Result], Exception | None]:
    """(results of the items up to the first that fails; its exception, else `error`)."""
    results = []
    try:
        for item in items:
            results.append(function(item))
    except Exception as failure:
        return results, failure
    return results, error


def _results(future: concurrent.futures.Future) -> Iterator[Any]:
    results, error = future.result()
    yield from results
    if error is not None:
        raise error


@contextlib.contextmanager
def _quick_switches(seconds: float = 1e-4) -> Iterator[None]:
    """Threads ask for the interpreter sooner than after Python's 5 ms, ten times what a map takes."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(seconds, before))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def warm_up() -> None:
    """Compiles every kernel of the package, or reads it from where it is kept (see compiled.py)."""
    localization_map = np.eye(3)
    for name in protocols.names():
        rules = protocols.get(name)
        score_map = to_score_map(localization_map, 8, rules)
        image, levels = boxes.to_levels(score_map, rules.thresholds, rules)
        boxes.boxes_at_levels(image, levels, rules)
    boxes.best_ious_at_levels(image, levels, np.array([[1, 1, 4, 4]]), rules)
    PixelCounter().update(score_map, np.eye(8, dtype=np.uint8))


def start_warm_up() -> threading.Thread:
    """Runs `warm_up` in the background, to be called before a model is loaded; returns the Thread."""
    thread = threading.Thread(target=warm_up, name="e2wsol-warm-up")
    thread.start()
    return thread
