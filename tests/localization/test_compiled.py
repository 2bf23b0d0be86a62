import os
import pathlib
import shutil
import subprocess
import sys

from e2wsol.localization import compiled


def run_kernel(folder, **environment):
    """Calls a kernel of a module of its own in `folder`, in a fresh process."""
    shutil.copy(compiled.__file__, folder / "how.py")
    (folder / "kernel.py").write_text("from how import compiled\n\n\n@compiled\ndef twice(x):\n    return 2 * x\n")
    environment = {"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/dev/null/home", **environment}
    script = "import kernel; print(kernel.twice(21), kernel.twice.stats.cache_path)"
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**{name: os.environ[name] for name in ("PATH",)}, **environment},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    value, path = result.stdout.split(maxsplit=1)
    return int(value), path.strip()


def test_machine_code_is_kept_beside_the_source(tmp_path):
    assert run_kernel(tmp_path) == (42, str(tmp_path / "__pycache__"))
    assert list((tmp_path / "__pycache__").glob("kernel.twice*"))


def test_machine_code_is_kept_elsewhere_where_the_source_cannot_be_written_beside(tmp_path):
    """A file where the folder should be: it cannot be made, and not even root can write to it."""
    (tmp_path / "__pycache__").write_text("")
    value, path = run_kernel(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert value == 42 and pathlib.Path(path).is_relative_to(tmp_path / "cache")


def test_kernels_work_where_nothing_can_be_kept(tmp_path):
    (tmp_path / "__pycache__").write_text("")
    assert run_kernel(tmp_path, XDG_CACHE_HOME="/dev/null/cache") == (42, "None")
