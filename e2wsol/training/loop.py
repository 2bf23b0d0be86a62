"""The training loop: one for every tf.distribute strategy."""

import dataclasses
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from e2wsol import terminal
from e2wsol.config import option
from e2wsol.data import pipeline
from e2wsol.data.dataset import Dataset
from e2wsol.data.pipeline import PipelineOptions
from e2wsol.errors import ArgumentError, UserError
from e2wsol.localization.protocols import BoxProtocol
from e2wsol.methods import Method
from e2wsol.training import checkpoints
from e2wsol.training.optimizers import NesterovMomentum
from e2wsol.training.preemption import Preemption
from e2wsol.training.step import EQUAL_LOGITS, TrainSteps
from e2wsol.training.validation import Validation
from e2wsol.training.workers import Workers


@dataclasses.dataclass(frozen=True)
class LoopOptions:
    """How long, how much at once, how often to look."""

    epochs: int = option(10, "epochs to train", minimum=1)
    steps_per_epoch: int = option(0, "steps that count as an epoch; 0 for one pass over the training split", minimum=0)
    batch_size: int = option(32, "global batch: pictures a step over all devices and workers", minimum=1)
    seed: int = option(
        0, "seed of initial weights, shuffling, augmentation and random layers", minimum=0, maximum=2**32 - 1
    )
    checkpoint_steps: int = option(0, "also checkpoint every so many steps; 0 for the ends of epochs only", minimum=0)
    validate_every: int = option(1, "epochs between validations on split val, where there is one", minimum=1)
    validate_localization: bool = option(
        False, "validate the boxes of the true classes too: val_gt_known, at IoU 0.5 and the protocol's threshold"
    )
    micro_batches: int = option(
        1,
        "parts that each device's share of a batch is cut into, one after the other in memory, for one update "
        "(gradient accumulation; batch normalization sees the parts)",
        minimum=1,
    )
    steps_per_execution: int = option(
        1, "steps that run on the devices without a return to Python; SIGTERM waits for them", minimum=1
    )
    log_every: int = option(50, "steps between entries in metrics.jsonl and TensorBoard", minimum=1)


