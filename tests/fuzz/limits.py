"""Child processes with little memory and time, which hostile input must not use up."""

import os
import pathlib
import resource
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
MEMORY, SECONDS = 3 << 30, 60


def limited(*arguments, memory=MEMORY):
    """Runs `python ARGUMENTS` with a bound on its address space; the finished process, its output as text."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
