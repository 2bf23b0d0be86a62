# Sourced by the training scripts, after environment.sh.

# train_evaluate_report RUN_DIR FLAGS...: trains, scores the test split and writes the page.
train_evaluate_report() {
  local run=$1
  shift
  echo "== training into $run"
  "$PYTHON" -m e2wsol.train --run_dir="$run" "$@"
  echo "== evaluating"
  "$PYTHON" -m e2wsol.evaluate --run_dir="$run"
  "$PYTHON" -m e2wsol.report --run_dir="$run"
}

# released NAME [cub|ilsvrc] FLAGS...: the released setting NAME on one of the paper's data sets.
released() {
  local name=$1 dataset=${2:-cub} flagfile=flags/$1.cfg
  case $dataset in
    cub) ;;
    ilsvrc) flagfile=flags/$1_ilsvrc.cfg ;;
    *) echo "error: $dataset: unknown data set; give cub or ilsvrc" >&2; exit 2 ;;
  esac
  train_evaluate_report "runs/${name}_$dataset" --flagfile="$flagfile" --data_dir="records/$dataset" "${@:3}"
}