def steps_per_epoch(options: LoopOptions, info: Dataset) -> int:
    """Steps that count as an epoch: as asked for, else one pass over split train."""
    return options.steps_per_epoch or max(1, info.split("train").count // options.batch_size)


class Loop:
    """Trains a method step by step and drives keras callbacks.

    Args:
      model: a Method, built under `strategy`.
      optimizer: made under `strategy` too; built here for the model's variables.
      strategy: tf.distribute strategy.
      info: Dataset of the records.
      pipeline_options: PipelineOptions.
      options: LoopOptions.
      folder: checkpoint folder.
      jit: whether XLA compiles the steps.
      protocol: BoxProtocol of options.validate_localization.
      callbacks: keras callbacks; they see batch logs ("loss", "accuracy" of a method that classifies, the
        loss's terms where it has several, "learning_rate") every `log_every` steps and epoch logs (the same, and
        the scores of Validation).
    """

    def __init__(
        self,
        model: Method,
        optimizer: NesterovMomentum,
        strategy: Any,
        *,
        info: Dataset,
        pipeline_options: PipelineOptions,
        options: LoopOptions,
        folder: pathlib.Path,
        jit: bool = False,
        protocol: BoxProtocol | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ):
        self.model, self.optimizer, self.strategy = model, optimizer, strategy
        self.info, self.pipeline_options, self.options = info, pipeline_options, options
        self.folder = folder
        self.workers = Workers(strategy)
        self.chief = self.workers.chief
        self.step = 0
        self.best = -math.inf
        # Of the steps of the present epoch: {name: sum of its values}, and how many they are.
        self.sums: dict[str, float] = {}
        self.counted = 0
        self.warned_of_dead_classifier = False
        self.preemption = Preemption(self.workers)
        self.callbacks = [*model.callbacks(), *callbacks]
        self._check_batch()
        self.steps_per_epoch = steps_per_epoch(options, info)
        self.validation = Validation(
            model,
            strategy,
            info=info,
            view=pipeline_options,
            batch_size=options.batch_size,
            protocol=protocol if options.validate_localization else None,
        )
        with strategy.scope():
            optimizer.build(model.trainable_variables)
        self._train_steps = TrainSteps(model, optimizer, strategy, micro_batches=options.micro_batches, jit=jit)

    def resume(self) -> pathlib.Path | None:
        """Restores the last good checkpoint, if any; returns its path or None."""
        if self.chief:
            checkpoints.mend_links(self.folder)
        path = checkpoints.last(self.folder)
        if path is not None:
            state = checkpoints.restore(path, self.model, self.optimizer)
            self.step = state["step"]
            self.best = -math.inf if state["best"] is None else state["best"]
            self.sums, self.counted = state.get("sums", {}), state.get("counted", 0)
        steps = self.workers.gather(self.step)
        if len(set(steps)) > 1:
            raise UserError(f"{self.folder}: the workers find checkpoints of steps {steps}; they must share the folder")
        return path

    def run(self) -> bool:
        """Trains until `epochs` are done, a callback stops it, or SIGTERM comes: then it saves the step that it is at.

        Returns:
          Whether it ended before its time because of SIGTERM.
        """
        callbacks = keras.callbacks.CallbackList(self.callbacks, model=self.model)
        self.model.stop_training = False
        callbacks.on_train_begin()
        total = self.options.epochs * self.steps_per_epoch
        with self.info.reading("train"), self.preemption.watched():
            batches = iter(self._batches())
            while self.step < total and not self.model.stop_training and not self.preemption.requested:
                self._epoch(batches, callbacks)
        callbacks.on_train_end()
        self.workers.gather(None)  # nobody leaves while the chief still writes
        return self.preemption.requested and self.step < total

    def _epoch(self, batches: Iterator, callbacks: keras.callbacks.CallbackList) -> None:
        epoch, done = divmod(self.step, self.steps_per_epoch)
        callbacks.on_epoch_begin(epoch)
        title = f"epoch {epoch + 1}/{self.options.epochs}"
        with self._progress(title, done) as bar:
            for pending in self._stretches(done):
                sums, taken = self._steps(batches, pending, callbacks)
                self.counted += taken
                self.sums = {name: self.sums.get(name, 0.0) + value for name, value in sums.items()}
                bar.update(taken)
                bar.set_postfix({name: f"{value / taken:.3f}" for name, value in sums.items()})
                if self.preemption.requested and self.step % self.steps_per_epoch:
                    self._save()
                    return
                if self._mid_epoch_checkpoint():
                    self._save()
        logs = {name: value / self.counted for name, value in self.sums.items()}
        self.sums, self.counted = {}, 0
        logs["learning_rate"] = self._learning_rate()
        logs.update(self._validate(epoch))
        score = "val_top1" if self.model.classifies else "val_gt_known"
        validated = logs.get(score, -math.inf) if self.model.maps_are_trained else -math.inf
        improved = validated > self.best
        self.best = max(self.best, validated)
        # Before the checkpoint: a run killed between the two goes on from the one before, and logs the epoch again.
        callbacks.on_epoch_end(epoch, {**logs, "step": self.step})
        self._save(best=improved)

    def _progress(self, title: str, done: int) -> terminal.ProgressBar:
        return terminal.ProgressBar(self.steps_per_epoch, title, "step", initial=done, disable=not self.chief)

    def _stretches(self, done: int) -> Iterator[int]:
        """Numbers of steps until the next log entry, checkpoint or end of the epoch."""
        marks = [self.options.log_every, self.options.checkpoint_steps or self.steps_per_epoch]
        while done < self.steps_per_epoch:
            start = self.step
            steps = min(self.steps_per_epoch - done, *(mark - start % mark for mark in marks))
            yield steps
            done += steps

    def _steps(
        self, batches: Iterator, number: int, callbacks: keras.callbacks.CallbackList
    ) -> tuple[dict[str, float], int]:
        """Runs `number` steps, fewer if SIGTERM comes; returns the sums of their values, and how many they were."""
        values, taken = [], 0
        while True:
            callbacks.on_train_batch_begin(self.step)
            steps = min(number - taken, self.options.steps_per_execution)
            values.append(self._train_steps(batches, steps))
            self.step += steps
            taken += steps
            if self.preemption.requested_everywhere() or taken == number:
                break
            callbacks.on_train_batch_end(self.step - 1)
        table = np.concatenate([value.numpy() for value in values]).astype(np.float64)
        sums = {name: float(column.sum()) for name, column in zip(self._train_steps.names, table.T)}
        if not math.isfinite(sums["loss"]):
            raise self._not_finite(table[:, self._train_steps.names.index("loss")])
        self._check_classifier(sums.pop(EQUAL_LOGITS, 0.0), taken)
        logs = {name: value / taken for name, value in sums.items()}
        logs |= {"step": self.step, "learning_rate": self._learning_rate()}
        callbacks.on_train_batch_end(self.step - 1, logs)
        return sums, taken

    def _check_classifier(self, equal_logits: float, taken: int) -> None:
        """Warns, once, where the last steps told no class from another: class maps that a ReLU shut do not recover.

        Not of the first steps, since a classifier may start from zeros.

        Args:
          equal_logits: share of pictures whose logits are all equal, summed over the steps.
          taken: number of these steps.
        """
        if equal_logits == taken < self.step and not self.warned_of_dead_classifier:
            self.warned_of_dead_classifier = True
            if self.chief:
                terminal.say(
                    f"warning: step {self.step}: the classifier is dead, its logits are equal whatever the picture; "
                    f"start again with less than learning_rate={self._learning_rate():g}, or with lower rates of its "
                    "head (learning_rate_multipliers)"
                )

    def _learning_rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))

    def _not_finite(self, losses: np.ndarray) -> UserError:
        """The UserError for the losses of the last steps, not all of them finite."""
        first = next((number for number, loss in enumerate(losses) if not math.isfinite(loss)), len(losses) - 1)
        step = self.step - len(losses) + first
        batch = self.options.batch_size
        pictures = pipeline.train_ids(
            self.info, self.pipeline_options, seed=self.options.seed, start_record=step * batch, count=batch
        )
        good = checkpoints.last(self.folder)
        return UserError(
            f"loss is {losses[first]} at step {step + 1}: lower learning_rate={self._learning_rate():g}; last good "
            f"checkpoint: {good or 'none'}; pictures of the step: {', '.join(pictures)}"
        )

    def _check_batch(self) -> None:
        batch, replicas, parts = (
            self.options.batch_size,
            self.strategy.num_replicas_in_sync,
            self.options.micro_batches,
        )
        if batch % replicas:
            problem = f"must be a multiple of the {replicas} devices"
            raise ArgumentError("batch_size", batch, problem, owner=LoopOptions)
        if batch // replicas % parts:
            problem = f"must divide the {batch // replicas} pictures of batch_size={batch} that each device has"
            raise ArgumentError("micro_batches", parts, problem, owner=LoopOptions)

    def _batches(self) -> Any:
        per_replica = self.options.batch_size // self.strategy.num_replicas_in_sync

        def make(context):
            dataset = pipeline.train_dataset(
                self.info,
                self.pipeline_options,
                global_batch=self.options.batch_size,
                seed=self.options.seed,
                start_record=self.step * self.options.batch_size,
                shard_index=context.input_pipeline_id,
                num_shards=context.num_input_pipelines,
                pseudo_masks=self.model.needs_pseudo_masks,
            )
            dataset = dataset.rebatch(per_replica, drop_remainder=True)
            # Else several workers ask each other before every step whether anyone's pictures have come to an end.
            return dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

        return self.strategy.distribute_datasets_from_function(make)

    def _validate(self, epoch: int) -> dict[str, float]:
        """The scores on split val, or {} where they are not due or there is none."""
        due = (epoch + 1) % self.options.validate_every == 0 or epoch + 1 == self.options.epochs
        return self.validation.scores() if due and self.validation.exists else {}

    def _mid_epoch_checkpoint(self) -> bool:
        every = self.options.checkpoint_steps
        return every > 0 and self.step % every == 0 and self.step % self.steps_per_epoch != 0

    def _save(self, *, best: bool = False) -> None:
        if self.chief:
            # JSON knows no infinity: null stands for "not validated yet".
            best_score = self.best if math.isfinite(self.best) else None
            state = {"step": self.step, "best": best_score, "sums": self.sums, "counted": self.counted}
            checkpoints.save(self.folder, self.model, self.optimizer, state, best=best)
