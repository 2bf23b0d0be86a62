#!/usr/bin/env bash
# A folder of labelled photos with outlines (12 animals of Caltech-101): records, training, scores, report.
#   scripts/run_animals.sh FOLDER START_WEIGHTS [further flags of e2wsol.train]
# FOLDER holds images/, boxes.csv and contours.json; START_WEIGHTS is an .npz of MobileNetV1, or none.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment ""
source scripts/train_evaluate_report.sh
[ $# -ge 2 ] || { echo "usage: scripts/run_animals.sh FOLDER START_WEIGHTS [flags]" >&2; exit 2; }
"$PYTHON" -m tfrecords.build --source=folder --input="$1" --output=records/animals --holdout=0.15 --store=resized --short_side=256
train_evaluate_report "${RUN:-runs/e2net_animals}" --flagfile=flags/e2net_mobilenet_v1_animals.cfg --backbone_weights="$2" "${@:3}"
