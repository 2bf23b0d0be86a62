"""Studies of tiny jobs in place of trainings, for the tests of the runner; as a program, it runs one.

python made_jobs.py FOLDER JOBS: the study whose cells are FOLDER/cells_to_run.json, as e2wsol.study runs its own.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time

import made_plans

from e2wsol.studies.cells import Cell, Plan
from e2wsol.studies.runner import Runner, StoppedError

PATIENCE = 20  # seconds until what is waited for counts as never coming

# It notes what it does in the journal, a line each; SIGTERM makes it save and end well, as a training does.
_JOB = """
import json, os, pathlib, signal, sys, time

journal, name, actions = sys.argv[1], sys.argv[2], dict(argument.split("=", 1) for argument in sys.argv[3:])

def note(event):
    facts = {"name": name, "event": event, "pid": os.getpid(), "cores": sorted(os.sched_getaffinity(0))}
    with open(journal, "a") as file:
        file.write(json.dumps(facts) + "\\n")

def save(number, frame):
    note("saved")
    sys.exit(0)

signal.signal(signal.SIGTERM, save)
signal.signal(signal.SIGINT, lambda number, frame: note("interrupted"))
note("started")
if "makes" in actions:
    pathlib.Path(actions["makes"]).touch()
end = time.monotonic() + 60
while "waits_for" in actions and not os.path.exists(actions["waits_for"]) and time.monotonic() < end:
    time.sleep(0.01)
if "kill" in actions:
    os.kill(os.getpid(), signal.SIGKILL)
if "needs_file" in actions and not os.path.exists(actions["needs_file"]):
    print("  0%|          | 0/8", end="\\r")
    sys.exit("error: " + actions["needs_file"] + ": not found")
note("ended")
"""


@dataclasses.dataclass(frozen=True)
class MadePlan(Plan):
    """A Plan of other cells."""

    made: tuple = ()

    def cells(self):
        return list(self.made)


class Study:
    """A study of jobs in a folder.

    Args:
      folder: an empty one.
      jobs: {name of a cell: (names of those that it needs, flags of its job)}.
    """

    def __init__(self, folder, jobs):
        self.folder = folder
        (folder / "made_job.py").write_text(_JOB)
        journal = str(folder / "journal")
        made = [
            [name, [["made_job", journal, name, *[f"{key}={value}" for key, value in flags.items()]]], needs]
            for name, (needs, flags) in jobs.items()
        ]
        (folder / "cells_to_run.json").write_text(json.dumps(made))
        self.plan = plan_of(folder)

    def start(self, jobs=1):
        """The study in a process and a group of its own, as a terminal starts it."""
        command = [sys.executable, __file__, str(self.folder), str(jobs)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def run(self, jobs=1):
        """Runs the study here; returns its Runner."""
        runner = Runner(self.plan, jobs)
        runner.run()
        return runner

    def journal(self):
        file = self.folder / "journal"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def events(self):
        return [(entry["name"], entry["event"]) for entry in self.journal()]

    def wait_for(self, *event):
        """The entry of the journal, as soon as it is there."""
        return eventually(lambda: next(entry for entry in self.journal() if (entry["name"], entry["event"]) == event))

    def done(self):
        """{name of a finished cell: its file's content and time}."""
        return {
            path.stem: (path.read_text(), path.stat().st_mtime_ns) for path in (self.folder / "cells").glob("*.json")
        }


def plan_of(folder):
    made = json.loads((folder / "cells_to_run.json").read_text())
    cells = tuple(Cell(name, tuple(map(tuple, commands)), tuple(needs)) for name, commands, needs in made)
    plan = made_plans.plan(folder)
    return MadePlan(**{field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}, made=cells)


def eventually(get):
    """What get() returns as soon as it does without an error."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return get()
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def main(folder, jobs):
    runner = Runner(plan_of(pathlib.Path(folder)), int(jobs))
    try:
        runner.run()
    except StoppedError:
        print("stopped")
    print(json.dumps(runner.failed))


if __name__ == "__main__":
    main(*sys.argv[1:])
