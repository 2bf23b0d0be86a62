"""Scoring the maps of many localizers and layers in one pass over a split, beside the method's own."""

import numpy as np

from e2wsol.localization.baselines import Baselines
from e2wsol.localization.metrics import LocalizationScorer
from e2wsol.prediction import figures
from e2wsol.prediction.evaluation import ModelMaps


class LayerMaps(ModelMaps):
    """Maps of a Localizer and those of the method itself, each picture's by name.

    Attributes:
      names: the localizer's names.
      own: name of the method's own maps.
    """

    def __init__(self, method, localizer, ten_crop_mean="probabilities", *, jit=False):
        """Takes a Method, a Localizer of it and what ModelMaps takes."""
        self.names, self.own = localizer.names, "own maps"

        def localize(images, labels):
            logits, maps = localizer.localize_layers(images, labels)
            return logits, {**maps, self.own: method.localize(images, labels)[1]}

        super().__init__(method, ten_crop_mean, localize=localize, jit=jit)

    def finders(self, maps):
        """For each picture find(scorers), which returns a Prediction for each of {name: scorer}."""
        maps = {name: np.asarray(each) for name, each in maps.items()}
        return [_finder({name: each[index] for name, each in maps.items()}) for index in range(len(maps[self.own]))]


def _finder(maps):
    return lambda scorers: {name: scorer.locate(maps[name]) for name, scorer in scorers.items()}


def best_thresholds(evaluation, split, *, limit=0):
    """{name: what figures.best_thresholds gives} of all maps, from one pass over a split."""
    scorers, baselines = score(evaluation, split, limit=limit)
    return {name: figures.best_thresholds(name, scorer, baselines) for name, scorer in scorers.items()}


def score(evaluation, split, *, limit=0, crops=1, keepers=None):
    """Scores all maps of a split, each by its own scorer.

    Args:
      evaluation: Evaluation on LayerMaps.
      split, limit, crops: as in Evaluation.score.
      keepers: {name: list of SampleKeepers and the like that are offered every picture}.

    Returns:
      ({name: LocalizationScorer}, Baselines), of all pictures as in Evaluation.score.

    Raises:
      UserError: as Evaluation.score.
    """
    rules, names = (evaluation.protocol, evaluation.frame), [*evaluation.maps.names, evaluation.maps.own]
    scorers, baselines = {name: LocalizationScorer(*rules) for name in names}, Baselines(*rules)
    keepers = keepers or {}
    all_keepers = [keeper for each in keepers.values() for keeper in each]
    evaluation.start_keepers(all_keepers, split, limit)

    def outcomes(picture):
        found = picture.find(scorers)
        own = {name: scorer.outcome(found[name], **picture.facts) for name, scorer in scorers.items()}
        return own, baselines.outcomes(**picture.facts)

    chunk = max(1, 16 // len(names))  # outcomes of many maps are large
    for picture, (found, others) in evaluation.each(split, outcomes, limit=limit, crops=crops, chunk=chunk):
        baselines.take(others)
        for name, outcome in found.items():
            scorers[name].take(outcome)
            for keeper in keepers.get(name, ()):
                keeper.offer(picture, outcome, scorers[name])
    baselines, *counts = evaluation.joined([baselines, *scorers.values()], all_keepers)
    evaluation.check_scored(counts[0], split)
    return dict(zip(names, counts)), baselines
