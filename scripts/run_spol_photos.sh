#!/usr/bin/env bash
# SPOL on some hundred labelled photos, two CPU cores: records, all stages, scores, report. Started again it goes on
# where it was.
#   scripts/run_spol_photos.sh SET FOLDER START_WEIGHTS [SEED [further flags of e2wsol.train, for all three trainings]]
# SET, FOLDER and START_WEIGHTS as for scripts/run_photos.sh.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment ""
source scripts/photo_records.sh
source scripts/spol_stages.sh
[ $# -ge 3 ] || { echo "usage: scripts/run_spol_photos.sh SET FOLDER START_WEIGHTS [SEED [flags]]" >&2; exit 2; }
photos=$1 seed=${4:-0}
photo_records "$photos" "$2"
spol "runs/spol_$photos/%s-seed$seed" "records/$photos" "records/${photos}_spol-seed$seed" \
  "flags/spol_%s_mobilenet_v1_$photos.cfg" "" --backbone_weights="$3" --seed="$seed" "${@:5}"
