#!/usr/bin/env bash
# A released setting, by the name of its flagfile: trains, evaluates, writes the report.
#   scripts/run_released.sh dgl_vgg16|dgl_inception_v3|dgl_resnet50|dgl_resnet50_se|mnpo_vgg16|mnpos_vgg16|e2net_paper_vgg \
#     [cub|ilsvrc] [further flags of e2wsol.train]
# Records come from scripts/prepare_cub.sh or scripts/prepare_imagenet.sh.
# Start weights of ResNets come from scripts/prepare_weights.sh (resnet50_tensorpack, resnet50_se_tensorpack).
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment ""
source scripts/train_evaluate_report.sh
[ $# -ge 1 ] || { echo "usage: scripts/run_released.sh NAME [cub|ilsvrc] [flags]" >&2; exit 2; }
[ -f "flags/$1.cfg" ] || { echo "error: $1: no flags/$1.cfg" >&2; exit 2; }
released "$@"
