"""Flags that were renamed are still understood under the names that they had."""

import pytest

from e2wsol import classify, config, evaluate, predict, pseudo_masks, report, study

RENAMED = [
    (report.ReportOptions, "result", "run_dir"),
    (study.StudyOptions, "records", "data_dir"),
    (study.StudyOptions, "start_weights", "backbone_weights"),
    (evaluate.EvaluateFlags, "batch", "batch_size"),
    (predict.PredictFlags, "batch", "batch_size"),
    (classify.ClassifyOptions, "batch", "batch_size"),
    (pseudo_masks.PseudoMaskOptions, "batch", "batch_size"),
]


@pytest.mark.parametrize(("group", "before", "name"), RENAMED)
def test_the_former_name_sets_the_same_flag(group, before, name):
    parsed = [config.parse(["x", f"--{flag}=7"], group)[0] for flag in (before, name)]
    assert parsed[0] == parsed[1]
    assert str(config.to_mapping(parsed[0])[name]) == "7" and before not in config.to_mapping(parsed[0])
