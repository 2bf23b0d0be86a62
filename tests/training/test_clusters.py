import json
import threading
import time

import pytest
import tensorflow as tf
from test_workers import free_ports

from e2wsol.errors import UserError
from e2wsol.training import clusters, rendezvous
from e2wsol.training.strategies import ShardOptions, StrategyOptions, create, create_for_shards


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """No word of a cluster in the environment."""
    for name in ("TF_CONFIG", "SLURM_STEP_NUM_TASKS", "SLURM_JOB_ID", "SLURMD_NODENAME"):
        monkeypatch.delenv(name, raising=False)


def tf_config(monkeypatch, cluster, kind="worker", index=0):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}))


def slurm(monkeypatch, **values):
    for name, value in values.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))


def test_tf_config(monkeypatch):
    tf_config(monkeypatch, {"worker": ["a:1", "b:2"]}, index=1)
    cluster = clusters.find("auto")
    assert cluster.addresses == ["a:1", "b:2"] and cluster.index == 1
    tf_config(monkeypatch, {"worker": ["a:1", "b:2"], "chief": ["c:3"]}, index=1)
    cluster = clusters.find("tf_config")
    assert cluster.addresses == ["c:3", "a:1", "b:2"] and cluster.index == 2
    assert cluster.resolver(0).num_accelerators()["GPU"] == 0 and cluster.resolver(0).task_id == 1


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": ["a:1"], "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "x"}}',
        '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_tf_config_that_describes_nothing(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=r"TF_CONFIG=.*no description of workers .*; expected"):
        clusters.find("auto")


def test_two_workers_of_one_address(monkeypatch):
    tf_config(monkeypatch, {"worker": ["a:1", "a:1"]})
    with pytest.raises(UserError, match="two workers have the same address"):
        clusters.find("auto")


def test_no_description_of_a_cluster():
    with pytest.raises(UserError, match="nothing names the workers: set TF_CONFIG"):
        create(StrategyOptions(strategy="multi_worker_mirrored"))
    with pytest.raises(UserError, match="nothing names the workers"):
        create_for_shards(ShardOptions(strategy="multi_worker_mirrored"))
    with pytest.raises(UserError, match=r"^cluster=slurm: SLURM_PROCID not found"):
        clusters.find("slurm")


def test_slurm_step(monkeypatch):
    slurm(monkeypatch, PROCID=3, STEP_NUM_TASKS=5, STEP_NODELIST="n[07-08],gpu1", STEP_TASKS_PER_NODE="2(x2),1")
    slurm(monkeypatch, JOB_ID=120017)
    cluster = clusters.find("auto")
    # TensorFlow sorts the nodes by name.
    assert cluster.addresses == ["gpu1:20017", "n07:20017", "n07:20018", "n08:20017", "n08:20018"]
    assert cluster.index == 3 and cluster.task_type == "worker"
    monkeypatch.setenv("SLURMD_NODENAME", "n08")
    assert clusters.find("slurm").index == 3
    monkeypatch.setenv("SLURMD_NODENAME", "n07")
    with pytest.raises(UserError, match=r"task 3 runs on n07, but TensorFlow, .* on n08; give TF_CONFIG"):
        clusters.find("slurm")


def test_slurm_step_that_makes_no_sense(monkeypatch):
    slurm(monkeypatch, PROCID=0, STEP_NUM_TASKS=3, STEP_NODELIST="n[1-2]", STEP_TASKS_PER_NODE="1(x2)")
    with pytest.raises(UserError, match=r"^cluster=slurm: Requested 3 tasks but only 2 were assigned"):
        clusters.find("auto")


def met(addresses, seconds, started, delays=None):
    """Starts some workers of a cluster in threads, each after its delay; returns {index: None or its error}."""
    found = {}
    spec = tf.train.ClusterSpec({"worker": addresses})

    def worker(index):
        time.sleep((delays or {}).get(index, 0))
        try:
            found[index] = rendezvous.wait_for_workers(clusters.Cluster(spec, "worker", index), seconds)
        except UserError as error:
            found[index] = str(error)

    threads = [threading.Thread(target=worker, args=(index,)) for index in started]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.fixture
def addresses():
    return [f"localhost:{port}" for port in free_ports(3)]


def test_all_meet_whoever_comes_first(addresses):
    assert met(addresses, 20, range(3), {0: 0.3, 1: 0.1}) == {0: None, 1: None, 2: None}


def test_who_did_not_come_is_named(addresses):
    found = met(addresses, 0.3, [0, 2])
    said = f"worker 1 ({addresses[1]}): no answer within cluster_wait=0.3 seconds; start it, or correct its address"
    assert found == {0: said, 2: said}
    assert f"worker 0 ({addresses[0]}): no answer" in met(addresses, 0.2, [2])[2]


@pytest.fixture
def other_addresses(addresses):
    return [addresses[0], "localhost:1", addresses[2]]


def test_workers_that_were_told_of_different_clusters(addresses, other_addresses):
    cluster = clusters.Cluster(tf.train.ClusterSpec({"worker": other_addresses}), "worker", 2)
    caller = threading.Thread(target=rendezvous._call, args=(cluster, time.monotonic() + 0.5))
    caller.start()
    assert "worker 2 was told of other workers" in met(addresses, 5, [0])[0]
    caller.join()


def test_port_that_is_taken(addresses):
    with rendezvous._server(int(addresses[0].rpartition(":")[2])):
        assert "of worker 0: Address already in use" in met(addresses, 5, [0])[0]
