"""Environments of their own, in which tests run packages that are not installed here.

An environment is made once for a list of packages and kept in the folder for temporary files.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def python_of(name, packages, *, alone=()):
    """The Python of an environment; skips the test where it cannot be made.

    Args:
      name: what messages and the folder call it.
      packages: what pip installs.
      alone: likewise, without what they depend on.
    """
    key = hashlib.sha256(" ".join((sys.version, *packages, *alone)).encode()).hexdigest()[:12]
    folder = pathlib.Path(tempfile.gettempdir()) / f"e2wsol-{name}-{key}"
    python, finished = folder / "bin" / "python", folder / "finished"
    if not finished.exists():
        # The base interpreter: an environment made from an environment would not be its own.
        base = pathlib.Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        subprocess.run([base, "-m", "venv", "--clear", folder], check=True, capture_output=True)
        for options in (packages, ("--no-deps", *alone) if alone else ()):
            if options:
                done = subprocess.run([python, "-m", "pip", "install", "-q", *options], capture_output=True, text=True)
                if done.returncode:
                    pytest.skip(f"pip cannot install {name}: {done.stderr.strip().splitlines()[-1]}")
        finished.touch()
    return python


def variables(**more):
    """This process's environment variables, without what leads to its own packages."""
    others = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "VIRTUAL_ENV")}
    return others | {"CUDA_VISIBLE_DEVICES": "", **more}
