#!/usr/bin/env bash
# Some hundred labelled photos on two CPU cores: records, training, scores, report.
#   scripts/run_photos.sh METHOD SET FOLDER START_WEIGHTS [further flags of e2wsol.train]
# METHOD is e2net, bas, mnpo or dgl; SET is cub10 (ten classes of CUB-200-2011) or animals (twelve of Caltech-101, with
# outlines); START_WEIGHTS is an .npz of MobileNetV1, or none.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment ""
source scripts/photo_records.sh
source scripts/train_evaluate_report.sh
[ $# -ge 4 ] || { echo "usage: scripts/run_photos.sh METHOD SET FOLDER START_WEIGHTS [flags]" >&2; exit 2; }
photo_records "$2" "$3"
train_evaluate_report "${RUN:-runs/$1_$2}" --flagfile="flags/$1_mobilenet_v1_$2.cfg" --backbone_weights="$4" "${@:5}"
