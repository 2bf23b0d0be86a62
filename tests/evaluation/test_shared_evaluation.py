"""Evaluation shared out over workers, here threads: what they bring together is what one of them counts alone."""

import pickle
import threading

import numpy as np
import pytest

from e2wsol.data import dataset
from e2wsol.data.pipeline import PipelineOptions
from e2wsol.evaluation import results
from e2wsol.evaluation.maps import ImageMaps, NetworkMap
from e2wsol.evaluation.outcomes import OutcomeKeeper
from e2wsol.evaluation.scoring import Evaluation
from e2wsol.localization import protocols
from e2wsol.visualize.samples import SampleKeeper

VIEW = PipelineOptions(image_size=32, resize_size=36)
NAMES = ["one", "other"]


class Threads:
    """Workers that are threads of this process."""

    def __init__(self, index, room):
        self.index, self.room, self.count = index, room, len(room.things)

    @property
    def chief(self):
        return self.index == 0

    def gather(self, thing):
        self.room.things[self.index] = pickle.dumps(thing)
        self.room.barrier.wait(60)
        found = [pickle.loads(each) for each in self.room.things]
        self.room.barrier.wait(60)
        return found


class Room:
    def __init__(self, count):
        self.things, self.barrier = [None] * count, threading.Barrier(count)


class MadeUpMaps:
    """Maps and classes that follow from the picture; every third picture's map is the same, for scores that tie."""

    def __init__(self, layered):
        self.names = NAMES if layered else NAMES[:1]

    def of_batch(self, batch):
        found = []
        for image, label in zip(batch["image"].numpy(), batch["label"].numpy()):
            seed = int(image.sum()) % 3 and int(image.sum())
            maps = {name: np.random.default_rng([seed, NAMES.index(name)]).random((4, 4)) for name in self.names}
            maps = {name: NetworkMap(values) for name, values in maps.items()}
            found.append(ImageMaps(maps, np.roll(np.arange(3), seed + label)))
        return found


def scored(records, workers, layered, batch, limit, tmp_path):
    """{name: its figures, and the arrays of its samples} of split train; `workers` is a Workers or None."""
    rules = (dataset.load(str(records)), VIEW, protocols.get("maxboxaccv2"), MadeUpMaps(layered))
    evaluation = Evaluation(*rules, batch=batch, threads=1, workers=workers)
    keepers = {name: (SampleKeeper(9, 0.5), OutcomeKeeper({0.3: 0.2, 0.7: 0.5})) for name in evaluation.maps.names}
    thresholds = () if layered else (0.1234, 0.2, 0.5)
    scorers, baselines = evaluation.score("train", limit=limit, thresholds=thresholds, keepers=keepers)
    result = {}
    for name, scorer in scorers.items():
        file = tmp_path / f"{name}-{workers.index if workers else 'alone'}.npz"
        samples, outcomes = keepers[name]
        samples.save(file)
        found = results.summarize(name, scorer, baselines, results.best_thresholds(name, scorer, baselines))
        each = {f"outcome_{array}": values for array, values in vars(outcomes.outcomes(scorer)).items()}
        result[name] = scorer.pictures, found, dict(np.load(file)) | each
    return result


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "layered", "batch", "limit"), [(2, True, 5, 0), (3, False, 4, 22), (4, False, 9, 0)]
)
def test_parts_together_are_the_whole(tiny_records, tmp_path, workers, layered, batch, limit):
    """To the bit, bootstrap intervals, kept pictures and all outcomes too, on every worker; with four, one has none."""
    expected = scored(tiny_records, None, layered, batch, limit, tmp_path)
    room, found = Room(workers), {}

    def work(index):
        found[index] = scored(tiny_records, Threads(index, room), layered, batch, limit, tmp_path)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == workers
    for result in found.values():
        for name, (pictures, numbers, samples) in expected.items():
            assert result[name][0] == pictures == (limit or 24)
            assert result[name][1] == numbers and numbers["pixel_intervals"]
            for array, values in samples.items():
                np.testing.assert_array_equal(result[name][2][array], values, err_msg=array)
