import dataclasses

import tensorflow as tf

from e2wsol.config import option
from e2wsol.errors import UserError


@dataclasses.dataclass(frozen=True)
class StrategyOptions:
    """On which devices training runs."""

    strategy: str = option(
        "none",
        "none (one device), mirrored (all GPUs of this machine), multi_worker_mirrored (TF_CONFIG names the "
        "workers) or tpu",
        choices=("none", "mirrored", "multi_worker_mirrored", "tpu"),
    )
    replicas: int = option(0, "mirrored on a machine without GPU: logical CPU devices to make", minimum=0)
    tpu: str = option("", "TPU name or address; empty for the local one")


def make_deterministic():
    """The same bits from the same flags; call it before any other TensorFlow work.

    Op determinism alone does not do it: a sum of three or more tensors (AddN: the gradient of what is used three times)
    begins with whichever input's memory is free, which depends on the ops that run beside it. So they run one
    after the other, each still on all cores.
    """
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_inter_op_parallelism_threads(1)


def create(options):
    """The tf.distribute strategy that the options name; call it before any other TensorFlow work.

    Raises:
      UserError: no TPU was found, or more replicas than there can be.
    """
    if options.strategy == "mirrored":
        return tf.distribute.MirroredStrategy(_mirrored_devices(options.replicas))
    if options.strategy == "multi_worker_mirrored":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if options.strategy == "tpu":
        return _tpu(options.tpu)
    return tf.distribute.get_strategy()


def is_chief(strategy):
    """Whether this process is the one that writes files."""
    resolver = strategy.cluster_resolver
    return (
        resolver is None
        or resolver.task_type in (None, "", "chief")
        or (resolver.task_type == "worker" and resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs)
    )


def _mirrored_devices(replicas):
    """All GPUs (None), or logical CPU devices where there are none."""
    if tf.config.list_physical_devices("GPU") or not replicas:
        return None
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    except RuntimeError:  # devices exist already; they do when there are as many
        found = len(tf.config.list_logical_devices("CPU"))
        if found < replicas:
            raise UserError(f"--replicas={replicas}: this process has {found} CPU devices already") from None
    return [f"CPU:{index}" for index in range(replicas)]


def _tpu(name):
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
    except (ValueError, KeyError, tf.errors.NotFoundError) as error:
        raise UserError(f"--tpu={name}: no TPU found ({error}); give its name or address") from None
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)
