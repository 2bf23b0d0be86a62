"""One step of training, and several in one call, on all devices of a tf.distribute strategy."""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from e2wsol.compute import ComputeOptions
from e2wsol.errors import ArgumentError
from e2wsol.methods import Method
from e2wsol.training.optimizers import NesterovMomentum

EQUAL_LOGITS = "equal_logits"


class TrainSteps:
    """Forward pass, loss, gradients and update, as one TensorFlow function.

    Args:
      model: a Method, built under `strategy`.
      optimizer: of e2wsol.training.optimizers, built for the model's variables.
      strategy: tf.distribute strategy.
      micro_batches: equal parts that each device's share of a batch is cut into; their gradients are averaged.
        That is the gradient of the whole share, but batch normalization sees the parts.
      jit: whether XLA compiles a step.

    Raises:
      ArgumentError: XLA is to compile for several CPU devices.
    """

    def __init__(
        self,
        model: Method,
        optimizer: NesterovMomentum,
        strategy: Any,
        *,
        micro_batches: int = 1,
        jit: bool = False,
    ):
        self.model, self.optimizer, self.strategy, self.micro_batches = model, optimizer, strategy, micro_batches
        several = strategy.num_replicas_in_sync > 1
        if jit and several and not tf.config.list_logical_devices("GPU") + tf.config.list_logical_devices("TPU"):
            problem = "XLA compiles no step for several CPU devices; leave it out, or use strategy=none"
            raise ArgumentError("jit", None, problem, owner=ComputeOptions)
        self.names: tuple[str, ...] = ()
        self._replica = tf.function(self._replica_step, jit_compile=True) if jit else self._replica_step
        self._run = tf.function(self._steps)

    def __call__(self, batches: Iterator, number: int) -> Any:
        """Trains `number` steps without a return to Python.

        Args:
          batches: iterator over distributed batches of e2wsol.data.pipeline.
          number: of batches to take.

        Returns:
          float32 tensor (number, k), a row a step, of means over the global batch: "loss", "accuracy" of a method that
          classifies, the loss's terms where it has several, and of a classifier of several classes EQUAL_LOGITS, the
          share of pictures that have one logit for all classes. `names` says their order, after the first call.
        """
        return self._run(batches, tf.constant(number))

    @property
    def traces(self) -> int:
        """How often TensorFlow made a graph of it."""
        return self._run.experimental_get_tracing_count()

    def _steps(self, batches: Iterator, number: Any) -> Any:
        values = tf.TensorArray(tf.float32, size=number)
        for step in tf.range(number):
            values = values.write(step, self._distributed_step(next(batches)))
        return values.stack()

    def _distributed_step(self, batch: Any) -> Any:
        values = self.strategy.run(self._replica, args=(batch,))
        return self.strategy.reduce("MEAN", values, axis=None)

    def _replica_step(self, batch: dict[str, Any]) -> Any:
        variables = self.model.trainable_variables
        if self.micro_batches == 1:
            gradients, values = self._gradients(batch, variables)
        else:
            gradients, values = self._accumulated(batch, variables)
        self.optimizer.apply(gradients, variables)
        return values

    def _accumulated(self, batch: dict[str, Any], variables: list[Any]) -> tuple[list[Any], Any]:
        """As `_gradients`, part after part, so that the features of one part alone are in memory."""
        parts = self.micro_batches
        cut = {name: tf.reshape(one, (parts, -1, *one.shape[1:])) for name, one in batch.items()}
        sums = [tf.zeros(variable.shape, variable.dtype) for variable in variables]
        values = tf.TensorArray(tf.float32, size=parts)

        def add(part, sums, values):
            gradients, value = self._gradients({name: tf.gather(one, part) for name, one in cut.items()}, variables)
            return part + 1, [total + one / parts for total, one in zip(sums, gradients)], values.write(part, value)

        _, sums, values = tf.while_loop(
            lambda part, *_: part < parts, add, (0, sums, values), parallel_iterations=1, maximum_iterations=parts
        )
        return sums, tf.reduce_mean(values.stack(), axis=0)

    def _gradients(self, batch: dict[str, Any], variables: list[Any]) -> tuple[list[Any], Any]:
        """Gradients of this replica's part of the mean loss, and the step's values in the order of `names`."""
        images, targets = batch["image"], self.model.targets(batch)
        with tf.GradientTape() as tape:
            outputs = self.model(images, training=True)
            terms = {name: tf.reduce_mean(term) for name, term in self.model.loss_terms(targets, outputs, True).items()}
            loss = sum(terms.values())
            # The optimizer sums gradients over replicas; the loss of the global batch is a mean.
            scaled = self.optimizer.scale_loss(loss / self.strategy.num_replicas_in_sync)
        # TensorFlow's own zeros for unconnected variables fail on Keras variables.
        gradients = [
            tf.zeros(variable.shape, variable.dtype) if gradient is None else gradient
            for gradient, variable in zip(tape.gradient(scaled, variables), variables)
        ]
        values = {"loss": loss}
        if self.model.classifies:
            correct = tf.equal(tf.argmax(outputs["logits"], axis=-1, output_type=tf.int32), batch["label"])
            values["accuracy"] = tf.reduce_mean(tf.cast(correct, tf.float32))
        if len(terms) > 1:
            values |= terms
        if self.model.classifies and self.model.num_classes > 1:
            equal = tf.reduce_all(tf.equal(outputs["logits"], outputs["logits"][:, :1]), axis=-1)
            values[EQUAL_LOGITS] = tf.reduce_mean(tf.cast(equal, tf.float32))
        self.names = tuple(values)
        return gradients, tf.stack([tf.cast(value, tf.float32) for value in values.values()])
