#!/usr/bin/env bash
# From nothing to boxes: environment, synthetic records, E2Net, scores, report, SavedModel.
# About ten minutes on two CPU cores; started again, it goes on where it was.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
environment ""
source scripts/train_evaluate_report.sh
run=runs/quickstart
echo "== writing the synthetic data set to records/synthetic"
"$PYTHON" -m tfrecords.build --source=synthetic --output=records/synthetic
train_evaluate_report $run --flagfile=flags/quickstart.cfg
"$PYTHON" -m e2wsol.export --run_dir=$run --replace
echo
echo "Report: $(pwd)/$run/report/index.html"
