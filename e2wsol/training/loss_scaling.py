"""Loss scaling: float16 gradients are multiplied up, so that small ones do not vanish."""

import keras
import tensorflow as tf
from keras import ops

from e2wsol.training.optimizers import NesterovMomentum

INITIAL_SCALE = 2.0**15
GROWTH_STEPS = 2000


@keras.saving.register_keras_serializable(package="e2wsol")
class LossScaledNesterovMomentum(NesterovMomentum):
    """NesterovMomentum on gradients of `scale_loss(loss)`.

    A step whose gradient is not finite on any replica changes no weight and halves the scale; 2000 finite ones in
    a row double it (Micikevicius et al., ICLR 2018). Skipped steps count for the learning rate's schedule. Keras' own
    LossScaleOptimizer looks at the first replica's gradients alone, and at each worker's on that worker, so that
    one infinite gradient ends up in all weights, or workers part ways.
    """

    def build(self, variables):
        """Makes the scale and the count of finite steps, beside the velocities."""
        if self.built:
            return
        super().build(variables)
        settings = {"shape": (), "dtype": "float32", "aggregation": "mean"}
        self.loss_scale = self.add_variable(
            initializer=keras.initializers.Constant(INITIAL_SCALE), name="loss_scale", **settings
        )
        self.finite_steps = self.add_variable(initializer="zeros", name="finite_steps", **settings)

    def scale_loss(self, loss):
        """The loss whose gradients `apply` takes."""
        return loss * ops.cast(self.loss_scale, loss.dtype)

    def apply(self, grads, trainable_variables=None):
        """Updates from gradients of the scaled loss; call it in replica context."""
        infinite = 1.0 - tf.cast(tf.reduce_all([tf.reduce_all(tf.math.is_finite(one)) for one in grads]), tf.float32)
        infinite = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, infinite)
        scale = tf.convert_to_tensor(self.loss_scale)
        # NaN in every gradient is how `update_step` knows of a step to be skipped.
        factor = tf.where(infinite > 0, float("nan"), 1.0 / scale)
        super().apply([one * tf.cast(factor, one.dtype) for one in grads], trainable_variables)
        finite_steps = tf.where(infinite > 0, 0.0, tf.convert_to_tensor(self.finite_steps) + 1.0)
        grown = tf.where(finite_steps >= GROWTH_STEPS, 2.0 * scale, scale)
        self.loss_scale.assign(tf.where(infinite > 0, tf.maximum(scale / 2.0, 1.0), grown))
        self.finite_steps.assign(tf.where(finite_steps >= GROWTH_STEPS, 0.0, finite_steps))

    def update_step(self, gradient, variable, learning_rate):
        """One update of one variable, none where the gradient is not finite."""
        finite = ops.isfinite(gradient)
        velocity, new_velocity, change = self._changes(gradient, variable, learning_rate)
        self.assign(velocity, ops.where(finite, new_velocity, velocity))
        self.assign_sub(variable, ops.where(finite, change, ops.zeros_like(change)))


def optimizer_class(precision):
    """The optimizer's class for a ComputeOptions.precision: float16 alone runs out of small numbers."""
    return LossScaledNesterovMomentum if precision == "mixed_float16" else NesterovMomentum
