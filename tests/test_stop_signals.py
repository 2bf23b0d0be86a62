"""SIGTERM and Ctrl-C at many moments of many commands: a stated status, one line, no traceback."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from made_runs import TINY

from e2wsol import stop_signals, terminal
from e2wsol.__main__ import COMMANDS

STATUS = {signal.SIGTERM: 4, signal.SIGINT: 130}
LINE = {signal.SIGTERM: "stopped by SIGTERM", signal.SIGINT: "interrupted"}
SIGNALS = pytest.mark.parametrize("sent", STATUS, ids=lambda sent: sent.name)
PATIENCE = 240


class Command:
    """A process of a command at the head of a group of its own, whose words go to a file.

    Args:
      folder: for the file.
      module: what `python -m` runs.
      arguments: the command's, and before them options of Python.
    """

    def __init__(self, folder, module, *arguments, python=()):
        self.file = folder / "said"
        self.file.touch()
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONUNBUFFERED": "1"}
        with open(self.file, "wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, *python, "-m", module, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=environment,
                start_new_session=True,
            )

    def wait_for(self, here):
        """Returns as soon as here(what was said) is true."""
        deadline = time.monotonic() + PATIENCE
        while not here(self.said):
            assert self.process.poll() is None and time.monotonic() < deadline, self.said
            time.sleep(0.005)

    @property
    def said(self):
        return self.file.read_text(errors="replace")

    def ends(self, sent, everyone=False):
        """Sends a signal, to the whole group as a terminal does or to the process alone; checks how it ends."""
        (os.killpg if everyone else os.kill)(self.process.pid, sent)
        try:
            assert self.process.wait(PATIENCE) == STATUS[sent], self.said
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        assert "Traceback" not in self.said and "Error" not in self.said
        ours = [line for line in self.said.replace("\r", "\n").splitlines() if line.startswith(LINE[sent])]
        return ours[0] if len(ours) == 1 else ours


@SIGNALS
@pytest.mark.parametrize("module", COMMANDS.values())
def test_at_the_first_import(tmp_path, module, sent):
    command = Command(tmp_path, module, python=("-X", "importtime"))
    command.wait_for(lambda said: "| e2wsol\n" in said or "|   e2wsol\n" in said)
    assert command.ends(sent) == f"{LINE[sent]} before it began; nothing was lost"


@pytest.mark.slow
@SIGNALS
def test_while_tensorflow_is_imported(tmp_path, sent):
    command = Command(tmp_path, "e2wsol.train", python=("-X", "importtime"))
    command.wait_for(lambda said: " e2wsol.cli\n" in said)
    time.sleep(0.7)
    assert command.ends(sent) == f"{LINE[sent]} before it began; nothing was lost"


@pytest.mark.slow
@SIGNALS
def test_while_a_training_is_set_up(tiny_records, tmp_path, sent):
    """Behind its first words come the logs' files and the tracing of a step."""
    run_dir = tmp_path / "run"
    command = Command(tmp_path, "e2wsol.train", f"--data_dir={tiny_records}", f"--run_dir={run_dir}", *TINY)
    command.wait_for(lambda said: "start weights: none" in said)
    command.ends(sent, everyone=True)
    assert "stopped by SIGTERM" in command.said or "interrupted; what is finished is kept" in command.said
    assert not list(run_dir.rglob(".*"))  # neither lock nor half file


@pytest.mark.slow
@SIGNALS
def test_in_an_evaluation(tiny_run, tmp_path, sent):
    flags = (f"--run_dir={tiny_run}", "--batch_size=1", "--split=train", "--protocol=maxboxaccv2")
    command = Command(tmp_path, "e2wsol.evaluate", *flags)
    command.wait_for(lambda said: "picture" in said)
    assert command.ends(sent, everyone=True) == f"{LINE[sent]}; what is finished is kept"
    assert not list(tiny_run.rglob(".*"))


@pytest.mark.slow
@SIGNALS
def test_in_a_build_with_workers(tmp_path, sent):
    output = tmp_path / "records"
    sizes = ("--synthetic_train=3000", "--synthetic_classes=3", "--shard_pictures=50", "--workers=2")
    command = Command(tmp_path, "tfrecords.build", "--source=synthetic", f"--output={output}", *sizes)
    command.wait_for(lambda said: (output / "train-00000-of-00060.tfrecord").exists())
    assert command.ends(sent, everyone=True) == f"{LINE[sent]}; what is finished is kept"
    assert (output / "progress.json").exists() and not list(output.glob(".*"))


@pytest.mark.slow
@SIGNALS
def test_at_the_start_of_a_builds_workers(tmp_path, sent):
    """While they import what they need."""
    output = tmp_path / "records"
    flags = ("--source=synthetic", f"--output={output}", "--synthetic_train=60", "--workers=2")
    command = Command(tmp_path, "tfrecords.build", *flags)
    command.wait_for(lambda said: (output / "progress.json").exists())
    assert command.ends(sent, everyone=True) == f"{LINE[sent]}; what is finished is kept"


@pytest.mark.slow
@SIGNALS
def test_a_data_service(tmp_path, sent):
    command = Command(tmp_path, "e2wsol.data_service", "--port=0", "--host=localhost")
    command.wait_for(lambda said: "serving on" in said)
    assert command.ends(sent) == f"{LINE[sent]}; what is finished is kept"


def swallowed():
    with contextlib.suppress(KeyboardInterrupt):
        yield


def made_another():
    try:
        yield
    except KeyboardInterrupt:
        raise SystemError("returned a result with an exception set") from None


@SIGNALS
@pytest.mark.parametrize("lost", [swallowed, made_another])
@pytest.mark.parametrize("steps", [0, 1])
def test_a_signal_whose_exception_a_library_loses(sent, lost, steps):
    """TensorFlow does both where its C++ calls Python."""
    with pytest.raises(KeyboardInterrupt) as stopped, stop_signals.raised():
        with contextlib.contextmanager(lost)():
            os.kill(os.getpid(), sent)
            time.sleep(5)
        for _ in range(steps):
            terminal.ProgressBar(3, "train", "step", disable=True).update()
            raise AssertionError("goes on")
    assert stop_signals.ended_by(stopped.value)[1] == STATUS[sent]
    stop_signals.check()  # it is done with
    with stop_signals.raised():
        stop_signals.check()


class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def test_a_signal_in_a_destructor(capfd):
    """Python itself prints and drops what it raises."""
    with pytest.raises(stop_signals.Stopped), stop_signals.raised():
        Dying()
        terminal.ProgressBar(3, "train", "step", disable=True).update()
    assert capfd.readouterr().err == ""


def test_an_ignored_signal_stays_ignored():
    """Of what a shell starts in the background, and by nohup."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(stop_signals.Stopped), stop_signals.raised():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
    finally:
        signal.signal(signal.SIGINT, before)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
