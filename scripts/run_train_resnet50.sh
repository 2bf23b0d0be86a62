#!/usr/bin/env bash
# E2Net on ResNet50-SE as released: trains, evaluates, writes the report.
#   scripts/run_train_resnet50.sh [cub|ilsvrc] [further flags of e2wsol.train]
# Records come from scripts/prepare_cub.sh or scripts/prepare_imagenet.sh.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment ""
source scripts/train_evaluate_report.sh
dataset=${1:-cub}
case $dataset in
  cub) flagfile=flags/e2net_resnet50_se.cfg ;;
  ilsvrc) flagfile=flags/e2net_resnet50_se_ilsvrc.cfg ;;
  *) echo "error: $dataset: unknown data set; give cub or ilsvrc" >&2; exit 2 ;;
esac
train_evaluate_report "runs/e2net_resnet50_se_$dataset" --flagfile=$flagfile --data_dir="records/$dataset" "${@:2}"
