# Sourced by the other scripts: makes .venv with the project in it, once, and points $PYTHON at it.
# A finished environment is left alone until setup.py changes; with PYTHON set that one is used instead.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export PYTHONUNBUFFERED=1

environment() {
  local extras=$1 stamp
  [ -z "${PYTHON:-}" ] || return 0
  stamp=".venv/installed-${extras:-base}-$(cksum <setup.py | cut -d' ' -f1)"
  if [ ! -f "$stamp" ]; then
    echo "== making the environment in .venv (TensorFlow is about 600 MB)"
    [ -x .venv/bin/python ] || "${BASE_PYTHON:-python3}" -m venv .venv || exit 1
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".${extras:+[$extras]}" || exit 1
    touch "$stamp"
  fi
  PYTHON=.venv/bin/python
}
