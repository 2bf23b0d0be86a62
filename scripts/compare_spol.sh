#!/usr/bin/env bash
# CAM, BAS and SPOL's two maps on photos: same backbone, start weights and protocol. Prints the table of
# docs/results.md; finished runs are kept. The Top-1 Loc of SPOL takes its own classifier's classes.
#   scripts/compare_spol.sh SET FOLDER START_WEIGHTS [SEEDS...]
# SET, FOLDER and START_WEIGHTS as for scripts/run_photos.sh.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment ""
source scripts/photo_records.sh
source scripts/spol_stages.sh
[ $# -ge 3 ] || { echo "usage: scripts/compare_spol.sh SET FOLDER START_WEIGHTS [SEEDS...]" >&2; exit 2; }
photos=$1 folder=$2 weights=$3
shift 3
[ $# -gt 0 ] || set -- 0 1 2
scripts/compare_photos.sh "$photos" "$folder" "$weights" "$@" >/dev/null
runs=runs/compare_$photos
for seed in "$@"; do
  spol "$runs/spol_%s-seed$seed" "records/$photos" "records/${photos}_spol-seed$seed" \
    "flags/spol_%s_mobilenet_v1_$photos.cfg" "" --backbone_weights="$weights" --seed="$seed"
done
"$PYTHON" benchmarks/compare_runs.py "$runs"
