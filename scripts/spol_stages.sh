# Sourced by the scripts of SPOL, after environment.sh.

# spol RUNS RECORDS MASKED FLAGS CLASSIFY [further flags of the three trainings]: all stages in their order. Started
# again it leaves what is finished and goes on in the middle of a stage.
#   RUNS      run folders, with %s for the stage: cam, seg or cls
#   RECORDS   folder of records
#   MASKED    folder for the same records with pseudo masks
#   FLAGS     flagfiles, with %s for the stage; that of masks may be missing
#   CLASSIFY  flags of e2wsol.classify, or nothing
spol() {
  local cam seg cls masks=$3 flags=$4 classify=$5 records=$2 options
  # shellcheck disable=SC2059
  { cam=$(printf "$1" cam) seg=$(printf "$1" seg) cls=$(printf "$1" cls); }
  shift 5
  spol_train "$flags" cam "$records" "$cam" "$@"
  echo "== pseudo masks into $masks"
  # shellcheck disable=SC2059
  options=$(printf "$flags" masks)
  "$PYTHON" -m e2wsol.pseudo_masks $([ -f "$options" ] && echo "--flagfile=$options") \
    --run_dir="$cam" --data_dir="$records" --output="$masks"
  spol_train "$flags" seg "$masks" "$seg" "$@"
  spol_train "$flags" cls "$records" "$cls" "$@"
  echo "== classes into $cls/test.jsonl"
  # shellcheck disable=SC2086
  "$PYTHON" -m e2wsol.classify --run_dir="$cls" $classify
  spol_evaluate "$cam" "$cls/test.jsonl"
  spol_evaluate "$seg" "$cls/test.jsonl"
  "$PYTHON" -m e2wsol.report --run_dir="$seg"
  "$PYTHON" -m e2wsol.report --run_dir="$seg" --compare="$cam"
}

# spol_train FLAGS STAGE RECORDS RUN [flags]: trains one stage, or what is left of it.
spol_train() {
  local flagfile
  # shellcheck disable=SC2059
  flagfile=$(printf "$1" "$2")
  echo "== stage $2 into $4"
  "$PYTHON" -m e2wsol.train --flagfile="$flagfile" --data_dir="$3" --run_dir="$4" "${@:5}"
}

# spol_evaluate RUN CLASSES: scores split test with the classifier's classes, where that is not done yet.
spol_evaluate() {
  local result=$1/result.json
  echo "== scores of $1"
  if [ "$result" -nt "$1/checkpoints/last/state.json" ] && [ "$result" -nt "$2" ]; then
    echo "$result: newer than the checkpoint and the classes, nothing to do"
  else
    "$PYTHON" -m e2wsol.evaluate --run_dir="$1" --predictions="$2"
  fi
}
