"""The tf.distribute strategies that training runs under, and evaluation by several processes."""

import dataclasses
import faulthandler
import signal
import threading
from typing import Any

import tensorflow as tf

from e2wsol.config import option
from e2wsol.errors import ArgumentError, UserError
from e2wsol.training import clusters, rendezvous

# TensorFlow's start after all workers have met; longer than that, one of them has died in it.
_START_SECONDS = 300


@dataclasses.dataclass(frozen=True)
class ClusterOptions:
    """Where the other workers are."""

    cluster: str = option(
        "auto",
        "with multi_worker_mirrored, what names the workers: tf_config, slurm, or auto: TF_CONFIG if set, else Slurm",
        choices=("auto", "tf_config", "slurm"),
    )
    cluster_wait: int = option(600, "seconds that a worker waits for the others at the start", minimum=1)


@dataclasses.dataclass(frozen=True)
class StrategyOptions(ClusterOptions):
    """On which devices training runs."""

    strategy: str = option(
        "none",
        "none (one device), mirrored (all GPUs of this machine), multi_worker_mirrored (several processes, see "
        "--cluster) or tpu",
        choices=("none", "mirrored", "multi_worker_mirrored", "tpu"),
    )
    replicas: int = option(0, "mirrored on a machine without GPU: logical CPU devices to make", minimum=0)
    tpu: str = option("", "TPU name or address; empty for the local one")


@dataclasses.dataclass(frozen=True)
class ShardOptions(ClusterOptions):
    """Over which processes pictures are shared out where nothing is trained."""

    strategy: str = option(
        "none",
        "none (this process alone) or multi_worker_mirrored: each of several processes takes its part, see --cluster",
        choices=("none", "multi_worker_mirrored"),
    )


def make_deterministic() -> None:
    """The same bits from the same flags; call it before any other TensorFlow work.

    Op determinism alone does not do it: a sum of three or more tensors (AddN: the gradient of what is used three times)
    begins with whichever input's memory is free, which depends on the ops that run beside it. So they run one
    after the other, each still on all cores.
    """
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_inter_op_parallelism_threads(1)


def create(options: StrategyOptions) -> Any:
    """The tf.distribute strategy that the options name; call it before any other TensorFlow work.

    Raises:
      UserError: no TPU was found, no workers are named or some do not come, or more replicas than there can be.
    """
    if options.strategy == "mirrored":
        return tf.distribute.MirroredStrategy(_mirrored_devices(options.replicas))
    if options.strategy == "multi_worker_mirrored":
        return _multi_worker(options, gpus=len(tf.config.list_physical_devices("GPU")))
    if options.strategy == "tpu":
        return _tpu(options.tpu)
    return tf.distribute.get_strategy()


def create_for_shards(options: ShardOptions) -> Any:
    """The strategy by which processes that only share pictures out speak to each other, over their CPUs alone.

    Raises:
      UserError: as `create`.
    """
    if options.strategy == "none":
        return tf.distribute.get_strategy()
    return _multi_worker(options, gpus=0)


def _multi_worker(options: ClusterOptions, gpus: int) -> Any:
    cluster = clusters.find(options.cluster)
    rendezvous.wait_for_workers(cluster, options.cluster_wait)
    # A start that hangs holds the interpreter, so no Python code could end it.
    faulthandler.dump_traceback_later(_START_SECONDS, exit=True)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster.resolver(gpus))
    except (tf.errors.OpError, RuntimeError) as error:
        address = cluster.addresses[cluster.index]
        said = str(error).splitlines()[0]
        raise UserError(f"worker {cluster.index} ({address}): cannot start ({said}); is its port free?") from None
    finally:
        faulthandler.cancel_dump_traceback_later()
        _restore_sigterm()


def _restore_sigterm() -> None:
    """TensorFlow's server takes SIGTERM and keeps it to itself; back to what Python knows of."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


def _mirrored_devices(replicas: int) -> list[str] | None:
    """All GPUs (None), or logical CPU devices where there are none."""
    if tf.config.list_physical_devices("GPU") or not replicas:
        return None
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    except RuntimeError:  # devices exist already; they do when there are as many
        found = len(tf.config.list_logical_devices("CPU"))
        if found < replicas:
            problem = f"this process has {found} CPU devices already"
            raise ArgumentError("replicas", replicas, problem, owner=StrategyOptions) from None
    return [f"CPU:{index}" for index in range(replicas)]


def _tpu(name: str) -> Any:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
    except (ValueError, KeyError, tf.errors.NotFoundError) as error:
        problem = f"no TPU found ({error}); give its name or address"
        raise ArgumentError("tpu", name, problem, owner=StrategyOptions) from None
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)
