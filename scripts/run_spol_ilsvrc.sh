#!/usr/bin/env bash
# SPOL as released on ImageNet, all stages: class maps, pseudo masks, segmentation, classifier, scores, report.
# Started again it goes on where it was.
#   scripts/run_spol_ilsvrc.sh [further flags of e2wsol.train, for all three trainings]
# Records come from scripts/prepare_imagenet.sh.
# Start weights of ResNets come from scripts/prepare_weights.sh (resnet50_torchvision).
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment ""
source scripts/spol_stages.sh
# The release classifies whole pictures of 685x685.
spol runs/spol_%s_ilsvrc records/ilsvrc records/ilsvrc_spol flags/spol_%s_ilsvrc.cfg --input_size=685 "$@"
