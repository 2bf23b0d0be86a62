import sys
import threading
import time

import numpy as np
import pytest

from e2wsol.localization import boxes, component_tree, pixel_metrics, protocols, score_map
from e2wsol.localization.parallel import in_order, start_warm_up


@pytest.mark.parametrize("threads, chunk", [(1, 16), (2, 16), (5, 3), (3, 1)])
def test_results_come_in_the_order_of_the_items(threads, chunk):
    def slow_where_even(item):
        time.sleep(0.002 * (item % 2 == 0))
        return item * item

    for count in (0, 1, 39, 48):
        assert list(in_order(slow_where_even, range(count), threads, chunk)) == [item * item for item in range(count)]


@pytest.mark.parametrize("threads, chunk", [(1, 4), (3, 1), (3, 4)])
def test_few_items_are_taken_ahead(threads, chunk):
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    for count, result in enumerate(in_order(abs, items(), threads, chunk), 1):
        assert result == count - 1
        assert len(taken) - count < 2 * threads * chunk


def test_several_threads_work():
    """Both must have come to the barrier for either to go on."""
    barrier = threading.Barrier(2, timeout=20)
    assert list(in_order(lambda _: barrier.wait() >= 0, range(4), 2, chunk=1)) == [True] * 4


@pytest.mark.parametrize("chunk", [1, 2, 3, 16])
@pytest.mark.parametrize("threads", [1, 2])
def test_an_exception_comes_in_its_place(threads, chunk):
    results = in_order(lambda item: 6 // item, [3, 2, 0, 1], threads, chunk)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("threads", [1, 2])
def test_items_that_end_in_an_exception(threads):
    results = in_order(abs, (6 // item for item in (-3, -2, 0)), threads)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_the_interpreters_switching_is_as_before():
    before = sys.getswitchinterval()
    results = in_order(abs, range(100), 2)
    next(results)
    assert sys.getswitchinterval() < before
    results.close()
    assert sys.getswitchinterval() == before


def test_stopping_early_leaves_no_thread():
    before = threading.active_count()
    results = in_order(abs, iter(range(10**9)), 3)
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before


def test_warm_up_compiles_what_a_run_uses():
    start_warm_up().join()
    kernels = [boxes._rank, pixel_metrics._count, component_tree.tree._largest, component_tree.tree._contours]
    kernels += [score_map._colour_index, score_map._enlarge_rows, score_map._enlarge_columns]
    ready = [len(kernel.signatures) for kernel in kernels]
    assert all(ready)
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)
    component_tree.largest_boxes(image, "contour_area"), component_tree.contour_boxes(image.astype(np.int32))
    pixel_metrics.PixelCounter().update(image / 100, (image % 2).astype(np.uint8))
    boxes.ranks(image / 100, np.array([0.2, 0.5]))
    for name in protocols.names():
        score_map.to_score_map(image.astype(np.float32), 23, protocols.get(name))
    assert [len(kernel.signatures) for kernel in kernels] == ready
