#!/usr/bin/env bash
# Makes the environment and runs the tests: scripts/test.sh [--fast] [pytest arguments]
# --fast leaves out the tests marked slow. A process for each core, four at most, a file of tests in one of them, in the order
# that tests/conftest.py gives them (by itself xdist ends with files of few tests, which are the longest).
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment dev
select=()
if [ "${1:-}" = "--fast" ]; then
  shift
  select=(-m "not slow")
fi
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy
workers=$("$PYTHON" -c "import os; print(min(4, os.cpu_count()))")
exec "$PYTHON" -m pytest -n "$workers" --dist loadfile --no-loadscope-reorder "${select[@]}" "$@"
