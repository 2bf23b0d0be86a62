"""Keras callbacks that write what a run measured."""

import json
import math
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any, TextIO

import keras
import numpy as np
import tensorflow as tf

from e2wsol import files
from e2wsol.errors import UserError
from e2wsol.localization.protocols import BoxProtocol
from e2wsol.localization.score_map import to_score_map
from e2wsol.visualize import overlay


class MetricsFile(keras.callbacks.Callback):
    """Appends one JSON line for each log entry to metrics.jsonl, `always` with the entry of every epoch.

    Lines of steps after `start_step`, left by a run that was stopped before its checkpoint, go first.
    """

    def __init__(self, path: pathlib.Path, start_step: int = 0, always: Mapping[str, Any] | None = None):
        super().__init__()
        self.path = path
        self.start_step = start_step
        self.always = dict(always or {})
        self.started = time.monotonic()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Drops the lines of steps after `start_step`."""
        lines = files.read_text(self.path).splitlines() if self.path.exists() else []
        kept = [line for line in lines if _step_of(line) <= self.start_step]
        files.write_text(self.path, "".join(line + "\n" for line in kept))

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Writes the means of the last steps, where there are any."""
        if logs:
            self._append("train", logs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Writes the means of the epoch and the scores of its validation."""
        self._append("epoch", {"epoch": epoch + 1, **(logs or {}), **self.always})

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Sees whether the run folder is still the one that the training began with."""
        self._open().close()

    def _open(self) -> TextIO:
        try:
            number = os.open(self.path, os.O_WRONLY | os.O_APPEND)  # never made anew
        except FileNotFoundError:
            raise UserError(
                f"{self.path}: has vanished; the run folder was removed or moved while the training wrote to it"
            ) from None
        return os.fdopen(number, "w", encoding="utf-8")

    def _append(self, kind: str, values: Mapping[str, Any]) -> None:
        entry = {
            "kind": kind,
            "seconds": round(time.monotonic() - self.started, 1),
            **values,
            "step": int(values["step"]),
        }
        with self._open() as file:
            file.write(json.dumps(entry) + "\n")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except Exception:  # half written when the run was stopped, or damaged
        return math.inf


class TensorBoardLog(keras.callbacks.Callback):
    """Scalars of every log entry, and overlays of a few images' maps after each epoch.

    Args:
      folder: where the event files go.
      images: uint8 (n, S, S, 3) pictures to localize, n may be 0.
      labels: int (n,) their classes.
      protocol: BoxProtocol, says how a map becomes a score map.
    """

    def __init__(self, folder: pathlib.Path, images: np.ndarray, labels: np.ndarray, protocol: BoxProtocol):
        super().__init__()
        self.protocol = protocol
        self.writer = tf.summary.create_file_writer(str(folder))
        self.images, self.labels = images, labels

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Writes the means of the last steps, where there are any."""
        if logs:
            self._scalars("train", logs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Writes the epoch's values and the overlays."""
        logs = logs or {}
        self._scalars("epoch", logs)
        if len(self.images):
            with self.writer.as_default(step=int(logs["step"])):
                tf.summary.image("localization", self._overlays(), max_outputs=len(self.images))
        self.writer.flush()

    def _scalars(self, group: str, logs: Mapping[str, float]) -> None:
        with self.writer.as_default(step=int(logs["step"])):
            for name in set(logs) - {"step"}:
                tf.summary.scalar(f"{group}/{name}", logs[name])

    def _overlays(self) -> np.ndarray:
        _, maps = self.model.localize(self.images, self.labels)
        side = self.images.shape[1]
        return np.stack(
            [
                overlay.heat_overlay(image, to_score_map(m, side, self.protocol))
                for image, m in zip(self.images, np.asarray(maps, np.float32))
            ]
        )
