"""The processes that work together, as the environment describes them.

TF_CONFIG and Slurm's variables are read by TensorFlow's own resolvers; what they get wrong is said in a line.
"""

import dataclasses
import json
import os

import tensorflow as tf

from e2wsol.errors import ArgumentError, UserError

_JOBS = ("chief", "worker")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Who takes part.

    Attributes:
      spec: tf.train.ClusterSpec of the jobs "worker" and, where there is one, "chief".
      task_type, task_id: this process.
    """

    spec: tf.train.ClusterSpec
    task_type: str
    task_id: int

    @property
    def addresses(self) -> list[str]:
        """["host:port"] of all, the one that writes files first."""
        return [address for job in _JOBS if job in self.spec.jobs for address in self.spec.job_tasks(job)]

    @property
    def index(self) -> int:
        """Place of this process in `addresses`."""
        before = 1 if self.task_type == "worker" and "chief" in self.spec.jobs else 0
        return before + self.task_id

    def resolver(self, gpus: int) -> tf.distribute.cluster_resolver.ClusterResolver:
        """The tf.distribute resolver of a strategy that uses so many GPUs of this process, or its CPU for 0."""
        return tf.distribute.cluster_resolver.SimpleClusterResolver(
            self.spec,
            task_type=self.task_type,
            task_id=self.task_id,
            num_accelerators={"GPU": gpus},
            rpc_layer="grpc",
        )


def find(kind: str) -> Cluster:
    """The Cluster that this process belongs to.

    Args:
      kind: "tf_config", "slurm", or "auto": what the environment holds, TF_CONFIG first.

    Raises:
      UserError: there is no such description, or it is wrong.
    """
    if kind == "tf_config" or (kind == "auto" and os.environ.get("TF_CONFIG")):
        return _tf_config()
    if kind == "slurm" or "SLURM_STEP_NUM_TASKS" in os.environ:
        return _slurm()
    raise ArgumentError(
        "strategy",
        "multi_worker_mirrored",
        "nothing names the workers: set TF_CONFIG, start with srun, or, for workers on this machine, with "
        "scripts/run_multi_worker.sh (docs/scale.md)",
    )


def _tf_config() -> Cluster:
    text = os.environ.get("TF_CONFIG", "")
    example = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    try:
        jobs, task = (json.loads(text)[key] for key in ("cluster", "task"))
        if not isinstance(jobs, dict) or not isinstance(task, dict) or not set(jobs) <= set(_JOBS):
            raise ValueError("jobs other than chief and worker")
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        cluster = Cluster(resolver.cluster_spec(), resolver.task_type, resolver.task_id)
        cluster.spec.task_address(cluster.task_type, cluster.task_id)
        ports = [int(address.rpartition(":")[2]) for address in cluster.addresses]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"TF_CONFIG={text or ''}: no description of workers ({error}); expected {example}") from None
    if len(set(cluster.addresses)) < len(ports):
        raise UserError(f"TF_CONFIG={text}: two workers have the same address; each needs its own")
    return cluster


def _slurm() -> Cluster:
    """The tasks of this job step, as many ports of a node as it has tasks; each task has the GPUs that it sees."""
    try:
        # From 20000 on, by the job's number: two jobs that share a node then seldom meet.
        port = 20000 + int(os.environ.get("SLURM_JOB_ID", 0)) % 10000
        # With the numbers of GPUs that it would find itself, TensorFlow knows no tasks where nvidia-smi finds none, and
        # hands each task some of those that Slurm gave to it alone.
        tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=port, gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
        )
        spec = resolver.cluster_spec()
    except (RuntimeError, ValueError) as error:
        raise ArgumentError("cluster", "slurm", f"{error} (SLURM_ variables of a step; start with srun)") from None
    cluster = Cluster(spec, resolver.task_type, resolver.task_id)
    node, expected = os.environ.get("SLURMD_NODENAME"), cluster.addresses[cluster.index].rpartition(":")[0]
    if node and node != expected:
        raise ArgumentError(
            "cluster",
            "slurm",
            f"task {cluster.index} runs on {node}, but TensorFlow, which sorts nodes by name, looks for it on "
            f"{expected}; give TF_CONFIG and cluster=tf_config",
        )
    return cluster
