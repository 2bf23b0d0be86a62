#!/usr/bin/env bash
# Our side of docs/originals.md: BAS on ten classes of CUB-200-2011 with the settings that its authors' code was run with.
#   scripts/beside_bas.sh FOLDER START_WEIGHTS [SEEDS...]
# FOLDER holds the ten classes in CUB's layout; START_WEIGHTS is an .npz of MobileNetV1. Finished runs are kept.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment ""
source scripts/photo_records.sh
[ $# -ge 2 ] || { echo "usage: scripts/beside_bas.sh FOLDER START_WEIGHTS [SEEDS...]" >&2; exit 2; }
photo_records cub10 "$1"
weights=$2
shift 2
[ $# -gt 0 ] || set -- 0 1
for seed in "$@"; do
  run=runs/beside_bas/seed$seed
  [ -f "$run/result.json" ] && continue
  "$PYTHON" -m e2wsol.train --flagfile=flags/bas_mobilenet_v1_cub10.cfg --backbone_weights="$weights" \
    --epochs=14 --bas_warmup_epochs=7 --learning_rate_steps= --protocol=bas --resize_filter=antialias \
    --seed="$seed" --run_dir="$run"
  "$PYTHON" -m e2wsol.evaluate --run_dir="$run" --protocol=bas
done
