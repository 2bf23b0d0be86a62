"""The runner with tiny jobs in real processes: order, cores, failures, stops, and who may start."""

import errno
import os
import signal
import sys

import pytest
from made_jobs import Study, eventually, is_running

from e2wsol.errors import UserError
from e2wsol.studies.runner import Runner, StoppedError, last_line

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture(autouse=True)
def python_path(tmp_path, monkeypatch):
    """Where the jobs' processes find their module, and a study's its own."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), ROOT, os.path.dirname(__file__)]))


def test_cells_run_in_their_order_and_behind_what_they_need(tmp_path):
    study = Study(tmp_path, {"records": ((), {}), "first": (("records",), {}), "second": (("records",), {})})
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert study.run().failed == {}
    names = ("records", "first", "second")
    assert study.events() == [(name, event) for name in names for event in ("started", "ended")]
    assert set(study.done()) == set(names) and study.plan.seconds("first") > 0
    assert (tmp_path / "cells" / "first.log").read_text() == (
        f"$ {sys.executable} -m made_job {tmp_path / 'journal'} first\n"
    )
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    done = study.done()
    assert study.run().failed == {} and study.done() == done and len(study.events()) == 6


def test_a_cell_that_ended_well_and_misses_something_failed(tmp_path, monkeypatch):
    study = Study(tmp_path, {"first": ((), {}), "second": ((), {})})
    missing = {"first": "runs/first: 4 of 9 epochs"}
    monkeypatch.setattr(type(study.plan), "unfinished", lambda plan, cell: missing.get(cell.name))
    assert study.run().failed == {"first": f"failed: {missing['first']} ({tmp_path / 'cells' / 'first.log'})"}
    assert set(study.done()) == {"second"}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_two_at_once_have_cores_of_their_own(tmp_path):
    """Each waits for the other; a third waits until both have ended."""
    here = {name: tmp_path / f"{name}.here" for name in ("left", "right")}
    jobs = {
        "left": ((), {"makes": here["left"], "waits_for": here["right"]}),
        "right": ((), {"makes": here["right"], "waits_for": here["left"]}),
        "last": (("left", "right"), {}),
    }
    study = Study(tmp_path, jobs)
    assert study.run(jobs=2).failed == {}
    started = {entry["name"]: entry for entry in study.journal() if entry["event"] == "started"}
    left, right = (set(started[name]["cores"]) for name in here)
    assert not left & right and left | right == os.sched_getaffinity(0)
    assert set(started["last"]["cores"]) in (left, right)
    assert study.events()[-2:] == [("last", "started"), ("last", "ended")]


def test_a_failure_is_named_and_the_others_go_on(tmp_path, capsys):
    missing = tmp_path / "missing"
    jobs = {
        "bad": ((), {"needs_file": missing}),
        "after": (("bad",), {}),
        "later": (("after",), {}),
        "killed": ((), {"kill": "yes"}),
        "good": ((), {}),
    }
    study = Study(tmp_path, jobs)
    logs = tmp_path / "cells"
    expected = {
        "bad": f"failed: error: {missing}: not found ({logs / 'bad.log'})",
        "after": "needs bad, which failed",
        "later": "needs after, which failed",
        "killed": f"failed: ended by SIGKILL ({logs / 'killed.log'})",
    }
    assert study.run().failed == expected
    assert f"bad {expected['bad']}" in capsys.readouterr().out
    assert set(study.done()) == {"good"}

    missing.touch()
    done, number = study.done(), len(study.events())
    assert set(study.run().failed) == {"killed"}
    assert study.done()["good"] == done["good"] and set(study.done()) == {"good", "bad", "after", "later"}
    assert [name for name, event in study.events()[number:] if event == "started"] == [
        "bad",
        "after",
        "later",
        "killed",
    ]


@pytest.mark.parametrize("stop", [lambda pid: os.kill(pid, signal.SIGTERM), lambda pid: os.killpg(pid, signal.SIGINT)])
def test_a_stop_reaches_the_jobs_and_the_same_command_goes_on(tmp_path, stop):
    """SIGTERM to the study, or Ctrl-C, which a terminal sends to all that it has started."""
    jobs = {"long": ((), {"waits_for": tmp_path / "go"}), "next": (("long",), {}), "other": ((), {})}
    study = Study(tmp_path, jobs)
    process = study.start()
    job = study.wait_for("long", "started")
    stop(process.pid)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0 and output == b"stopped\n{}\n", errors
    assert study.events() == [("long", "started"), ("long", "saved")] and not study.done()
    assert not is_running(job["pid"])
    before = float((tmp_path / "cells" / "long.seconds").read_text())
    (tmp_path / "go").touch()
    assert study.run().failed == {} and set(study.done()) == set(jobs)
    assert study.plan.seconds("long") > before > 0


def test_nobody_starts_while_a_job_of_a_killed_runner_still_runs(tmp_path):
    study = Study(tmp_path, {"long": ((), {"waits_for": tmp_path / "go"}), "next": (("long",), {})})
    process = study.start()
    orphan, said = study.wait_for("long", "started"), []
    for _ in range(2):  # first beside the runner, then beside what it left
        with pytest.raises(
            UserError, match=rf"^output={tmp_path / 'cells'}: in use by .*process {process.pid} "
        ) as caught:
            study.run()
        said.append("what is left of" in str(caught.value))
        process.kill()
        process.communicate()
    assert is_running(orphan["pid"]) and len(study.events()) == 1 and said == [False, True]
    (tmp_path / "go").touch()
    assert eventually(study.run).failed == {}
    assert study.events()[1] == ("long", "ended") and set(study.done()) == {"long", "next"}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_an_error_of_its_own_ends_what_runs(tmp_path, monkeypatch):
    """A full disk is said at once, not after the other training's hours."""
    here = tmp_path / "here"
    jobs = {"short": ((), {"waits_for": here}), "long": ((), {"makes": here, "waits_for": tmp_path / "never"})}
    study = Study(tmp_path, jobs)

    def no_space(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(study.plan), "finish", no_space)
    with pytest.raises(OSError, match="No space left"):
        study.run(jobs=2)
    assert ("long", "saved") in study.events() and not is_running(study.wait_for("long", "started")["pid"])


def test_a_stop_before_the_first_cell_runs_nothing(tmp_path):
    study = Study(tmp_path, {"only": ((), {})})
    runner = Runner(study.plan, 1)
    runner._stop.set()
    with pytest.raises(StoppedError):
        runner.run()
    assert not study.events() and runner.failed == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$ python -m x\nerror: no\n\n", "error: no"),
        ("$ python -m x\nTraceback\nValueError: bad\n  \n", "ValueError: bad"),
        ("$ python -m x\n 10%|#  | 1/8\r 20%|## | 2/8\r", "20%|## | 2/8"),
        ("$ python -m x\nerror: old\n$ python -m x\n", "no output"),
        ("", "no output"),
        ("x" * 10_000 + "\nthe end", "the end"),
    ],
)
def test_last_lines(tmp_path, text, expected):
    (tmp_path / "log").write_text(text)
    assert last_line(tmp_path / "log") == expected
