#!/usr/bin/env bash
# BAS as released, on one of its four backbones: trains, evaluates, writes the report.
#   scripts/run_train_bas.sh vgg16|mobilenet_v1|resnet50|inception_v3 [cub|ilsvrc] [further flags of e2wsol.train]
# vgg16_released, mobilenet_v1_released, inception_v3_released start from the release's own files.
# Records come from scripts/prepare_cub.sh or scripts/prepare_imagenet.sh, start weights from scripts/prepare_weights.sh.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment ""
source scripts/train_evaluate_report.sh
[ $# -ge 1 ] || { echo "usage: scripts/run_train_bas.sh BACKBONE [cub|ilsvrc] [flags]" >&2; exit 2; }
released "bas_$1" "${@:2}"
