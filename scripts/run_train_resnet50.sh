#!/usr/bin/env bash
# E2Net on ResNet50-SE as released: trains, evaluates, writes the report.
#   scripts/run_train_resnet50.sh [cub|ilsvrc] [further flags of e2wsol.train]
# Records come from scripts/prepare_cub.sh or scripts/prepare_imagenet.sh.
# Start weights of ResNets come from scripts/prepare_weights.sh (resnet50_se_tensorpack).
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment ""
source scripts/train_evaluate_report.sh
released e2net_resnet50_se "$@"
