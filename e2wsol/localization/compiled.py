"""How the package's kernels are compiled.

numba compiles a kernel at its first call, a second or so each, and keeps the machine code in the
__pycache__ folder beside the source, in a folder of its own under the user's cache directory where
that one cannot be written, or where NUMBA_CACHE_DIR says. Where none of them can be written, a
process compiles for itself.

What is kept is made anew when the kernel's own file changes: kernels that call each other share one.
"""

from collections.abc import Callable
from typing import Any

import numba


def compiled(kernel: Callable) -> Any:
    """Decorator: `kernel` as machine code that lets other threads run and does not check its indices."""
    options: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(kernel)
    except RuntimeError:  # no folder for the machine code
        return numba.njit(**options)(kernel)
