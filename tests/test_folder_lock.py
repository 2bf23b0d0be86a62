"""The lock between real processes, and its lease between machines that are made up."""

import dataclasses
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from e2wsol import folder_lock
from e2wsol.errors import ArgumentError

HOLD = """
import sys
from e2wsol import folder_lock
with folder_lock.held(sys.argv[1], "output"):
    print("held", flush=True)
    sys.stdin.readline()
"""
NAME = ".e2wsol.lock"


def holder(folder):
    """A process that holds the lock of the folder until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def end(process):
    process.stdin.close()
    process.stdout.close()
    return process.wait(10)


def refused(folder):
    with pytest.raises(ArgumentError) as caught, folder_lock.held(folder, "output"):
        pass
    return str(caught.value)


@pytest.fixture
def short_lease(monkeypatch):
    monkeypatch.setattr(folder_lock, "_LEASE", 0.5)


def elsewhere(folder, **changes):
    """Writes the lock of a process on another machine."""
    values = dict(command="python -m e2wsol.train", pid=7, started="1", host="b", boot="other", since=0.0, token="t")
    text = json.dumps(dataclasses.asdict(folder_lock.Holder(**(values | changes))))
    (folder / NAME).write_text(text)


def test_the_folder_is_made_and_goes_where_it_stays_empty(tmp_path):
    folder = tmp_path / "a" / "b"
    with folder_lock.held(folder, "output"):
        assert os.listdir(folder) == [NAME]
    assert os.listdir(tmp_path) == []
    with folder_lock.held(folder, "output"):
        (folder / "file").touch()
    assert os.listdir(folder) == ["file"]


def test_a_second_process_is_told_who_the_first_is_and_may_follow_it(tmp_path):
    process = holder(tmp_path)
    since = time.strftime("%H:%M", time.localtime(os.stat(tmp_path / NAME).st_ctime))
    found = refused(tmp_path)
    assert found.startswith(f"output={tmp_path}: in use by -c, process")
    assert f"process {process.pid} on host {os.uname().nodename} since {since}" in found
    assert found.endswith("; wait for its end, stop it, or give another folder")
    with folder_lock.held(tmp_path, "output", of="evaluate"):  # another lock of the same folder
        pass
    assert end(process) == 0
    with folder_lock.held(tmp_path, "output"):
        assert "process" in refused(tmp_path)  # of this very process, too


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_holder_leaves_no_shut_lock(tmp_path, sent):
    process = holder(tmp_path)
    process.send_signal(sent)
    process.wait()
    end(process)
    assert os.listdir(tmp_path) == [NAME]
    with folder_lock.held(tmp_path, "output"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_process_that_was_given_the_lock_keeps_it(tmp_path):
    with folder_lock.held(tmp_path, "output") as descriptor:
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(descriptor,))
        (tmp_path / NAME).rename(tmp_path / "kept")  # as if this process had been killed
    (tmp_path / "kept").rename(tmp_path / NAME)
    assert "in use by" in refused(tmp_path)
    child.stdin.close()
    child.wait()
    with folder_lock.held(tmp_path, "output"):
        pass


def test_of_many_that_start_at_once_one_holds_it_at_any_time(tmp_path):
    inside, errors, done = [], [], []

    def work():
        while len(done) < 40:
            try:
                with folder_lock.held(tmp_path / "made", "output"):
                    inside.append(1)
                    if len(inside) != 1:
                        errors.append(len(inside))
                    time.sleep(0.001)
                    inside.pop()
                    done.append(1)
            except ArgumentError:
                time.sleep(0.001)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(done) >= 40 and not list(tmp_path.rglob(NAME))


def test_a_machine_that_shows_no_sign_of_life_loses_the_lock(tmp_path, short_lease, capsys):
    elsewhere(tmp_path)
    with folder_lock.held(tmp_path, "output"):
        pass
    assert "process 7 on host b" in capsys.readouterr().err


def test_a_machine_that_shows_one_keeps_it(tmp_path, short_lease):
    elsewhere(tmp_path)
    timer = threading.Timer(0.2, elsewhere, (tmp_path,), {"beat": 1})
    timer.start()
    assert "in use by python -m e2wsol.train, process 7 on host b since" in refused(tmp_path)
    timer.join()


def test_a_lock_of_this_machine_without_its_process_is_free_at_once(tmp_path):
    elsewhere(tmp_path, boot=folder_lock._boot())
    start = time.monotonic()
    with folder_lock.held(tmp_path, "output"):
        assert time.monotonic() - start < 1


@pytest.mark.parametrize("lives", [True, False])
def test_without_flock_the_file_decides(tmp_path, monkeypatch, lives):
    def none(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    started = folder_lock._started(os.getpid())
    elsewhere(tmp_path, boot=folder_lock._boot(), pid=os.getpid(), started=started if lives else "1")
    if lives:
        assert f"process {os.getpid()}" in refused(tmp_path)
    else:
        with folder_lock.held(tmp_path, "output"):
            assert "in use by" in refused(tmp_path)


@pytest.mark.parametrize("text", ["", "{", '{"pid": 3}', "[]", "null"])
def test_a_broken_lock_file_is_free(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    with folder_lock.held(tmp_path, "output"):
        assert json.loads((tmp_path / NAME).read_text())["pid"] == os.getpid()


def test_a_process_that_lost_the_lock_ends(tmp_path):
    process = holder(tmp_path)
    elsewhere(tmp_path)
    assert process.wait(15) == 2
    end(process)


def test_signs_of_life_come(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "_FIRST_REFRESH", 0.05)
    monkeypatch.setattr(folder_lock, "_REFRESH", 0.05)
    with folder_lock.held(tmp_path, "output"):
        deadline = time.monotonic() + 10
        while json.loads((tmp_path / NAME).read_text() or '{"beat": 0}')["beat"] < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file") == f"output={tmp_path / 'file'}: is no folder; give a folder"
    assert refused(tmp_path / "file" / "below").endswith("is no folder; give a folder")
