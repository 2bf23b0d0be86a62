#!/usr/bin/env bash
# CAM, E2Net as released and E2Net in its paper's reading on the synthetic data set: same backbone, same
# budget, same protocol, three seeds each. Prints the table of README.md; finished runs are kept.
#   scripts/compare_synthetic.sh [SEEDS...]
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment ""
released="--mae_normalization=sum --ose_orientations=original,horizontal,vertical --ose_fusion=feature_max"
"$PYTHON" -m tfrecords.build --source=synthetic --output=records/synthetic

train_and_score() {
  local run=runs/compare_synthetic/$1-seed$2
  [ -f "$run/result.json" ] && return
  "$PYTHON" -m e2wsol.train --flagfile=flags/quickstart.cfg --run_dir="$run" --seed="$2" "${@:3}"
  "$PYTHON" -m e2wsol.evaluate --run_dir="$run"
}

[ $# -gt 0 ] || set -- 0 1 2
for seed in "$@"; do
  train_and_score cam "$seed" --method=cam
  train_and_score e2net-released "$seed" $released
  train_and_score e2net-paper "$seed"
done
"$PYTHON" benchmarks/compare_runs.py runs/compare_synthetic
