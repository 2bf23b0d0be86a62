# Sourced: train_evaluate_report RUN_DIR FLAGS... trains, scores the test split and writes the page.
train_evaluate_report() {
  local run=$1
  shift
  echo "== training into $run"
  "$PYTHON" -m e2wsol.train --run_dir="$run" "$@"
  echo "== evaluating"
  "$PYTHON" -m e2wsol.evaluate --run_dir="$run"
  "$PYTHON" -m e2wsol.report --result="$run"
}
