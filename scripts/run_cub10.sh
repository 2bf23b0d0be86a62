#!/usr/bin/env bash
# Ten classes of CUB-200-2011: records, training, scores, report.
#   scripts/run_cub10.sh FOLDER START_WEIGHTS [further flags of e2wsol.train]
# FOLDER holds images.txt, bounding_boxes.txt, ...; START_WEIGHTS is an .npz of MobileNetV1, or none.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment ""
source scripts/train_evaluate_report.sh
[ $# -ge 2 ] || { echo "usage: scripts/run_cub10.sh FOLDER START_WEIGHTS [flags]" >&2; exit 2; }
"$PYTHON" -m tfrecords.build --source=cub --input="$1" --output=records/cub10 --holdout=0.15 --store=resized --short_side=256
train_evaluate_report "${RUN:-runs/e2net_cub10}" --flagfile=flags/e2net_mobilenet_v1_cub10.cfg --backbone_weights="$2" "${@:3}"
