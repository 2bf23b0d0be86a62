import os
import signal
import sys

import pytest
import tensorflow as tf

from e2wsol import cli
from e2wsol.errors import WorkerLostError
from e2wsol.training.loop import LoopOptions
from e2wsol.training.preemption import Preemption
from e2wsol.training.workers import Workers


class Several:
    """Workers of which another one may have got SIGTERM."""

    count = 3

    def __init__(self):
        self.other, self.asked = False, 0

    def any(self, flag):
        self.asked += 1
        return flag or self.other


def calls_until_the_end(preemption):
    return next(number for number in range(1, 1000) if preemption.requested_everywhere())


def test_a_process_alone_ends_at_once():
    preemption = Preemption()
    with preemption.watched():
        assert not preemption.requested_everywhere()
        os.kill(os.getpid(), signal.SIGTERM)
        assert preemption.requested_everywhere() and preemption.requested


@pytest.mark.parametrize("mine", [True, False])
def test_several_end_at_the_same_call(mine):
    """Whoever got the signal, and after however many steps since they last asked each other."""
    workers = Several()
    preemption = Preemption(workers)
    with preemption.watched():
        assert not any(preemption.requested_everywhere() for _ in range(13)) and workers.asked == 1
        if mine:
            os.kill(os.getpid(), signal.SIGTERM)
        workers.other = not mine
        assert not preemption.requested
        assert calls_until_the_end(preemption) == 7 and preemption.requested


def collective_error(kind, message):
    return kind(None, None, message)


UNHEALTHY = "The following tasks are unhealthy (stopped sending heartbeats): /job:worker/replica:0/task:2"


def again():
    return "again"


def test_a_lost_worker_is_named():
    workers = Workers()
    workers.count = 3
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(tf.train.ClusterSpec({}), task_id=0)
    workers.strategy = type("Strategy", (), {"cluster_resolver": resolver})
    with pytest.raises(WorkerLostError, match=r"^worker 2 does not answer any more; again$"), workers.watched(again):
        raise collective_error(tf.errors.UnavailableError, f"reported from /job:worker/task:0: {UNHEALTHY}")
    with pytest.raises(WorkerLostError, match=r"^another worker does not"), workers.watched(again):
        raise collective_error(tf.errors.InternalError, "Collective ops is aborted")
    with pytest.raises(tf.errors.InvalidArgumentError), workers.watched(str):
        raise collective_error(tf.errors.InvalidArgumentError, "a shape")


def test_a_process_alone_loses_no_worker():
    with pytest.raises(tf.errors.UnavailableError), Workers().watched(str):
        raise collective_error(tf.errors.UnavailableError, UNHEALTHY)


def test_exit_status_of_a_lost_worker(monkeypatch, capsys):
    monkeypatch.setattr(os, "_exit", sys.exit)
    monkeypatch.setattr(sys, "argv", ["train"])

    def main(flags, positional):
        raise WorkerLostError("worker 1 does not answer any more")

    with pytest.raises(SystemExit) as caught:
        cli.run(main, LoopOptions)
    assert caught.value.code == 75 and capsys.readouterr().err == "error: worker 1 does not answer any more\n"
