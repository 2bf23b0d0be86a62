#!/usr/bin/env bash
# One trained CAM classifier under every localizer and layer, and MNPO and MNPOs beside it, on photos. Prints the
# tables of docs/results.md; finished runs are kept.
#   scripts/compare_localizers.sh SET FOLDER START_WEIGHTS [SEEDS...]
# SET, FOLDER and START_WEIGHTS as for scripts/run_photos.sh.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment ""
source scripts/photo_records.sh
[ $# -ge 3 ] || { echo "usage: scripts/compare_localizers.sh SET FOLDER START_WEIGHTS [SEEDS...]" >&2; exit 2; }
photos=$1 weights=$3
photo_records "$1" "$2"
shift 3
[ $# -gt 0 ] || set -- 0 1 2
for seed in "$@"; do
  for method in cam mnpo mnpos; do
    run=runs/compare_$photos/$method-seed$seed
    # CAM's training is the same under either flagfile (scripts/compare_photos.sh has it, too).
    flags=flags/mnpo_mobilenet_v1_$photos.cfg
    if [ ! -f "$run/result.json" ]; then
      "$PYTHON" -m e2wsol.train --flagfile="$flags" --backbone_weights="$weights" --method="$method" --seed="$seed" \
        --run_dir="$run"
      "$PYTHON" -m e2wsol.evaluate --run_dir="$run"
    fi
  done
  run=runs/compare_$photos/cam-seed$seed
  [ -f "$run/localizers/dgl/layers.json" ] ||
    "$PYTHON" -m e2wsol.evaluate --run_dir="$run" --localizer=cam,gradcam,gradcampp,layercam,dgl --layer=all
done
"$PYTHON" benchmarks/compare_runs.py "runs/compare_$photos"
"$PYTHON" benchmarks/compare_layers.py "runs/compare_$photos"
