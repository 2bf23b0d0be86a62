#!/usr/bin/env bash
# CAM and BAS on photos: same backbone, start weights, budget and protocol. Prints the table of docs/results.md;
# finished runs are kept.
#   scripts/compare_photos.sh SET FOLDER START_WEIGHTS [SEEDS...]
# SET, FOLDER and START_WEIGHTS as for scripts/run_photos.sh.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment ""
source scripts/photo_records.sh
[ $# -ge 3 ] || { echo "usage: scripts/compare_photos.sh SET FOLDER START_WEIGHTS [SEEDS...]" >&2; exit 2; }
photos=$1 weights=$3
photo_records "$1" "$2"
shift 3
[ $# -gt 0 ] || set -- 0 1 2
for seed in "$@"; do
  for method in cam bas; do
    run=runs/compare_$photos/$method-seed$seed
    [ -f "$run/result.json" ] && continue
    "$PYTHON" -m e2wsol.train --flagfile="flags/bas_mobilenet_v1_$photos.cfg" --backbone_weights="$weights" \
      --method="$method" --seed="$seed" --run_dir="$run"
    "$PYTHON" -m e2wsol.evaluate --run_dir="$run"
  done
done
"$PYTHON" benchmarks/compare_runs.py "runs/compare_$photos"
