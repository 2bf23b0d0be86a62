"""Runs a study's cells, some at a time, each in processes of its own; goes on where it was stopped."""

import contextlib
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import threading
import time
from concurrent import futures

from e2wsol import folder_lock, terminal
from e2wsol.studies.cells import Plan

_LAST_WORDS = 4000  # bytes of a log in which the reason of a failure is looked for
_COMMAND = "$ "  # what the line of a log begins with that names the command


class StoppedError(Exception):
    """The study was asked to stop."""


class Runner:
    """Runs cells.

    Args:
      plan: Plan.
      jobs: cells at a time; each gets its share of the processor's cores.

    Attributes:
      failed: {name of a cell: why it has no result}.
    """

    def __init__(self, plan: Plan, jobs: int):
        self.plan = plan
        self.failed: dict[str, str] = {}
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        jobs = max(1, min(jobs, len(cores) or 1))
        self._shares = [cores[index::jobs] for index in range(jobs)]
        self._processes: set[subprocess.Popen] = set()
        self._stop = threading.Event()
        self._lock = -1

    def run(self) -> None:
        """Runs what is not finished; what fails is noted, and what needs it is left out.

        Raises:
          StoppedError: SIGTERM or SIGINT came; trainings saved where they were.
          UserError: another process is at work in the study's folder, or a cell was finished by other commands.
        """
        cells = self.plan.cells()
        with folder_lock.held(self.plan.folder / "cells", "output") as self._lock, self._stopping():
            done = {cell.name for cell in cells if self.plan.is_done(cell)}
            waiting = [cell for cell in cells if cell.name not in done]
            with terminal.ProgressBar(len(cells), self.plan.suite.name, "cell", initial=len(done)) as bar:
                self._work(waiting, done, bar)
        if self._stop.is_set():
            raise StoppedError

    def _work(self, waiting, done, bar):
        """Starts every cell as soon as there is a share of the cores for it and what it needs is done."""
        running, shares = {}, list(self._shares)
        with futures.ThreadPoolExecutor(len(shares)) as pool, self._stopped_by_errors():
            while True:
                waiting = self._without_lost(waiting, bar)
                ready = [cell for cell in waiting if done.issuperset(cell.needs)]
                while ready and shares and not self._stop.is_set():
                    cell, share = ready.pop(0), shares.pop(0)
                    waiting.remove(cell)
                    running[pool.submit(self._run, cell, share)] = cell, share
                if not running:
                    return
                bar.set_postfix_str(", ".join(cell.name for cell, _ in running.values()))
                for future in futures.wait(running, return_when=futures.FIRST_COMPLETED).done:
                    cell, share = running.pop(future)
                    shares.append(share)
                    if self._ended(cell, future.result()):
                        done.add(cell.name)
                    bar.update(not self._stop.is_set())

    def _without_lost(self, waiting, bar):
        """The waiting cells but those that need a failed one, which fail, too."""
        kept = []
        for cell in waiting:
            lost = [name for name in cell.needs if name in self.failed]
            if lost:
                self.failed[cell.name] = f"needs {lost[0]}, which failed"
                bar.update()
            else:
                kept.append(cell)
        return kept

    def _ended(self, cell, seconds):
        """Whether a cell has its result; a failed one is noted."""
        log = self.plan.log_file(cell.name)
        why = last_line(log) if seconds is None else self.plan.unfinished(cell)
        if not why:
            self.plan.finish(cell, seconds)
        elif not self._stop.is_set():
            self.failed[cell.name] = f"failed: {why} ({log})"
            terminal.say(f"{cell.name} {self.failed[cell.name]}")
        return not why

    def _run(self, cell, cores):
        """Runs a cell's commands; returns its seconds, None where one failed or all was stopped."""
        start = time.monotonic()
        if cores:
            os.sched_setaffinity(0, cores)  # of this thread, which its processes inherit from their first instruction
        with open(self.plan.log_file(cell.name), "ab") as log:
            finished = all(self._call([sys.executable, "-m", *command], log) == 0 for command in cell.commands)
        seconds = self.plan.spend(cell, time.monotonic() - start)
        return seconds if finished and not self._stop.is_set() else None

    def _call(self, command, log):
        """Runs a command; returns its exit status, None where all was stopped before."""
        if self._stop.is_set():
            return None
        log.write(f"{_COMMAND}{shlex.join(command)}\n".encode())
        log.flush()
        # The lock's file stays open in it: nobody else starts here before the last training has ended.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(self._lock,),
        )
        self._processes.add(process)
        if self._stop.is_set():  # which may have come before the process was known
            process.terminate()
        status = process.wait()
        self._processes.discard(process)
        if status < 0:  # it had no last words
            log.write(f"ended by {signal.Signals(-status).name}\n".encode())
        return status

    def _halt(self):
        """Lets nothing more start, and what runs save and end."""
        self._stop.set()
        for process in list(self._processes):
            process.terminate()

    @contextlib.contextmanager
    def _stopped_by_errors(self):
        """An error here, a full disk for one, ends what runs at once rather than after its hours."""
        try:
            yield
        except BaseException:
            self._halt()
            raise

    @contextlib.contextmanager
    def _stopping(self):
        """Hands SIGTERM and SIGINT on to what runs."""

        def stop(number, frame):
            self._halt()

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def last_line(log: pathlib.Path) -> str:
    """The last line of a log that its command wrote."""
    with open(log, "rb") as file:
        file.seek(max(0, os.path.getsize(log) - _LAST_WORDS))
        lines = file.read().decode(errors="replace").replace("\r", "\n").splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), _COMMAND)
    return "no output" if last.startswith(_COMMAND) else last
