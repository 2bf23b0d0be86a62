"""What came out of a study, from the results of its cells: study.json as a dict."""

import dataclasses
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np

from e2wsol.errors import UserError
from e2wsol.localization import bootstrap
from e2wsol.localization.baselines import CENTRE_BOX, CENTRE_GAUSSIAN
from e2wsol.studies import paired, papers, scores
from e2wsol.studies.cells import Plan
from e2wsol.studies.scores import EvaluatedCell, ScoreColumn
from e2wsol.studies.suites import REFERENCE


class Summary:
    """Reads the finished cells of a Plan.

    Args:
      plan: Plan.
      failed: {name of a cell: why it has no result}, as a Runner found them.

    Attributes:
      found: {name of a row: {seed: EvaluatedCell}}, rows without any left out.

    Raises:
      UserError: results were not scored on the same pictures by the same rules.
    """

    def __init__(self, plan: Plan, failed: Mapping[str, str] | None = None):
        self.plan, self.failed = plan, dict(failed or {})
        self.found = {}
        for row in plan.rows:
            seeds = [seed for seed in plan.seeds if plan.done_file(plan.cell_of(row, seed)).exists()]
            if seeds:
                self.found[row.name] = {seed: scores.load(plan.result_dir(row, seed)) for seed in seeds}
        self._check()
        self._draws: dict[str, dict[str, np.ndarray]] = {}

    def _check(self):
        """Scores compare only on the same pictures, under the same rules."""
        first = None
        for name, seeds in self.found.items():
            for seed, scored in seeds.items():
                own = tuple(scored.result[key] for key in ("protocol", "average", "skip_empty", "image_size"))
                own += (scored.outcomes.ids.tolist(),)
                first = first or own
                if own != first:
                    raise UserError(
                        f"{self.plan.folder}: {name}, seed {seed}, was not scored as the others (protocol, average, "
                        "side or pictures differ); use another output folder for other settings"
                    )

    @property
    def any(self) -> EvaluatedCell:
        """One EvaluatedCell, for what is the same in all."""
        return next(iter(next(iter(self.found.values())).values()))

    def document(self) -> dict[str, Any]:
        """study.json."""
        return {
            "suite": self._suite(),
            "bootstrap": scores.describe_bootstrap(),
            "metrics": [
                {"key": score.key, "title": score.title, "threshold": score.threshold}
                for score in scores.SCORES
                if any(score.value(scored) is not None for seeds in self.found.values() for scored in seeds.values())
            ],
            "rows": [*(self._row(row) for row in self.plan.rows if row.name in self.found), *self._baselines()],
            "missing": self._missing(),
            "claims": [entry for claim in papers.CLAIMS for entry in self._claim(claim)],
            "papers": [self._paper(paper) for paper in papers.load()],
        }

    def _suite(self):
        suite, result = self.plan.suite, self.any.result
        flags = result["flags"]
        return {
            "name": suite.name,
            "title": suite.title,
            "dataset": result["dataset"]["name"],
            "split": result["dataset"]["split"],
            "pictures": result["dataset"]["pictures"],
            "classes": result["dataset"]["classes"],
            "protocol": result["protocol"],
            "threshold_split": result["threshold_split"],
            "image_size": result["image_size"],
            "backbone": result["backbone"],
            "start_weights": flags["backbone_weights"],
            "seeds": list(self.plan.seeds),
            "epochs": flags["epochs"],
            "batch_size": flags["batch_size"],
            "middle_layer": self.plan.middle_layer,
            "last_layer": self.plan.last_layer,
            "read_by": [key for key in suite.read_by if self._measured(key)],
            "note": suite.note,
            "versions": result["versions"],
            "git_commit": result["git_commit"],
            "seconds": sum(self.plan.seconds(cell.name) or 0 for cell in self.plan.cells()),
        }

    def _measured(self, key):
        return scores.BY_KEY[key].value(self.any) is not None

    def _row(self, row):
        seeds = self.found[row.name]
        own = {score.key: self._score(row.name, score) for score in scores.SCORES}
        names = dict.fromkeys(self.plan.cell_of(row, seed) for seed in seeds)
        return {
            "entry": row.name,
            "title": row.title,
            "kind": "post-hoc" if row.of else "trained",
            "of": row.of or None,
            "layer": self.plan.layer(row) if row.of else None,
            "method": row.method,
            "seeds": list(seeds),
            "scores": {key: entry for key, entry in own.items() if entry},
            "against_cam": self._against_reference(row),
            "seconds": round(statistics.mean(self.plan.seconds(name) for name in names), 1),
            "cells": [str(self.plan.result_dir(row, seed)) for seed in seeds],
        }

    def _score(self, name, score):
        values = [score.value(scored) for scored in self.found[name].values()]
        if None in values:
            return None
        draws = self._drawn(name, score)
        return {
            "mean": statistics.mean(values),
            "deviation": statistics.stdev(values) if len(values) > 1 else None,
            "interval": None if draws is None else list(bootstrap.percentiles(draws)),
            "by_seed": values,
        }

    def _drawn(self, name, score):
        """Draws of a row's score, of all its seeds; those of all rows are made at once."""
        if score.key not in self._draws:
            rows = {row: list(seeds.values()) for row, seeds in self.found.items()}
            rows = {row: seeds for row, seeds in rows.items() if None not in map(score.value, seeds)}
            drawn = score.draws(list(rows.values())) if score.draws and rows else None
            self._draws[score.key] = {} if drawn is None else dict(zip(rows, drawn))
        return self._draws[score.key].get(name)

    def _against_reference(self, row):
        if row.name == REFERENCE:
            return None
        entries = {score.key: self.difference(row.name, REFERENCE, score) for score in scores.SCORES}
        return {key: entry for key, entry in entries.items() if entry} or None

    def difference(self, name: str, than: str, score: ScoreColumn) -> dict[str, Any] | None:
        """{"difference", "by_seed", "interval", "p"} of a row's mean less another's, None without both."""
        if name not in self.found or than not in self.found:
            return None
        ours, theirs = self._drawn(name, score), self._drawn(than, score)
        if ours is None or theirs is None:
            return None
        means = [self._score(row, score)["mean"] for row in (name, than)]
        drawn = paired.differences(ours, theirs)
        both = [seed for seed in self.found[name] if seed in self.found[than]]
        return {
            "difference": means[0] - means[1],
            "by_seed": [score.value(self.found[name][seed]) - score.value(self.found[than][seed]) for seed in both],
            "interval": list(bootstrap.percentiles(drawn)),
            "p": paired.p_value(drawn),
        }

    def _baselines(self):
        """The rows of localizers that never look at the picture; they need no training and have no spread."""
        for title in (CENTRE_BOX, CENTRE_GAUSSIAN):
            values = {score.key: self._baseline_score(title, score) for score in scores.SCORES}
            yield {
                "entry": title.replace(" ", "_").lower(),
                "title": title,
                "kind": "baseline",
                "of": None,
                "layer": None,
                "method": None,
                "seeds": [],
                "scores": {key: entry for key, entry in values.items() if entry},
                "against_cam": None,
                "seconds": None,
                "cells": [],
            }

    def _baseline_score(self, title, score):
        if not score.key.startswith(("gt_known", "pxap")):
            return None  # Top-1 Loc and the like are those of whichever network's classes stood beside it
        value = score.value(self.any, title)
        return None if value is None else {"mean": value, "deviation": None, "interval": None, "by_seed": []}

    def _missing(self):
        """What the plan has and was not measured, each with the reason."""
        rows = []
        for row in self.plan.rows:
            for seed in self.plan.seeds:
                cell = self.plan.cell_of(row, seed)
                if seed not in self.found.get(row.name, {}):
                    why = self.failed.get(cell, "not run yet")
                    rows.append({"entry": row.name, "title": row.title, "seed": seed, "why": why})
        return rows

    def _claim(self, claim):
        names = {row.name: row.title for row in self.plan.rows}
        if claim.row not in names:
            return
        for key in [claim.score] if claim.score else self.plan.suite.read_by:
            found = self.difference(claim.row, claim.than, scores.BY_KEY[key])
            holds, why = claim.verdict(found["interval"], found["by_seed"]) if found else ("not measured", "")
            yield {
                "entry": claim.row,
                "title": names[claim.row],
                "claim": claim.text,
                "metric": key,
                "difference": found and found["difference"],
                "interval": found and found["interval"],
                "p": found and found["p"],
                "holds": holds,
                "why": why,
            }

    def _paper(self, paper):
        """A published row; of several rows of ours with its method, the last: the method's final stage or reading."""
        rows = [row for row in self.plan.rows if row.method == paper.method and row.name in self.found]
        return {**dataclasses.asdict(paper), "ours": self._ours(rows[-1]) if rows else None}

    def _ours(self, row):
        suite, result = self.plan.suite, self.any.result
        setting = f"{row.title}; {suite.name}, {result['backbone']}, {result['image_size']} pixels"
        keys = {name: f"{name}_0.5" for name in ("gt_known", "top1_loc", "top5_loc")} | {"top1_class": "top1_class"}
        entries = {name: self._score(row.name, scores.BY_KEY[key]) for name, key in keys.items()}
        return {"setting": setting, **{name: entry and entry["mean"] for name, entry in entries.items()}}
