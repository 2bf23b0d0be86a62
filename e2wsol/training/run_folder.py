"""The folder of one run: flags, data set, checkpoints, metrics, result, report."""

import contextlib
import importlib.metadata
import json
import pathlib
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from e2wsol import files, folder_lock, reading
from e2wsol.config import to_mapping
from e2wsol.data import dataset, views
from e2wsol.data.dataset import Dataset
from e2wsol.errors import ArgumentError, UserError
from e2wsol.training import checkpoints
from e2wsol.training.thresholds import Thresholds

PACKAGES = ("tensorflow", "keras", "numpy", "opencv-python-headless", "absl-py")
# Flags that say where and how long, not what: a run may go on with others.
FREE_FLAGS = (
    *("run_dir", "epochs", "data_dir", "data_threads", "data_service", "on_bad_record", "shuffle_buffer"),
    *(
        "backbone_weights",
        "allow_partial_weights",
        "allow_other_data",
        "strategy",
        "cluster",
        "cluster_wait",
        "replicas",
        "tpu",
        "jit",
        "steps_per_execution",
    ),
    *("log_every", "validate_every", "checkpoint_steps", "tensorboard_pictures"),
)
# What runs did that are older than the flag.
_BEFORE_THE_FLAG = {"resize_filter": views.BILINEAR}


class RunFolder:
    """Paths and records of one run under `path`."""

    def __init__(self, path: str | pathlib.Path):
        self.path = pathlib.Path(path)
        self.flags_file = self.path / "flags.json"
        self.metrics_file = self.path / "metrics.jsonl"
        self.result_file = self.path / "result.json"
        self.thresholds = Thresholds(self.path / "thresholds.json")
        self.dataset_file = self.path / dataset.FILE_NAME
        self.checkpoints = self.path / "checkpoints"
        self.tensorboard = self.path / "tensorboard"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other trainings out; what evaluates the run has a lock of its own.

        Raises:
          ArgumentError: another process trains in it, or it holds other files than a run's.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ArgumentError("run_dir", self.path, "is a file; give a folder")
        known = self.flags_file.exists() or not self.path.exists()
        if not known and not all(map(_comes_before_flags, self.path.iterdir())):
            raise ArgumentError(
                "run_dir", self.path, "holds other files and no flags.json; give an empty or new folder"
            )
        with folder_lock.held(self.path, "run_dir"):
            yield

    def start(self, info: Dataset, *options: Any, allow_other_data: bool = False) -> None:
        """Writes flags.json and the data set's description, or checks that a run goes on with its flags.

        Args:
          info: the records.
          options: option dataclasses.
          allow_other_data: whether a run may go on with other pictures of its classes.

        Call it while the folder is `held`.

        Raises:
          UserError: the folder holds a run with other flags or data.
        """
        flags = to_mapping(*options)
        if self.flags_file.exists():
            self._compare(flags)
            if not allow_other_data:
                self._compare_data(info)
        self.path.mkdir(parents=True, exist_ok=True)
        files.remove_leftovers(self.path, self.flags_file.name, self.dataset_file.name, self.metrics_file.name)
        record = {"flags": flags, "versions": versions(), "git_commit": git_commit()}
        files.write_text(self.flags_file, json.dumps(record, indent=1) + "\n")
        source = pathlib.Path(info.folder) / dataset.FILE_NAME
        with files.replacing(self.dataset_file) as temporary:
            shutil.copyfile(source, temporary)

    def _compare(self, flags: dict[str, Any]) -> None:
        before = self.flags()
        changed = [
            f"{name}={flags[name]} (was {before[name]})"
            for name in flags
            if name in before and name not in FREE_FLAGS and flags[name] != before[name]
        ]
        if changed:
            problem = f"was made with other flags: {'; '.join(changed)}; give these, or another folder"
            raise ArgumentError("run_dir", self.path, problem)

    def _compare_data(self, info: Dataset) -> None:
        if not self.dataset_file.exists():
            return
        now = dataset.read_document(pathlib.Path(info.folder) / dataset.FILE_NAME)
        if changed := dataset.difference(dataset.read_document(self.dataset_file), now):
            problem = (
                f"not the data of the run ({self.dataset_file}): {changed}; give the run's records, or another run_dir"
            )
            if self.classes() == list(info.classes):
                problem += "; allow_other_data=true goes on with these"
            raise ArgumentError("data_dir", info.folder, problem)

    def flags(self) -> dict[str, Any]:
        """The flags of the run, as a mapping."""
        if not self.flags_file.is_file():
            raise UserError(f"{self.path}: no run folder (no flags.json); make one with python -m e2wsol.train")
        with reading.guarded(self.flags_file, "not a valid run record"):
            return _BEFORE_THE_FLAG | json.loads(files.read_text(self.flags_file))["flags"]

    def classes(self) -> list[str]:
        """Class names in label order."""
        return dataset.read_document(self.dataset_file)["classes"]

    def unfinished(self) -> str:
        """Says "4 of 9 epochs" of a run that has not come to its last epoch; empty for others, converted ones too."""
        if not self.metrics_file.exists():
            return ""
        lines = files.read_text(self.metrics_file).splitlines()
        done, planned = sum(line.startswith('{"kind": "epoch"') for line in lines), self.flags()["epochs"]
        return f"{done} of {planned} epochs" if done < planned else ""

    def model_file(self) -> pathlib.Path:
        """The best model, or the last where no validation chose one."""
        if path := checkpoints.model_file(self.checkpoints):
            return path
        raise UserError(f"{self.path}: no checkpoint in it yet; train first with python -m e2wsol.train")


def _comes_before_flags(path: pathlib.Path) -> bool:
    """Whether a file is one that a training makes before flags.json, which a killed one leaves alone in the folder."""
    return folder_lock.is_lock(path) or files.is_leftover(path)


def versions() -> dict[str, str | None]:
    """Installed versions of the packages that a result depends on."""
    found: dict[str, str | None] = {}
    for package in ("e2wsol", *PACKAGES):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def git_commit() -> str | None:
    """The commit of the source tree, "+changes" when it is not clean.

    None where this file is not tracked in a repository whose top has `e2wsol/` in it: one that surrounds an
    environment with an installed e2wsol says nothing about its code.
    """
    source = pathlib.Path(__file__).resolve()
    root = source.parents[2]

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if pathlib.Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return None
        git("ls-files", "--error-unmatch", "--", str(source))
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
