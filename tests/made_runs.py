"""A tiny trained run, and commands called in this process."""

import sys

import pytest

from e2wsol import classify, cli, convert, evaluate, export, predict, pseudo_masks, report, study, train
from tfrecords import build

COMMANDS = {
    "build": (build.main, build.BuildFlags),
    "train": (train.main, train.TrainFlags),
    "classify": (classify.main, classify.ClassifyOptions),
    "convert": (convert.main, convert.ConvertFlags),
    "evaluate": (evaluate.main, evaluate.EvaluateFlags),
    "export": (export.main, export.ExportFlags),
    "predict": (predict.main, predict.PredictFlags),
    "pseudo_masks": (pseudo_masks.main, pseudo_masks.PseudoMaskOptions),
    "report": (report.main, report.ReportOptions),
    "study": (study.main, study.StudyOptions),
}
COMPLETE = {"convert": convert.with_released_settings}
TINY = (
    *("--image_size=32", "--resize_size=36", "--backbone_width=0.03", "--shuffle_buffer=8", "--data_threads=1"),
    *("--batch_size=8", "--epochs=2", "--steps_per_epoch=4", "--learning_rate=0.02", "--log_every=2"),
)


def run(name, *arguments):
    """Runs a command as `python -m e2wsol.NAME ARGUMENTS` does; returns its exit status."""
    main, flags = COMMANDS[name]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as caught:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        cli.run(main, flags, complete=COMPLETE.get(name))
    return caught.value.code


def train_run(records, run_dir, *arguments):
    return run("train", f"--data_dir={records}", f"--run_dir={run_dir}", *TINY, *arguments)
